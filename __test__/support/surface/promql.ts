/** Queries by Prometheus's own grammar, and the names that they may read. */
import { createRuntimeCollector } from '@absolutejs/runtime/prometheus';
import { parser } from '@prometheus-io/lezer-promql';
import { scrape } from './exposition.ts';
import { gatewayWith } from './observed-gateway.ts';
import { attachTo } from './observed.ts';

/**
 * The metrics that an expression reads, parsed with Prometheus's own grammar. Throws if the
 * expression does not follow it.
 */
export function metricsOf(expr: string): string[] {
  const names: string[] = [];
  parser.parse(expr).iterate({
    enter({ type, from, to, node }) {
      if (type.isError) throw new Error(`no PromQL at ${from}: ${expr}`);
      if (type.name === 'Identifier' && node.parent?.name === 'VectorSelector')
        names.push(expr.slice(from, to));
    },
  });
  return names;
}

/** Every series name that the collector can expose, histograms as their single series. */
export function exportedNames(): string[] {
  const collector = createRuntimeCollector({ perTenant: { max: 1 } });
  attachTo(collector).set('a', { pid: 1, cpuMs: 1, rssBytes: 1 });
  collector.attachGateway(gatewayWith());
  return scrape(collector).families.flatMap(({ name, type }) =>
    type === 'HISTOGRAM' ? ['bucket', 'sum', 'count'].map((suffix) => `${name}_${suffix}`) : [name],
  );
}

// The alerts of docs/observability.md are rules that Prometheus would take, on metrics that there
// are.
import { expect, test } from 'bun:test';
import { textOf } from '../support/readme/pages.ts';
import { parseBlocks } from '../support/readme/blocks.ts';
import { exportedNames, metricsOf } from '../support/surface/promql.ts';

type Rule = { alert: string; expr: string; for?: string; annotations: { summary: string } };
type Rules = { groups: { name: string; rules: Rule[] }[] };

const { code } = parseBlocks(textOf('docs/observability.md')).find(
  ({ file }) => file === 'alerts.yml',
)!;
const { groups } = Bun.YAML.parse(code) as Rules;

test('every alert is PromQL and reads metrics that the collector exports', () => {
  const exported = exportedNames();
  const rules = groups.flatMap(({ rules }) => rules);
  expect(rules).not.toEqual([]);
  for (const { alert, expr, annotations } of rules) {
    const names = metricsOf(expr);
    expect(names).not.toEqual([]);
    expect({ alert, unknown: names.filter((name) => !exported.includes(name)) }).toEqual({
      alert,
      unknown: [],
    });
    expect(annotations.summary).not.toBe('');
  }
});

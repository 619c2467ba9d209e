// Reads Prometheus's text format with an independent parser.
import type { RuntimeCollector } from '@absolutejs/runtime/prometheus';
import parse, { type Sample } from 'parse-prometheus-text-format';

export type Labels = Record<string, string>;
const PREFIX = 'absolute_runtime_';

/** Names may be given without the prefix. */
export class Scrape {
  /** Every metric's name, type and help. */
  readonly families: ReturnType<typeof parse>;
  /**
   * The parser joins histograms and loses their labels, so their series are read as metrics of
   * their own.
   */
  readonly #series: ReturnType<typeof parse>;

  constructor(text: string) {
    this.families = parse(text);
    this.#series = parse(text.replaceAll(/^(# TYPE \S+) histogram$/gm, '$1 untyped'));
  }

  names(): string[] {
    return this.families.map(({ name }) => name.replace(PREFIX, ''));
  }

  /** All families, sorted, so that two scrapes can be compared. */
  everything() {
    const described = this.families.map(({ name, type, help }) => ({ name, type, help }));
    const sorted = <T extends { name: string }>(list: T[]) =>
      list.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    return { described: sorted(described), series: sorted(this.#series) };
  }

  /** The number of the one series of that name with just these labels. */
  value(name: string, labels: Labels = {}): number {
    const found = this.#samples(name).filter((sample) =>
      Bun.deepEquals(sample.labels ?? {}, labels),
    );
    if (found.length !== 1)
      throw new Error(`${found.length} series ${name}${JSON.stringify(labels)}`);
    return Number(found[0]!.value);
  }

  /** The numbers of a metric with one series for each value of a label. */
  valuesBy(label: string, name: string): Record<string, number> {
    return Object.fromEntries(
      this.#samples(name).map(({ labels, value }) => [labels?.[label], Number(value)]),
    );
  }

  histogram(name: string, labels: Labels = {}) {
    const buckets = this.#samples(`${name}_bucket`).flatMap(
      ({ labels: { le = '', ...others } = {}, value }) =>
        Bun.deepEquals(others, labels) ? [[le, Number(value)] as const] : [],
    );
    const [count, sum] = [this.value(`${name}_count`, labels), this.value(`${name}_sum`, labels)];
    return { buckets: Object.fromEntries(buckets), count, sum };
  }

  #samples(name: string): Sample[] {
    return this.#series.find((family) => family.name === PREFIX + name)?.metrics ?? [];
  }
}

export const scrape = (collector: RuntimeCollector): Scrape => new Scrape(collector.expose().body);

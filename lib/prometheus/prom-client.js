/**
 * Puts the metrics into a registry of prom-client. A registry takes any object of a metric's
 * shape, so prom-client is not imported: the user's version of it is the one in use.
 */
import { invalidOption } from '../errors.js';

/**
 * @template S
 * @typedef {import('./families.js').Family<S>} Family
 */
/** @typedef {import('../../prometheus.js').PromClientRegistry} PromClientRegistry */

/**
 * @template {{ labels: Record<string, string> }} S
 * @param {PromClientRegistry} register
 * @param {string} prefix
 * @param {readonly Family<S>[]} families
 * @param {() => S[]} read gives one snapshot for each runtime, or each gateway
 */
export function registerWith(register, prefix, families, read) {
  const metrics = families.map((family) => promMetric(prefix, family, read));
  const taken = metrics.find(({ name }) => register.getSingleMetric(name) !== undefined);
  if (taken !== undefined) {
    throw invalidOption(
      `registers has one with a metric named "${taken.name}" already; ` +
        'attach all runtimes to one collector, or give this one another prefix',
    );
  }
  for (const metric of metrics) register.registerMetric(metric);
}

/**
 * @template {{ labels: Record<string, string> }} S
 * @param {string} prefix
 * @param {Family<S>} family
 * @param {() => S[]} read
 */
function promMetric(prefix, { name, type, help, aggregator, samples }, read) {
  return {
    // A registry that writes OpenMetrics removes `_total` from the name and adds it to each
    // sample.
    name: prefix + name + (type === 'counter' ? '_total' : ''),
    type,
    help,
    aggregator,
    /** Called by the registry for each scrape. */
    async get() {
      const values = read().flatMap((snapshot) =>
        samples(snapshot).map(({ suffix, labels, value }) => ({
          ...(suffix === undefined ? {} : { metricName: this.name + suffix }),
          labels: { ...snapshot.labels, ...labels },
          value,
        })),
      );
      return { name: this.name, type, help, aggregator, values };
    },
    /** Called by `resetMetrics`. Does nothing: the runtime's totals cannot be reset. */
    reset() {},
  };
}

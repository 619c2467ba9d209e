/**
 * Puts the metrics into a registry of prom-client. A registry takes any object that looks like one of its metrics, so
 * prom-client itself is not imported, and whichever version the user has is the one that is used.
 */
import { invalidOption } from '../errors.js';

/** @typedef {import('./families.js').Family} Family */
/** @typedef {import('./collector.js').Snapshot} Snapshot */
/** @typedef {import('../../prometheus.js').PromClientRegistry} PromClientRegistry */

/**
 * @param {PromClientRegistry} register
 * @param {string} prefix
 * @param {readonly Family[]} families
 * @param {() => Snapshot[]} read one for each runtime
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

/** @param {string} prefix @param {Family} family @param {() => Snapshot[]} read */
function promMetric(prefix, { name, type, help, aggregator, samples }, read) {
  return {
    // A registry that writes OpenMetrics takes `_total` off the name itself, and adds it to each sample.
    name: prefix + name + (type === 'counter' ? '_total' : ''),
    type,
    help,
    aggregator,
    /** What a registry calls for each scrape. */
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
    /** Part of `resetMetrics`, which tests use: the runtime's numbers are its own. */
    reset() {},
  };
}

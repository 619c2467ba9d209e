/** Histograms of durations. */

/**
 * From the start of a small process on an idle machine (5 ms) to that of a slow container (1 min).
 */
const BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/**
 * Bounds as OpenMetrics writes them. The other formats use the same text: `le` names the series.
 */
const BOUNDS = [
  ...BUCKETS_SECONDS.map((bound) => (Number.isInteger(bound) ? `${bound}.0` : `${bound}`)),
  '+Inf',
];

/** @typedef {import('./families.js').Sample} Sample */

export function createHistogram() {
  /** Durations between each bound and the one before it; the last element is for `+Inf`. */
  const counts = new Array(BOUNDS.length).fill(0);
  let sumMs = 0;

  return {
    /** @param {number} durationMs */
    observe(durationMs) {
      const index = BUCKETS_SECONDS.findIndex((bound) => durationMs <= bound * 1000);
      counts[index < 0 ? BUCKETS_SECONDS.length : index] += 1;
      sumMs += durationMs;
    },

    /** The cumulative buckets, the sum in seconds and the count. @returns {Sample[]} */
    samples() {
      let count = 0;
      const buckets = BOUNDS.map((le, index) => {
        count += counts[index];
        return { suffix: '_bucket', labels: { le }, value: count };
      });
      return [
        ...buckets,
        { suffix: '_sum', value: sumMs / 1000 },
        { suffix: '_count', value: count },
      ];
    },
  };
}

/** Histograms of durations. */

/**
 * From the start of a small process on an idle machine (5 ms) to that of a slow container (1 min).
 */
const OF_STARTS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
/** From a tenant that was only frozen to a large one whose memory comes back from a slow disk. */
export const OF_WAKES_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];

/**
 * A bound as OpenMetrics writes it. The other formats use the same text: `le` names the series.
 * @param {number} bound
 */
const boundText = (bound) => (Number.isInteger(bound) ? `${bound}.0` : `${bound}`);

/** @typedef {import('./families.js').Sample} Sample */

/** @param {readonly number[]} [bucketsSeconds] the bounds, ascending */
export function createHistogram(bucketsSeconds = OF_STARTS_SECONDS) {
  const bounds = [...bucketsSeconds.map(boundText), '+Inf'];
  /** Durations between each bound and the one before it; the last element is for `+Inf`. */
  const counts = new Array(bounds.length).fill(0);
  let sumMs = 0;

  return {
    /** @param {number} durationMs */
    observe(durationMs) {
      const index = bucketsSeconds.findIndex((bound) => durationMs <= bound * 1000);
      counts[index < 0 ? bucketsSeconds.length : index] += 1;
      sumMs += durationMs;
    },

    /** The cumulative buckets, the sum in seconds and the count. @returns {Sample[]} */
    samples() {
      let count = 0;
      const buckets = bounds.map((le, index) => {
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

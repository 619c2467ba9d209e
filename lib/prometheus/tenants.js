/**
 * A summary of a runtime's tenants: how many are in each state, and which get series of their own.
 */

/** @typedef {import('../../index.js').TenantStatus} TenantStatus */

/** Every state has a series, also while no tenant is in it. */
const STATES = [
  ...['queued', 'spawning', 'ready', 'asleep', 'stopping', 'stuck', 'backing-off', 'failed'],
  ...['stopped', 'checkpointed'],
];

/**
 * @param {readonly TenantStatus[]} tenants
 * @param {number} max how many tenants get series of their own
 */
export function summaryOf(tenants, max) {
  /** @type {Record<string, number>} */
  const byState = {};
  for (const state of STATES) byState[state] = 0;
  for (const { state, attempt } of tenants) {
    // A stopped key without failures is only remembered: it does not count as a tenant.
    if (state !== 'stopped' || attempt > 0) byState[state] = (byState[state] ?? 0) + 1;
  }
  const live = max === 0 ? [] : tenants.filter(({ pid }) => pid !== null);
  return { byState, heaviest: heaviest(live, max), withoutSeries: Math.max(0, live.length - max) };
}

/**
 * The tenants that use most, by the larger of a tenant's shares of all CPU time and of all memory.
 * CPU time counts since the process began, so ranks change slowly, and series do not come and go
 * with every scrape.
 * @param {readonly TenantStatus[]} tenants
 * @param {number} max
 * @returns {readonly TenantStatus[]}
 */
function heaviest(tenants, max) {
  if (tenants.length <= max) return tenants;
  const shares = sharesOf(tenants);
  // Sorting the bare numbers takes a tenth of the time of sorting the tenants by them.
  const least = shares.slice().sort()[shares.length - max] ?? 0;
  const above = tenants.filter((_, index) => (shares[index] ?? 0) > least);
  const equal = tenants.filter((_, index) => shares[index] === least);
  return [...above, ...equal.slice(0, max - above.length)];
}

/**
 * @param {readonly TenantStatus[]} tenants
 * @returns {Float64Array} for each tenant the larger of its two shares
 */
function sharesOf(tenants) {
  let [allCpuMs, allBytes] = [0, 0];
  for (const { cpuMs, rssBytes } of tenants) {
    allCpuMs += cpuMs ?? 0;
    allBytes += rssBytes ?? 0;
  }
  const shares = new Float64Array(tenants.length);
  let index = 0;
  for (const { cpuMs, rssBytes } of tenants) {
    shares[index++] = Math.max((cpuMs ?? 0) / (allCpuMs || 1), (rssBytes ?? 0) / (allBytes || 1));
  }
  return shares;
}

/** What tenants' processes use: looked at by a native call of its own, off JavaScript's thread. */

/** Two looks that are nearer to each other say nothing of the time between them. */
const LEAST_BETWEEN_MS = 400;
/** How many numbers a process has: see `src/onlooker.rs`. */
const PER_RUN = 3;

/**
 * @typedef {object} Usage
 * @property {number} cpuMs
 * @property {number} rssBytes
 * @property {number | null} cpuPercent since the look before; 100 is one core
 * @property {number} at of the look that `cpuPercent` counts from
 */

/** @param {Pick<import('../runtime.js').Core, 'native' | 'runs'>} core */
export function createUsages({ native, runs }) {
  /** By pid. @type {Map<number, Usage>} */
  let usages = new Map();
  let lookedAt = -Infinity;
  /** @type {Promise<void> | undefined} */
  let looking;

  /** @param {Float64Array} numbers */
  function take(numbers) {
    const now = performance.now();
    /** @type {Map<number, Usage>} */
    const taken = new Map();
    for (let place = 0; place < numbers.length; place += PER_RUN) {
      const [id = 0, cpuMs = 0, rssBytes = 0] = numbers.subarray(place, place + PER_RUN);
      const pid = runs.get(id)?.pid;
      if (pid !== undefined) taken.set(pid, next(usages.get(pid), cpuMs, rssBytes, now));
    }
    usages = taken;
    lookedAt = now;
  }

  /** Looks, unless that is under way. Resolves when it is done. @returns {Promise<void>} */
  function look() {
    looking ??= new Promise((/** @type {(done?: undefined) => void} */ done) => {
      const isLooking = native.usages((/** @type {Float64Array} */ numbers) => {
        take(numbers);
        done();
      });
      if (!isLooking) done();
    }).then(() => (looking = undefined));
    return looking;
  }

  return {
    look,
    /** How long ago it was looked. */
    ageMs: () => performance.now() - lookedAt,
    /** @param {number} pid */
    of: (pid) => usages.get(pid),
  };
}

/**
 * @param {Usage | undefined} before
 * @param {number} cpuMs
 * @param {number} rssBytes
 * @param {number} now
 * @returns {Usage}
 */
function next(before, cpuMs, rssBytes, now) {
  if (before === undefined || cpuMs < before.cpuMs)
    return { cpuMs, rssBytes, cpuPercent: null, at: now };
  if (now - before.at < LEAST_BETWEEN_MS) return { ...before, rssBytes };
  const cpuPercent = Math.round((1_000 * (cpuMs - before.cpuMs)) / (now - before.at)) / 10;
  return { cpuMs, rssBytes, cpuPercent, at: now };
}

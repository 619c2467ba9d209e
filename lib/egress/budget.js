/**
 * What tenants have used of their budgets within the rolling window: one record of fixed size for a tenant, dropped
 * once everything in it is out of the window. Nothing here waits, so that parallel requests cannot get in between.
 */

/**
 * A window is counted in this many steps. Uses leave it a step at a time, when the last of the step does: up to a tenth of a
 * window late, and never before their time.
 */
const STEPS = 10;
/** One more than a window has, since the window begins in the middle of a step. */
const SLOTS = STEPS + 1;

/**
 * `slot` is the number of the newest step; a step's counts are at its number modulo SLOTS, and beside them when the last of
 * them came (`lastAt`). `held` are bytes that were promised to requests under way and not yet sent.
 * @typedef {{ slot: number, requests: Float64Array, bytes: Float64Array, lastAt: Float64Array, held: number }} Usage
 */
/** @typedef {{ reason: 'requests-budget' | 'bytes-budget', why: string, retryAfterMs?: number }} Overrun */

/**
 * @param {import('./options.js').Budget} budget
 * @param {() => number} now monotonic milliseconds
 */
export function createBudgets({ windowMs, maxRequests, maxBytes }, now = () => performance.now()) {
  /** @type {Map<string, Usage>} */
  const tenants = new Map();
  const stepMs = windowMs / STEPS;
  let sweptAt = now();

  /** @param {string} key */
  function usageOf(key) {
    sweepIfDue();
    let usage = tenants.get(key);
    if (usage) moveOn(usage);
    else tenants.set(key, (usage = emptyUsage(currentSlot())));
    return usage;
  }

  const currentSlot = () => Math.floor(now() / stepMs);

  /** Empties the slots of steps that are out of the window. @param {Usage} usage */
  function moveOn(usage) {
    const begin = now() - windowMs;
    for (const [at, lastAt] of usage.lastAt.entries()) {
      if (lastAt > begin) continue;
      usage.requests[at] = 0;
      usage.bytes[at] = 0;
    }
    usage.slot = Math.max(usage.slot, currentSlot());
  }

  /** Without a timer of its own: whoever comes by after a window sweeps for all. */
  function sweepIfDue() {
    if (now() - sweptAt < windowMs) return;
    sweptAt = now();
    for (const [key, usage] of tenants) {
      moveOn(usage);
      if (usage.held === 0 && sum(usage.requests) === 0 && sum(usage.bytes) === 0) tenants.delete(key);
    }
  }

  /**
   * How long until enough has left the window for `needed` to fit; undefined if it never will.
   * @param {Usage} usage @param {Float64Array} counts @param {number} needed @param {number} max
   * @param {number} [held]
   */
  function msUntilFree(usage, counts, needed, max, held = 0) {
    if (needed > max) return undefined;
    let used = sum(counts) + held;
    // Not by counting slots up: of a clock that is far off, the next number may be the same.
    for (let back = STEPS; back >= 0; back--) {
      const at = placeOf(usage.slot - back);
      used -= counts[at] ?? 0;
      if (used + needed <= max) {
        return Math.max(1, Math.ceil((usage.lastAt[at] ?? 0) + windowMs - now()));
      }
    }
    return Math.ceil(stepMs);
  }

  /** @param {Usage} usage @param {number} needed @returns {Overrun} */
  function bytesOverrun(usage, needed) {
    const why = `no more than ${maxBytes} bytes in ${windowMs} ms`;
    return {
      reason: 'bytes-budget',
      why,
      retryAfterMs: msUntilFree(usage, usage.bytes, needed, maxBytes, usage.held),
    };
  }

  /** @param {Usage} usage @param {number} bytes */
  function addBytes(usage, bytes) {
    const at = placeOf(usage.slot);
    usage.bytes[at] = (usage.bytes[at] ?? 0) + bytes;
    usage.lastAt[at] = now();
  }

  /** @param {Usage} usage */
  const bytesLeft = (usage) => maxBytes - sum(usage.bytes) - usage.held;

  return {
    /** @param {string} key @returns {Overrun | undefined} */
    takeRequest(key) {
      const usage = usageOf(key);
      if (sum(usage.requests) + 1 > maxRequests) {
        const retryAfterMs = msUntilFree(usage, usage.requests, 1, maxRequests);
        return {
          reason: 'requests-budget',
          why: `no more than ${maxRequests} requests in ${windowMs} ms`,
          retryAfterMs,
        };
      }
      const at = placeOf(usage.slot);
      usage.requests[at] = (usage.requests[at] ?? 0) + 1;
      usage.lastAt[at] = now();
      return undefined;
    },

    /** Reserves bytes that are about to be sent. @param {string} key @param {number} bytes */
    hold(key, bytes) {
      const usage = usageOf(key);
      if (bytes > bytesLeft(usage)) return bytesOverrun(usage, bytes);
      usage.held += bytes;
      return undefined;
    },

    /** Settles a reservation: `sent` of `held` bytes were sent, the rest is free again. */
    settle(/** @type {string} */ key, /** @type {number} */ held, /** @type {number} */ sent) {
      const usage = usageOf(key);
      usage.held = Math.max(0, usage.held - held);
      addBytes(usage, sent);
    },

    /**
     * Counts bytes that go or came. Those beyond the budget use up what was left of it.
     * @param {string} key @param {number} bytes @returns {Overrun | undefined}
     */
    takeBytes(key, bytes) {
      const usage = usageOf(key);
      const left = Math.max(0, bytesLeft(usage));
      const overrun = bytes > left ? bytesOverrun(usage, bytes) : undefined;
      addBytes(usage, Math.min(bytes, left));
      return overrun;
    },

    /** Whether this many bytes would fit now. @param {string} key @param {number} bytes */
    wouldOverrun(key, bytes) {
      const usage = usageOf(key);
      return bytes > bytesLeft(usage) ? bytesOverrun(usage, bytes) : undefined;
    },

    /** @param {string} key */
    usage(key) {
      const usage = tenants.get(key);
      if (!usage) return { requests: 0, bytes: 0 };
      moveOn(usage);
      return { requests: sum(usage.requests), bytes: sum(usage.bytes) };
    },

    /** Forgets what was used; what requests under way have reserved stays reserved. @param {string} [key] without it, for all */
    reset(key) {
      const usages = key === undefined ? tenants.values() : [tenants.get(key)];
      for (const usage of usages) {
        usage?.requests.fill(0);
        usage?.bytes.fill(0);
      }
    },

    /** How many tenants there are records of. */
    size: () => tenants.size,
  };
}

/** @typedef {ReturnType<typeof createBudgets>} Budgets */

/** @param {number} slot @returns {Usage} */
function emptyUsage(slot) {
  const slots = () => new Float64Array(SLOTS);
  return { slot, requests: slots(), bytes: slots(), lastAt: slots().fill(-Infinity), held: 0 };
}

/** Where the counts of a step are: a clock may be before its zero. @param {number} slot */
const placeOf = (slot) => ((slot % SLOTS) + SLOTS) % SLOTS;

/** @param {Float64Array} counts */
function sum(counts) {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}

/**
 * What tenants have used of their budgets within the rolling window: one record of fixed size for
 * a tenant, dropped once everything in it is out of the window. Every function is synchronous, so
 * that no parallel request can run between the look at a budget and its use.
 */

/**
 * A window is counted in this many steps. All uses of a step leave the window together with the
 * step's last one: up to a tenth of a window late, and never early.
 */
const STEPS = 10;
/** A window that begins in the middle of a step touches one step more than it has. */
const SLOTS = STEPS + 1;

/**
 * `slot` is the number of the newest step. A step's counts, and the time of its last use
 * (`lastAt`), are at its number modulo SLOTS. `held` are bytes reserved for requests under way,
 * not yet sent.
 * @typedef {{ slot: number, requests: Float64Array, bytes: Float64Array, lastAt: Float64Array,
 * held: number }} Usage
 */
/**
 * @typedef {{ reason: 'requests-budget' | 'bytes-budget', why: string, retryAfterMs?: number }}
 * Overrun
 */

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

  /** Drops empty records. There is no timer: the first call after a window sweeps all tenants. */
  function sweepIfDue() {
    if (now() - sweptAt < windowMs) return;
    sweptAt = now();
    for (const [key, usage] of tenants) {
      moveOn(usage);
      if (usage.held === 0 && sum(usage.requests) === 0 && sum(usage.bytes) === 0)
        tenants.delete(key);
    }
  }

  /**
   * Milliseconds until enough has left the window for `needed` to fit; undefined if it never will.
   * @param {Usage} usage @param {Float64Array} counts @param {number} needed @param {number} max
   * @param {number} [held]
   */
  function msUntilFree(usage, counts, needed, max, held = 0) {
    if (needed > max) return undefined;
    let used = sum(counts) + held;
    // Counts back from the newest slot: with a clock far from zero, `slot + 1` may equal `slot`.
    for (let back = STEPS; back >= 0; back--) {
      const at = indexOfSlot(usage.slot - back);
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
    const at = indexOfSlot(usage.slot);
    usage.bytes[at] = (usage.bytes[at] ?? 0) + bytes;
    usage.lastAt[at] = now();
  }

  /** @param {Usage} usage */
  const bytesLeft = (usage) => maxBytes - sum(usage.bytes) - usage.held;

  return {
    /**
     * Counts a request, unless it exceeds the budget.
     * @param {string} key
     * @returns {Overrun | undefined}
     */
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
      const at = indexOfSlot(usage.slot);
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
     * Counts bytes that are sent or were received. Bytes beyond the budget use up what is left of
     * it.
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

    /**
     * Forgets what was used; reservations of requests under way stay.
     * @param {string} [key] without it, all tenants
     */
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

/** The index of a step's counts. A clock may be below zero, and so a slot. @param {number} slot */
const indexOfSlot = (slot) => ((slot % SLOTS) + SLOTS) % SLOTS;

/** @param {Float64Array} counts */
function sum(counts) {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}

/**
 * Runs and live tenants. The times of the last touches lie in memory shared with Rust, so that
 * `touch`, and `ensure` of a running key, never leave JavaScript: `crates/driver/src/leases.rs` has
 * the protocol.
 */

/** @typedef {import('../../index.js').Tenant} Tenant */
/**
 * `touchedAt` and `sequence` are written here alone, `touchedInRust` and `claimed` by Rust alone.
 * @typedef {{ touchedAt: Float64Array, sequence: Float64Array, touchedInRust: Float64Array,
 *   claimed: Int32Array }} Leases
 */

/** The live tenants by key. @param {(chunk: number) => Leases} leasesOf the memory of a chunk */
export function createTenants(leasesOf) {
  /** @type {Map<string, Live>} */
  const byKey = new Map();
  /** @type {Leases[]} */
  const chunks = [];
  let touches = 0;

  return {
    /**
     * Adds the tenant of a run that is ready: from now on `answer` finds its key.
     * @param {Run} run
     * @param {import('../bridge/records.js').LeaseAddress} lease
     */
    open(run, { chunk, index }) {
      const live = new Live(run, (chunks[chunk] ??= leasesOf(chunk)), index);
      live.takeTurn(++touches);
      run.live = live;
      byKey.set(run.key, live);
    },

    /** Removes the tenant of a run that is over. Its lease may be reused. @param {Run} run */
    close(run) {
      const { live } = run;
      if (live === undefined) return;
      live.stop();
      if (byKey.get(run.key) === live) byKey.delete(run.key);
    },

    /** @param {string} key */
    touch(key) {
      byKey.get(key)?.touch(++touches);
    },

    /** Whether the key's tenant sleeps, or is being stopped. @param {string} key */
    isClosed: (key) => byKey.get(key)?.isOpen() === false,

    /**
     * Touches and returns the key's tenant; undefined if there is none, or if it is being stopped.
     * @param {string} key
     * @returns {Promise<Tenant> | undefined}
     */
    answer(key) {
      const live = byKey.get(key);
      if (live === undefined) return undefined;
      live.touch(++touches);
      return live.isOpen() ? (live.answer ??= Promise.resolve(live.tenant)) : undefined;
    },
  };
}

/** A live tenant and its lease. After `stop` the lease is not read any more. */
export class Live {
  /**
   * The promise that all callers get, made for the first one.
   * @type {Promise<Tenant> | undefined}
   */
  answer;

  /** @param {Run} run @param {Leases} leases @param {number} index */
  constructor(run, leases, index) {
    this.tenant = tenantOf(run, lastTouch(leases, index));
    this.leases = leases;
    this.touchedAt = leases.touchedAt;
    this.sequence = leases.sequence;
    this.claimed = leases.claimed;
    this.index = index;
    this.stoppedAt = NaN;
  }

  /** @param {number} count */
  touch(count) {
    const { index } = this;
    const now = Date.now();
    this.touchedAt[index] = now;
    this.sequence[index] = count;
    try {
      this.tenant.lastTouchedAt = now;
    } catch {
      // The user has frozen the object.
    }
  }

  /** Whether the tenant may be handed out. Must be called after `touch`: see `leases.rs`. */
  isOpen() {
    return Atomics.or(this.claimed, this.index, 0) === 0;
  }

  /**
   * Sets the count of touches, without a touch: becoming ready has a place among the touches of
   * the same millisecond.
   * @param {number} count
   */
  takeTurn(count) {
    this.sequence[this.index] = count;
  }

  /** Keeps the time of the last touch, and leaves the lease. */
  stop() {
    this.stoppedAt = this.lastTouchedAt;
    this.index = -1;
  }

  get lastTouchedAt() {
    return this.index < 0 ? this.stoppedAt : lastTouch(this.leases, this.index);
  }
}

/**
 * The time of the later touch of JavaScript and Rust.
 * @param {Leases} leases
 * @param {number} index
 */
function lastTouch({ touchedAt, touchedInRust }, index) {
  return Math.max(touchedAt[index] ?? NaN, touchedInRust[index] ?? NaN);
}

/** @param {Run} run @param {number} lastTouchedAt moves on with each touch @returns {Tenant} */
function tenantOf({ key, host, port, pid, startedAt, resourceId }, lastTouchedAt) {
  /** @type {Tenant} */
  const tenant = { key, port, pid, startedAt, lastTouchedAt };
  if (host !== undefined) tenant.host = host;
  if (resourceId !== undefined) tenant.resourceId = resourceId;
  return tenant;
}

/**
 * A run: what JavaScript knows of one process, from the decision to start it to its last record.
 * @typedef {object} Run
 * @property {number} id
 * @property {string} key
 * @property {number} pid 0 until it is known
 * @property {number} port the port that it was offered, then the port that it uses
 * @property {'::1'} [host] where it listens, if not at 127.0.0.1
 * @property {number} startedAt
 * @property {string | undefined} resourceId
 * @property {boolean} isOver its exit has been reported
 * @property {Live | undefined} live from ready on
 * @property {import('../../index.js').RuntimeProcess | undefined} process the user's, from their
 *   `spawn`
 * @property {unknown} [startError] what `spawn` or `readiness` threw
 * @property {unknown} [killError] what `kill` threw last
 * @property {boolean} [isAskedToStop] `kill` has been called
 * @property {Set<string>} [pendingKills] calls of it that have not settled
 * @property {Map<string, unknown>} [errors] made so far, so that all callers of one start get the
 *   same object
 * @property {string[] | undefined} output the last lines of a user's process
 */

/**
 * A new run, without the fields that only failures add: every tenant would keep memory for them.
 * @param {number} id
 * @param {string} key
 * @param {number} port
 * @param {number} startedAt milliseconds since the epoch
 * @returns {Run}
 */
export function createRun(id, key, port, startedAt) {
  return {
    id,
    key,
    pid: 0,
    port,
    startedAt,
    resourceId: undefined,
    isOver: false,
    live: undefined,
    process: undefined,
    output: undefined,
  };
}

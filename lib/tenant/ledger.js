/**
 * The state that JavaScript keeps: calls without an answer, runs, and live tenants. While a call
 * waits, the host process stays alive. The times of the last touches lie in memory shared with
 * Rust, so that `touch`, and `ensure` of a running key, never leave JavaScript:
 * `crates/driver/src/leases.rs` has the protocol.
 */
import { aborted, unreadable } from '../errors.js';

/** The longest time that `setTimeout` accepts: with a longer one it fires at once. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * @typedef {{ key: string, method: Method, resolve: (value: any) => void, reject: (error: unknown)
 *   => void }} Call
 */
/**
 * The method of a call: `ensure` stands for `restart`, too.
 * @typedef {'ensure' | 'adopt' | 'kill' | 'dispose'} Method
 */

/**
 * The calls without an answer.
 * @param {() => void} wake schedules a look for records that a call has led to
 */
export function createCalls(wake) {
  /** @type {Map<number, Call>} */
  const pending = new Map();
  // It keeps the event loop alive while it is referenced, and never fires.
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let keepAlive;
  let last = 0;
  /** @type {Call['resolve']} */
  let resolve;
  /** @type {Call['reject']} */
  let reject;
  /**
   * The executor of all promises: one for each would be two more objects.
   * @param {Call['resolve']} fulfil
   * @param {Call['reject']} refuse
   */
  const executor = (fulfil, refuse) => {
    resolve = fulfil;
    reject = refuse;
  };

  return {
    /**
     * Opens a call: `make` gets its number. Returns a promise for the answer, which rejects if
     * `make` throws.
     * @template T
     * @param {string} key
     * @param {(key: string, call: number) => void} make
     * @param {Method} [method]
     * @returns {Promise<T>}
     */
    open(key, make, method = 'ensure') {
      const call = ++last;
      const answer = new Promise(executor);
      pending.set(call, { key, method, resolve, reject });
      if (pending.size === 1) keepAlive?.ref?.();
      try {
        make(key, call);
        wake();
      } catch (error) {
        this.close(call)?.reject(error);
      }
      return answer;
    },

    /** Takes a call out, to be answered. @param {number} call */
    close(call) {
      const entry = pending.get(call);
      pending.delete(call);
      if (pending.size === 0) keepAlive?.unref?.();
      return entry;
    },

    /**
     * Keeps the host process alive from now on while calls wait. The asynchronous context of this
     * call is kept as long.
     */
    keepHostAlive() {
      keepAlive = setInterval(() => {}, LONGEST_TIMER_MS);
      if (pending.size === 0) keepAlive.unref?.();
    },

    /** The calls that wait, each with its number. @returns {[number, Call][]} */
    waiting: () => [...pending],

    /** Resolves all calls that wait. For the end of a runtime, when all processes are gone. */
    resolveAll() {
      for (const call of [...pending.keys()]) this.close(call)?.resolve(undefined);
      clearInterval(keepAlive);
    },
  };
}

/** @typedef {ReturnType<typeof createCalls>} Calls */

/**
 * Makes a call that an AbortSignal can end.
 * @template T
 * @param {string} key
 * @param {AbortSignal} signal
 * @param {(noted: (call: number) => void) => Promise<T>} make makes the call and notes its number
 * @param {(call: number, error: Error) => void} giveUp aborts the call, when the signal does
 * @returns {Promise<T>}
 */
export function unlessAborted(key, signal, make, giveUp) {
  let number = 0;
  const abort = () => giveUp(number, aborted(key, reasonOf(signal)));
  try {
    if (signal.aborted) return Promise.reject(aborted(key, reasonOf(signal)));
    // The listener is added before the call is made, since an invalid signal throws here.
    signal.addEventListener('abort', abort, { once: true });
  } catch (error) {
    return Promise.reject(unreadable('signal', error));
  }
  const answer = make((call) => (number = call));
  const over = () => signal.removeEventListener('abort', abort);
  answer.then(over, over).catch(() => {});
  return answer;
}

/**
 * The signal's reason, or what its getter throws.
 * @param {AbortSignal} signal
 * @returns {unknown}
 */
function reasonOf(signal) {
  try {
    return signal.reason;
  } catch (error) {
    return error;
  }
}

/**
 * Questions to Rust. Each is answered once, with a number or null. They do not keep the host
 * process alive.
 */
export function createTickets() {
  /** @type {Map<number, (answer: number | null) => void>} */
  const open = new Map();
  let last = 0;
  return {
    /** @param {(answer: number | null) => void} answered */
    open(answered) {
      open.set(++last, answered);
      return last;
    },
    /** @param {number} ticket */
    drop(ticket) {
      open.delete(ticket);
    },
    /** @param {number} ticket @param {number | null} answer */
    close(ticket, answer) {
      const answered = open.get(ticket);
      open.delete(ticket);
      answered?.(answer);
    },
  };
}

/** @typedef {ReturnType<typeof createTickets>} Tickets */

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

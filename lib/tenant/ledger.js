/**
 * What JavaScript keeps: of calls that have not been answered, of each process, and of live tenants. While a call waits, the
 * host process stays alive. The touch clocks of tenants lie in memory shared with Rust, so that `touch`, and `ensure` of a
 * running key, never leave JavaScript; see `crates/driver/src/leases.rs` for the protocol.
 */
import { aborted, unreadable } from '../errors.js';

/** `setTimeout` fires at once when it is given more. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** @typedef {{ key: string, method: Method, resolve: (value: any) => void, reject: (error: unknown) => void }} Call */
/** What was called: `ensure` stands for `restart`, too. @typedef {'ensure' | 'adopt' | 'kill' | 'dispose'} Method */

/** @param {() => void} wake looks soon whether something came of a call into Rust */
export function createCalls(wake) {
  /** @type {Map<number, Call>} */
  const pending = new Map();
  // It never fires; its being there is what counts.
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let keepAlive;
  let last = 0;
  /** @type {Call['resolve']} */
  let resolve;
  /** @type {Call['reject']} */
  let reject;
  /** One for all promises: each of its own would be two objects more. @param {Call['resolve']} fulfil @param {Call['reject']} refuse */
  const executor = (fulfil, refuse) => {
    resolve = fulfil;
    reject = refuse;
  };

  return {
    /**
     * A promise for the answer. `make` gets the call's number; if it throws, the promise rejects.
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

    /** From now on, while calls wait. Whatever the asynchronous context of this moment holds is held as long. */
    keepHostAlive() {
      keepAlive = setInterval(() => {}, LONGEST_TIMER_MS);
      if (pending.size === 0) keepAlive.unref?.();
    },

    /** Those that wait: each with its number. @returns {[number, Call][]} */
    waiting: () => [...pending],

    /** Nothing is left that a call could wait for. */
    resolveAll() {
      for (const call of [...pending.keys()]) this.close(call)?.resolve(undefined);
      clearInterval(keepAlive);
    },
  };
}

/** @typedef {ReturnType<typeof createCalls>} Calls */

/**
 * A call that its caller may stop waiting for.
 * @template T
 * @param {string} key
 * @param {AbortSignal} signal
 * @param {(noted: (call: number) => void) => Promise<T>} make makes the call and notes its number
 * @param {(call: number, error: Error) => void} giveUp nobody waits any more
 * @returns {Promise<T>}
 */
export function unlessAborted(key, signal, make, giveUp) {
  let number = 0;
  const abort = () => giveUp(number, aborted(key, reasonOf(signal)));
  try {
    if (signal.aborted) return Promise.reject(aborted(key, reasonOf(signal)));
    // First: what only looks like a signal throws here, before there is a call.
    signal.addEventListener('abort', abort, { once: true });
  } catch (error) {
    return Promise.reject(unreadable('signal', error));
  }
  const answer = make((call) => (number = call));
  const over = () => signal.removeEventListener('abort', abort);
  answer.then(over, over).catch(() => {});
  return answer;
}

/** What a getter of the user's throws is as good a reason as any. @param {AbortSignal} signal @returns {unknown} */
function reasonOf(signal) {
  try {
    return signal.reason;
  } catch (error) {
    return error;
  }
}

/** Questions to Rust that nobody is kept alive for: each is answered once, with a number or that there is none. */
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
 * @typedef {{ touchedAt: Float64Array, sequence: Float64Array, touchedInRust: Float64Array, claimed: Int32Array }} Leases
 */

/** @param {(chunk: number) => Leases} leasesOf the memory of a chunk */
export function createTenants(leasesOf) {
  /** @type {Map<string, Live>} */
  const byKey = new Map();
  /** @type {Leases[]} */
  const chunks = [];
  let touches = 0;

  return {
    /**
     * A run became ready: from now on its key is answered here.
     * @param {Run} run
     * @param {import('../bridge/records.js').LeaseAddress} lease
     */
    open(run, { chunk, index }) {
      const live = new Live(run, (chunks[chunk] ??= leasesOf(chunk)), index);
      live.takeTurn(++touches);
      run.live = live;
      byKey.set(run.key, live);
    },

    /** The run is gone: its tenant stands still, and its lease may be used again. @param {Run} run */
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
     * The running tenant, touched; undefined if there is none, or if it is being stopped.
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

/** A lease as long as its run lives. */
export class Live {
  /** The same for all callers; made for the first one. @type {Promise<Tenant> | undefined} */
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
      // Whoever has frozen the object wants it to stand still.
    }
  }

  /** Whether the tenant may be handed out. To be asked after touching it. */
  isOpen() {
    return Atomics.or(this.claimed, this.index, 0) === 0;
  }

  /** Becoming ready is activity too: its place among the touches of the same millisecond. @param {number} count */
  takeTurn(count) {
    this.sequence[this.index] = count;
  }

  stop() {
    this.stoppedAt = this.lastTouchedAt;
    this.index = -1;
  }

  get lastTouchedAt() {
    return this.index < 0 ? this.stoppedAt : lastTouch(this.leases, this.index);
  }
}

/** The last touch of either side counts. @param {Leases} leases @param {number} index */
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
 * What JavaScript knows of one process from the decision to start it until nothing will be heard of it again.
 * @typedef {object} Run
 * @property {number} id
 * @property {string} key
 * @property {number} pid 0 until it is known
 * @property {number} port the one it was offered, then the one it really uses
 * @property {'::1'} [host] where it listens, if not at 127.0.0.1
 * @property {number} startedAt
 * @property {string | undefined} resourceId
 * @property {boolean} isOver its exit has been told
 * @property {Live | undefined} live from ready on
 * @property {import('../../index.js').RuntimeProcess | undefined} process the user's, from their `spawn`
 * @property {unknown} [startError] what `spawn` or `readiness` threw
 * @property {unknown} [killError] what `kill` threw last
 * @property {boolean} [isAskedToStop] `kill` has been called
 * @property {Set<string>} [pendingKills] calls of it that have not settled
 * @property {Map<string, unknown>} [errors] made so far, so that all who waited for the same thing get the same object
 * @property {string[] | undefined} output the last lines of a user's process
 */

/** Without what only failures add: each tenant would keep the room for it. @param {number} id @param {string} key @param {number} port @param {number} startedAt @returns {Run} */
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

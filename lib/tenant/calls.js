/**
 * Calls of the public object and questions to Rust, until they are answered. While a call waits,
 * the host process stays alive.
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
 * @typedef {'ensure' | 'replace' | 'adopt' | 'kill' | 'dispose' | 'recover' | 'detach'} Method
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
    /** Passes calls on that are held back; see `replacements.js`. */
    passOn() {},

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
      if (method !== 'replace') this.passOn();
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

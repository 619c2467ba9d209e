/** Calls that have been made and not yet answered. While there are any, the host process stays alive. */
import { aborted, invalidOption } from './errors.js';

/** A timer of more fires at once. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** @typedef {{ key: string, method: Method, resolve: (value: any) => void, reject: (error: unknown) => void }} Call */
/** What was called, where a refusal names it. @typedef {'ensure' | 'adopt'} Method */

export function createCalls() {
  /** @type {Map<number, Call>} */
  const pending = new Map();
  /** It never fires; its being there is what counts. @type {ReturnType<typeof setInterval> | undefined} */
  let keepAlive;
  let last = 0;

  return {
    /**
     * A promise for the answer. `make` gets the call's number; if it throws, the promise rejects.
     * @template T
     * @param {string} key
     * @param {(call: number) => void} make
     * @param {Method} [method]
     * @returns {Promise<T>}
     */
    open(key, make, method = 'ensure') {
      const call = ++last;
      return new Promise((resolve, reject) => {
        pending.set(call, { key, method, resolve, reject });
        if (keepAlive === undefined) keepAlive = setInterval(() => {}, LONGEST_TIMER_MS);
        else if (pending.size === 1) keepAlive.ref();
        try {
          make(call);
        } catch (error) {
          this.close(call);
          reject(error);
        }
      });
    },

    /** Takes a call out, to be answered. @param {number} call */
    close(call) {
      const entry = pending.get(call);
      pending.delete(call);
      if (pending.size === 0) keepAlive?.unref();
      return entry;
    },

    /** Nothing is left that a call could wait for. */
    resolveAll() {
      for (const call of [...pending.keys()]) this.close(call)?.resolve(undefined);
      clearInterval(keepAlive);
      keepAlive = undefined;
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
  if (typeof signal?.addEventListener !== 'function') {
    return Promise.reject(invalidOption('signal must be an AbortSignal'));
  }
  if (signal.aborted) return Promise.reject(aborted(key, signal.reason));
  let number = 0;
  const answer = make((call) => (number = call));
  const abort = () => giveUp(number, aborted(key, signal.reason));
  signal.addEventListener('abort', abort, { once: true });
  const over = () => signal.removeEventListener('abort', abort);
  answer.then(over, over);
  return answer;
}

/** Questions to Rust that nobody is kept alive for: each is answered once, with a number. */
export function createTickets() {
  /** @type {Map<number, (answer: number) => void>} */
  const open = new Map();
  let last = 0;
  return {
    /** @param {(answer: number) => void} answered */
    open(answered) {
      open.set(++last, answered);
      return last;
    },
    /** @param {number} ticket */
    drop(ticket) {
      open.delete(ticket);
    },
    /** @param {number} ticket @param {number} answer */
    close(ticket, answer) {
      const answered = open.get(ticket);
      open.delete(ticket);
      answered?.(answer);
    },
  };
}

/** @typedef {ReturnType<typeof createTickets>} Tickets */

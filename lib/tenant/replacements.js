/**
 * Calls of `replace`. Those of one turn of JavaScript share a process. So they are passed on to
 * Rust, which starts it at once, when the turn ends or another call is to be passed on.
 */
import { unlessAborted } from './calls.js';

/**
 * The calls for one key of the present turn: to Rust they are one.
 * @typedef {object} Shared
 * @property {number} call its number
 * @property {Promise<import('../../index.js').Tenant>} answer
 * @property {number} drainMs the longest of theirs
 * @property {number} waiting how many of them have not been aborted
 */

/**
 * @param {Pick<import('../runtime.js').Core, 'native' | 'calls' | 'wake'>} core
 * @param {(key: string, call: number, error: Error) => void} giveUp aborts a call, and rejects its
 *   promise
 */
export function createReplacements({ native, calls, wake }, giveUp) {
  /** Not passed on yet, by key. @type {Map<string, Shared>} */
  const held = new Map();
  calls.passOn = passOn;

  function passOn() {
    for (const [key, { call, drainMs }] of held) {
      held.delete(key);
      try {
        native.replace(key, call, drainMs);
        wake();
      } catch (error) {
        calls.close(call)?.reject(error);
      }
    }
  }

  /** @param {string} key @param {number} drainMs @returns {Shared} */
  function join(key, drainMs) {
    let shared = held.get(key);
    if (shared === undefined) {
      let call = 0;
      const answer = calls.open(key, (_, number) => (call = number), 'replace');
      shared = { call, answer: /** @type {any} */ (answer), drainMs, waiting: 0 };
      if (held.size === 0) queueMicrotask(passOn);
      held.set(key, shared);
    }
    shared.drainMs = Math.max(shared.drainMs, drainMs);
    shared.waiting += 1;
    return shared;
  }

  /**
   * Makes a call for a valid key.
   * @param {string} key
   * @param {AbortSignal | undefined} signal
   * @param {number} drainMs
   * @returns {Promise<import('../../index.js').Tenant>}
   */
  return function replace(key, signal, drainMs) {
    if (signal === undefined) return join(key, drainMs).answer;
    /** @type {Shared} */
    let shared;
    /** @type {(error: Error) => void} */
    let reject;
    return unlessAborted(
      key,
      signal,
      (noted) => {
        shared = join(key, drainMs);
        noted(shared.call);
        return new Promise((resolve, refuse) => {
          reject = refuse;
          shared.answer.then(resolve, refuse);
        });
      },
      (call, error) => {
        reject(error);
        shared.waiting -= 1;
        if (shared.waiting > 0) return;
        if (held.get(key) === shared) held.delete(key);
        giveUp(key, call, error);
      },
    );
  };
}

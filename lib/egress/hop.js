/**
 * A hop: one request of a chain of redirects, from the lookup of its host to the last byte of its
 * answer. Ending the hop ends its lookup, connection and body.
 */
import { egressFailedFor } from '../errors.js';

/**
 * @typedef {object} Hop
 * @property {AbortSignal} signal aborted when the hop ends; all its parts reject with the reason
 * @property {(reason?: unknown) => void} end
 */

/**
 * @param {string} key of the tenant; the error of a failed hop carries it
 * @param {AbortSignal | undefined} parent ends the hop when it is aborted. No listener stays on it
 * after the hop: it may live for long
 * @returns {Hop}
 */
export function createHop(key, parent) {
  const controller = new AbortController();
  const { signal } = controller;
  const endWithParent = () => end(parent?.reason);
  function end(/** @type {unknown} */ reason = 'the request is over') {
    parent?.removeEventListener('abort', endWithParent);
    controller.abort(egressFailedFor(key, reason));
  }
  if (parent?.aborted) endWithParent();
  else parent?.addEventListener('abort', endWithParent, { once: true });
  return { signal, end };
}

/**
 * The outcome of `promise`, unless `signal` is aborted first.
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal} signal
 * @returns {Promise<T>}
 */
export function unlessAborted(promise, signal) {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

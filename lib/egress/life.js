/** One hop of a request, from its lookup to the last byte of its answer: what ends it ends all its parts. */
import { egressFailedFor } from '../errors.js';

/**
 * @typedef {object} Life
 * @property {AbortSignal} signal aborted when it is over; its reason is what every part of it rejects with
 * @property {(reason?: unknown) => void} end
 */

/**
 * @param {string} key whose request it is: a failure that ends it has the key
 * @param {AbortSignal | undefined} parent ends it, too. Nothing is left on it afterwards: it may live for long
 * @returns {Life}
 */
export function createLife(key, parent) {
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

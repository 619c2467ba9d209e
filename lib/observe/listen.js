/** The callbacks of a runtime: the user's, and those of parts that look on. */
import { guarded } from '../bridge/callbacks.js';

/** @typedef {import('../runtime.js').Core} Core */
/** @typedef {import('../../index.js').RuntimeOptions} RuntimeOptions */
/**
 * A failure that no transition tells: of a start without a process, or of a call of `replace`.
 * @typedef {{ type: 'start', key: string } | { type: 'replace', key: string, error: unknown }} Failed
 */
/**
 * `onFailure` is for parts that look on alone: users are told by the promises of their calls.
 * @typedef {Pick<RuntimeOptions, 'onLog' | 'onMetrics' | 'onTransition'> &
 *   { onFailure?: (failed: Failed) => void }} Listener
 */

const NAMES = /** @type {const} */ (['onLog', 'onMetrics', 'onTransition', 'onFailure']);

/**
 * Has the listener called after the user's callbacks, with the same events. Lines are those of
 * processes that are started from now on, if the user has no `onLog`; measurements are only there
 * if the user has `onMetrics`.
 * @param {Core} core
 * @param {Listener} listener
 * @returns {() => void} ends it
 */
export function listen(core, listener) {
  core.listeners = [...core.listeners, listener];
  if (listener.onLog !== undefined) core.native.hearLogs();
  core.hear?.();
  return () => {
    core.listeners = core.listeners.filter((other) => other !== listener);
    core.hear?.();
  };
}

/** Sets the core's callbacks. @param {Core} core */
export function hear(core) {
  for (const name of NAMES) Reflect.set(core, name, heardBy(core, name));
}

/** @param {Core} core @param {(typeof NAMES)[number]} name */
function heardBy({ settings, listeners }, name) {
  /** @type {readonly Listener[]} */
  const heard = [settings, ...listeners];
  const all = heard.flatMap((one) => {
    const call = guarded(/** @type {((event: any) => void) | undefined} */ (one[name]));
    return call === undefined ? [] : [call];
  });
  if (all.length < 2) return all[0];
  return (/** @type {unknown} */ event) => all.forEach((call) => call(event));
}

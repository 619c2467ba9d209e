/** Processes that the runtime did not start: what the user's `spawn` returns, or `adopt` gets. */
import { notAdopted, notStopped, spawnFailed, textOf } from '../errors.js';

/**
 * Reads the fields of the user's process, once. Throws if one of them is invalid; the port is not
 * checked.
 * @param {any} value
 * @param {string} origin where it comes from, for the message
 * @param {string} key
 */
export function usable(value, origin, key) {
  const wrong = (/** @type {string} */ what) =>
    spawnFailed(`Runtime process ${origin} ${what}`, { key });
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) {
    throw wrong(`must be an object, got ${value === null ? 'null' : typeof value}`);
  }
  const { pid, exited, kill, port, resourceId } = value;
  if (typeof kill !== 'function') throw wrong(`must have a function kill, got ${typeof kill}`);
  if (typeof exited?.then !== 'function')
    throw wrong(`must have a promise exited, got ${typeof exited}`);
  if (!isPid(pid))
    throw wrong(`must have a positive whole number pid, got ${textOf(pid).slice(0, 80)}`);
  return { pid, exited: Promise.resolve(exited), kill, port, resourceId: resourceIdOf(resourceId) };
}

/**
 * Reads the process that the user's `spawn` has returned. Its port, if it has one, is the port
 * that it listens on. Throws if the process is invalid.
 * @param {unknown} value
 * @param {string} key
 */
export function spawned(value, key) {
  const taken = usable(value, 'returned by spawn', key);
  if (taken.port === undefined || isPort(taken.port)) return taken;
  throw spawnFailed('Runtime process returned an invalid port', { key });
}

/** The resource's id as text. @param {unknown} given @returns {string | undefined} */
function resourceIdOf(given) {
  if (given == null) return undefined;
  return Array.isArray(given) ? textOf(given) : String(given);
}

/**
 * Whether the value is a whole number in this range.
 * @param {unknown} value
 * @param {number} least
 * @param {number} most
 */
export const isWhole = (value, least, most) =>
  Number.isInteger(value) && Number(value) >= least && Number(value) <= most;

/** Whether the value can be the pid of a process. @param {unknown} value */
export const isPid = (value) => isWhole(value, 1, 2 ** 31 - 1);

/** Whether the value can be the port of a tenant. @param {unknown} value */
export const isPort = (value) => isWhole(value, 1, 65_535);

/**
 * Whether the process has neither `exited` nor `kill`: only its pid is known.
 * @param {any} value
 */
export const isBarePid = (value) =>
  typeof value === 'object' &&
  value !== null &&
  value.exited === undefined &&
  value.kill === undefined;

/**
 * Watches a foreign process, which the runtime did not start, by its pid. It is watched and
 * signalled through a pidfd, which never means another process. Throws if it cannot be watched.
 * @param {import('../runtime.js').Core} core
 * @param {string} key
 * @param {number} pid
 * @param {{ bornAfter?: number, bornBefore?: number, resourceId?: string }} known between which
 *   times it must have been started, in milliseconds since the machine was
 */
export function foreignProcess(
  { native, tickets },
  key,
  pid,
  { bornAfter = 0, bornBefore, resourceId },
) {
  if (!isPid(pid))
    throw notAdopted(
      key,
      `its pid must be a positive whole number, got ${textOf(pid).slice(0, 80)}`,
    );
  // Read before the watch begins, since the user's `toString` may throw.
  const resource = resourceIdOf(resourceId);
  let ticket = 0;
  /** @type {Promise<number | null>} */
  const exited = new Promise((resolve) => {
    ticket = tickets.open(resolve);
  });
  const problem = native.watch(ticket, pid, bornAfter, bornBefore ?? Number.MAX_SAFE_INTEGER);
  if (problem) {
    tickets.drop(ticket);
    throw notAdopted(key, problem);
  }
  return {
    pid,
    port: undefined,
    resourceId: resource,
    exited,
    /**
     * SIGKILL cannot be refused, and a busy machine may take long to carry it out: the call is
     * pending until the process has ended, and while it is the stop is not given up.
     * @param {'SIGTERM' | 'SIGKILL'} [signal]
     */
    kill(signal) {
      const isForced = signal === 'SIGKILL';
      const refusal = native.signal(ticket, isForced);
      if (refusal) throw notStopped(key, refusal);
      return isForced ? exited.then(() => {}) : undefined;
    },
    /** Ends the watch: the process is no tenant. `exited` stays pending. */
    unwatch() {
      tickets.drop(ticket);
      native.unwatch(ticket);
    },
  };
}

/** Processes that the pool has not started itself, as they are handed to it: by `spawn`, or to `adopt`. */
import { notAdopted, notStopped, spawnFailed, textOf } from '../errors.js';

/**
 * The user's process, if it is one, read once. Whether its port will do is up to whoever asks.
 * @param {any} value
 * @param {string} origin how it came to us
 * @param {string} key
 */
export function usable(value, origin, key) {
  const wrong = (/** @type {string} */ what) => spawnFailed(`Runtime process ${origin} ${what}`, { key });
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) {
    throw wrong(`must be an object, got ${value === null ? 'null' : typeof value}`);
  }
  const { pid, exited, kill, port, resourceId } = value;
  if (typeof kill !== 'function') throw wrong(`must have a function kill, got ${typeof kill}`);
  if (typeof exited?.then !== 'function') throw wrong(`must have a promise exited, got ${typeof exited}`);
  if (!isPid(pid)) throw wrong(`must have a positive whole number pid, got ${textOf(pid).slice(0, 80)}`);
  return { pid, exited: Promise.resolve(exited), kill, port, resourceId: resourceIdOf(resourceId) };
}

/** What a `spawn` of the user's has returned: a port of its own is the one really bound. @param {unknown} value @param {string} key */
export function spawned(value, key) {
  const taken = usable(value, 'returned by spawn', key);
  if (taken.port === undefined || isPort(taken.port)) return taken;
  throw spawnFailed('Runtime process returned an invalid port', { key });
}

/** @param {unknown} given @returns {string | undefined} */
function resourceIdOf(given) {
  if (given == null) return undefined;
  return Array.isArray(given) ? textOf(given) : String(given);
}

/** @param {unknown} value @param {number} least @param {number} most */
export const isWhole = (value, least, most) =>
  Number.isInteger(value) && Number(value) >= least && Number(value) <= most;

/** Whether a process can have it. @param {unknown} value */
export const isPid = (value) => isWhole(value, 1, 2 ** 31 - 1);

/** @param {unknown} value */
export const isPort = (value) => isWhole(value, 1, 65_535);

/** A process of which nothing but the pid is known. @param {any} value */
export const isBarePid = (value) =>
  typeof value === 'object' && value !== null && value.exited === undefined && value.kill === undefined;

/**
 * A process that somebody else has started, by its pid: its end is seen, and it is signalled, through a pidfd, which never
 * means another process.
 * @param {import('../runtime.js').Core} core
 * @param {string} key
 * @param {number} pid
 * @param {{ bornAfter?: number, bornBefore?: number, resourceId?: string }} known when it was started, in milliseconds since
 *   the machine was
 */
export function foreignProcess({ native, tickets }, key, pid, { bornAfter = 0, bornBefore, resourceId }) {
  if (!isPid(pid))
    throw notAdopted(key, `its pid must be a positive whole number, got ${textOf(pid).slice(0, 80)}`);
  // Before it is watched: the user's `toString` may throw.
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
    /** @param {'SIGTERM' | 'SIGKILL'} [signal] */
    kill(signal) {
      const refusal = native.signal(ticket, signal === 'SIGKILL');
      if (refusal) throw notStopped(key, refusal);
    },
    /** It is not to be a tenant after all. */
    letGo() {
      tickets.drop(ticket);
      native.unwatch(ticket);
    },
  };
}

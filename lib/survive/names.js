/**
 * The names of hosts whose tenants outlive them: who has each, and the end of what was left. All of
 * it is asked of the warden that listens for a name.
 */
import { readdirSync } from 'node:fs';
import { native } from '../bridge/native.js';
import { namesDirectory } from '../socket-paths.js';
import { isName } from './option.js';

const SOCKET = '.sock';

/**
 * @typedef {object} Owned
 * @property {string} name
 * @property {number} protocol
 * @property {string} version of the package that the warden is of
 * @property {number} wardenPid
 * @property {number} ownerPid of the host that has the name; 0: none has
 * @property {number} epoch how many hosts have had it
 * @property {number} sinceMs since when that host has it, or none has; since the epoch
 * @property {number} runs how many tenants there are
 * @property {string} [problem] why none of this can be said
 */

/**
 * What became of asking a warden to end what was left.
 * @typedef {{ outcome: 'ended' | 'nobody' | 'inUse' | 'failed', pid?: number, runs?: number,
 *   reason?: string }} Ending
 */

/**
 * @param {string} name
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<Owned | null>} null: nothing is left of the name
 */
export async function lookAt(name, env) {
  const found = await new Promise((resolve) =>
    native().lookAtOwner(namesDirectory(env), name, resolve),
  );
  return found && { name, ...found };
}

/** All names that have a warden, or a socket that cannot be asked. @param {NodeJS.ProcessEnv} env @returns {Promise<Owned[]>} */
export async function lookAtAll(env) {
  const all = await Promise.all(namesIn(env).map((name) => lookAt(name, env)));
  return all.filter((owned) => owned !== null);
}

/**
 * Ends what was left of a name, if no host has it. Resolves when all of it is gone.
 * @param {string} name
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<Ending>}
 */
export const endLeft = (name, env) =>
  new Promise((resolve) => native().endOwned(namesDirectory(env), name, resolve));

/** @param {NodeJS.ProcessEnv} env @returns {string[]} */
function namesIn(env) {
  try {
    return readdirSync(namesDirectory(env))
      .filter((file) => file.endsWith(SOCKET))
      .map((file) => file.slice(0, -SOCKET.length))
      .filter(isName)
      .sort();
  } catch {
    // No host of this user has had a name.
    return [];
  }
}

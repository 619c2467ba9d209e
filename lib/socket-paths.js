/**
 * Where the sockets of a user's hosts are if nothing else is said. Clients look there, too, and start
 * fast: this file imports nothing.
 */

/** The longest path of a unix socket on Linux. */
export const MOST_PATH_BYTES = 107;

/** The directory of a user without `$XDG_RUNTIME_DIR`. Both kinds of sockets are in it. */
export const ownDirectory = () => `/tmp/absolute-runtime-${process.getuid?.() ?? 0}`;

/** @param {NodeJS.ProcessEnv} env */
const runtimeDirectory = ({ XDG_RUNTIME_DIR: directory }) =>
  directory?.startsWith('/') ? directory.replace(/\/+$/, '') : undefined;

/** Where a control listens. @param {NodeJS.ProcessEnv} [env] */
export function defaultPath(env = process.env) {
  const directory = runtimeDirectory(env);
  return directory === undefined
    ? `${ownDirectory()}/control.sock`
    : `${directory}/absolute-runtime.sock`;
}

/**
 * The directory in which the wardens of all names of this user listen. The addon makes it.
 * @param {NodeJS.ProcessEnv} [env]
 */
export function namesDirectory(env = process.env) {
  const directory = runtimeDirectory(env);
  return directory === undefined ? ownDirectory() : `${directory}/absolute-runtime`;
}

/** The name that no host can have, as its socket would be that of a control. */
export const TAKEN = 'control';

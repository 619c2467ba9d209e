/**
 * Where a control listens if nothing else is said. Its clients look there, too, and start fast:
 * this file imports nothing.
 */

/** The directory of a user without `$XDG_RUNTIME_DIR`. */
export const ownDirectory = () => `/tmp/absolute-runtime-${process.getuid?.() ?? 0}`;

/** @param {NodeJS.ProcessEnv} [env] */
export const defaultPath = ({ XDG_RUNTIME_DIR: directory } = process.env) =>
  directory?.startsWith('/')
    ? `${directory.replace(/\/+$/, '')}/absolute-runtime.sock`
    : `${ownDirectory()}/control.sock`;

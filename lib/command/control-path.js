/** Where a control listens unless it was said, as lib/control/socket.js has it. */

/** @param {NodeJS.ProcessEnv} env */
export const defaultControlPath = ({ XDG_RUNTIME_DIR }) =>
  XDG_RUNTIME_DIR?.startsWith('/')
    ? `${XDG_RUNTIME_DIR}/absolute-runtime.sock`
    : `/tmp/absolute-runtime-${process.getuid?.()}/control.sock`;

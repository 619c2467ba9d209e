/** Where the control socket is, unless it was said. */

/** @param {NodeJS.ProcessEnv} env */
export const defaultControlPath = ({ XDG_RUNTIME_DIR }) =>
  XDG_RUNTIME_DIR
    ? `${XDG_RUNTIME_DIR}/absolute-runtime.sock`
    : `/tmp/absolute-runtime-${process.getuid?.()}/control.sock`;

/** What a service manager such as systemd hands over and is told. */
/** The first descriptor that is handed over. */
const FIRST_FD = 3;

/**
 * The sockets that the manager listens at for us (`LISTEN_FDS`), and takes their variables out of
 * the environment, which is not about what we start.
 *
 * @param {NodeJS.ProcessEnv} env
 * @param {(text: string) => void} complain
 * @returns {{ fd: number }[]} none if there are none, or if they are for another process
 */
export function inheritedSockets(env, complain) {
  const { LISTEN_FDS, LISTEN_PID } = env;
  delete env.LISTEN_FDS;
  delete env.LISTEN_PID;
  delete env.LISTEN_FDNAMES;
  if (LISTEN_FDS === undefined) return [];
  if (Number(LISTEN_PID) !== process.pid) {
    complain(
      `LISTEN_FDS=${LISTEN_FDS} is for process ${LISTEN_PID}, and this is ${process.pid}: start the ` +
        'command itself, and not by npx or a shell, to hand sockets over.',
    );
    return [];
  }
  const count = Number(LISTEN_FDS);
  return Array.from({ length: Number.isInteger(count) ? count : 0 }, (_, index) => ({
    fd: FIRST_FD + index,
  }));
}

/**
 * @param {NodeJS.ProcessEnv} env
 * @param {(text: string) => void} complain
 * @returns {{ tell: (state: string) => Promise<void> }}
 */
export function serviceManager(env, complain) {
  const { NOTIFY_SOCKET: socket } = env;
  delete env.NOTIFY_SOCKET;
  return {
    tell: async (state) => {
      if (!socket) return;
      try {
        const { native } = await import('../../bridge/native.js');
        native().notifyServiceManager(socket, state);
      } catch (error) {
        const why = /** @type {Error} */ (error).message;
        complain(`The service manager at ${socket} is not told ${state.split('\n')[0]}: ${why}`);
      }
    },
  };
}

/** What systemd is told of a reload: it compares the moment with its own clock. */
export const reloading = () => `RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1_000n}`;

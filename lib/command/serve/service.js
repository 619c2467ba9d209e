/** What a service manager such as systemd hands over and is told, and what it needs of a host. */
import { accessSync, constants, readFileSync } from 'node:fs';

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

/**
 * The unit of systemd below whose own control group limits will make others. Such a group, of
 * version 2, takes no process any more, so the next host cannot be started in that unit beside what
 * this one leaves.
 *
 * @param {NodeJS.ProcessEnv} env
 * @param {{ pid: number, groups: () => string, mayWrite: (file: string) => boolean }} [machine]
 * @returns {string | undefined} its name; undefined where nothing is in the next host's way
 */
export function unitInTheWay(env, { pid, groups, mayWrite } = thisMachine) {
  // The unit's main process, and not one that was started by hand somewhere below a unit.
  if (Number(env.SYSTEMD_EXEC_PID) !== pid) return undefined;
  const text = groups();
  // Groups of version 1 take processes, whatever is below them.
  if (/^\d+:(?:[^:]*,)?(?:memory|cpu|pids)(?:,[^:]*)?:/m.test(text)) return undefined;
  const [, group, unit] = /^0::(\/.*?([^/]+\.service))$/m.exec(text) ?? [];
  if (unit === undefined || !mayWrite(`/sys/fs/cgroup${group}/cgroup.procs`)) return undefined;
  return unit;
}

const thisMachine = {
  pid: process.pid,
  groups: () => readFileSync('/proc/self/cgroup', 'utf8'),
  mayWrite: (/** @type {string} */ file) => {
    try {
      accessSync(file, constants.W_OK);
      return true;
    } catch {
      return false;
    }
  },
};

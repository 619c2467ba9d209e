/**
 * Processes that the user's own functions start, check and stop. Whatever those do (throw at once, reject, never
 * settle, return the wrong thing) becomes exactly one fact for the pool, or none.
 */
import { notAdopted, notStopped, spawnFailed, textOf } from './errors.js';

/** @typedef {import('./ledger.js').Run} Run */
/** @typedef {import('../index.js').RuntimeProcess} RuntimeProcess */
/** @typedef {import('../index.js').RuntimeLogEvent} RuntimeLogEvent */

/** Lines of output kept to explain a start that fails. */
const KEPT_LINES = 20;

/**
 * Calls the user's `spawn` and follows the process it returns; one that cannot be used is ended before its start fails.
 * @param {Run} run
 * @param {any} native
 * @param {import('./options.js').Settings} settings
 * @param {{ cwd: string, env: Record<string, string> }} where
 * @param {((event: RuntimeLogEvent) => void) | undefined} onLog
 * @param {() => void} wake to be called after facts
 */
export async function spawnExternal(run, native, settings, { cwd, env }, onLog, wake) {
  const { spawn } = settings;
  const onLogLine = (/** @type {RuntimeLogEvent} */ event) => passOn(run, event, onLog);
  let process;
  try {
    const value = await /** @type {Function} */ (spawn)({ cwd, env, onLogLine, key: run.key });
    try {
      process = usable(value, 'returned by spawn');
    } catch (error) {
      await endUnusable(value, settings.stopTimeoutMs);
      throw error;
    }
    run.process = value;
    run.resourceId = process.resourceId;
  } catch (error) {
    return failStart(run, native, error, wake);
  }
  native.started(run.id, process.pid, process.port ?? 0);
  wake();
  reportExit(run.id, native, process.exited, wake);
}

/** There is no process, and there will be none. @param {Run} run @param {any} native @param {unknown} error @param {() => void} wake */
export function failStart(run, native, error, wake) {
  run.startError = error;
  native.startFailed(run.id, textOf(error));
  wake();
}

/**
 * What waits lives as long as the process, and so is as small as can be: an async function would keep several times as
 * much for each tenant, and what is not needed.
 * @param {number} run
 * @param {any} native
 * @param {PromiseLike<unknown>} exited
 * @param {() => void} wake
 */
export function reportExit(run, native, exited, wake) {
  /** @param {unknown} code */
  function over(code) {
    native.exited(run, exitCodeOf(code));
    wake();
  }
  // It will never be known how it ended; that it did is all there is to hold on to.
  const lost = () => over(undefined);
  try {
    Promise.resolve(exited).then(over, lost);
  } catch {
    lost();
  }
}

/** The user's process, if it is one, read once. @param {any} value @param {string} origin how it came to us */
export function usable(value, origin) {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) {
    throw wrong(origin, `must be an object, got ${value === null ? 'null' : typeof value}`);
  }
  const { pid, exited, kill, port, resourceId } = value;
  if (typeof kill !== 'function') throw wrong(origin, `must have a function kill, got ${typeof kill}`);
  if (typeof exited?.then !== 'function')
    throw wrong(origin, `must have a promise exited, got ${typeof exited}`);
  if (!isPid(pid)) {
    throw wrong(origin, `must have a positive whole number pid, got ${textOf(pid)}`);
  }
  if (port !== undefined && !isPort(port)) {
    throw spawnFailed('Runtime process returned an invalid port');
  }
  return { pid, exited, kill, port, resourceId: resourceId == null ? undefined : String(resourceId) };
}

/** @param {string} origin @param {string} what */
const wrong = (origin, what) => spawnFailed(`Runtime process ${origin} ${what}`);

/** @param {unknown} value @param {number} least @param {number} most */
const isWhole = (value, least, most) =>
  Number.isInteger(value) && Number(value) >= least && Number(value) <= most;

/** Whether a process can have it. @param {unknown} value */
export const isPid = (value) => isWhole(value, 1, 2 ** 31 - 1);

/** @param {unknown} value */
export const isPort = (value) => isWhole(value, 1, 65_535);

/**
 * Asks it to end, then insists; waits for its end where it can be seen.
 * @param {any} process
 * @param {number} stopTimeoutMs
 */
async function endUnusable(process, stopTimeoutMs) {
  for (const signal of [[], ['SIGKILL']]) {
    try {
      const asked = Promise.resolve(process?.kill?.(...signal));
      asked.catch(() => {});
      if (typeof process?.exited?.then !== 'function') return;
      const ended = Promise.resolve(process.exited).then(
        () => true,
        () => true,
      );
      if (await Promise.race([ended, isLate(stopTimeoutMs)])) return;
    } catch {
      // Asked again below; more cannot be done about a process whose own `kill` fails.
    }
  }
}

/** False after a time, for which the host is not kept alive. @param {number} ms @returns {Promise<false>} */
const isLate = (ms) => new Promise((resolve) => setTimeout(resolve, ms, false).unref());

/** @param {unknown} code @returns {number | null} */
const exitCodeOf = (code) => (isWhole(code, -(2 ** 31), 2 ** 31 - 1) ? Number(code) : null);

/**
 * A line that a user's process has written. After the end of the run nothing about it is told any more.
 * @param {Run} run
 * @param {RuntimeLogEvent} event
 * @param {((event: RuntimeLogEvent) => void) | undefined} onLog
 */
function passOn(run, event, onLog) {
  if (run.isOver) return;
  const line = String(event?.line);
  if (run.live === undefined) {
    const output = (run.output ??= []);
    if (output.push(line) > KEPT_LINES) output.shift();
  }
  const stream = event?.stream === 'stderr' ? 'stderr' : 'stdout';
  const pid = Number.isInteger(event?.pid) ? event.pid : run.pid;
  onLog?.({ key: run.key, pid, stream, line, at: typeof event?.at === 'number' ? event.at : Date.now() });
}

/**
 * Calls the user's `readiness`, once.
 * @param {Run} run
 * @param {any} native
 * @param {Function} readiness
 * @param {() => void} wake
 */
export async function askReadiness(run, native, readiness, wake) {
  const { key, port, startedAt } = run;
  try {
    const isReady = await readiness({ key, port, startedAt });
    native.readiness(run.id, Boolean(isReady));
  } catch (error) {
    run.startError = error;
    native.readinessFailed(run.id, textOf(error));
  }
  wake();
}

/**
 * Calls `kill` of the user's process. That it worked is seen by its exit; here only its refusal is.
 * @param {Run} run
 * @param {any} native
 * @param {boolean} force
 * @param {() => void} wake
 */
export async function askKill(run, native, force, wake) {
  const process = /** @type {any} */ (run.process);
  native.stopAsked(run.id, force);
  try {
    await (force ? process.kill('SIGKILL') : process.kill());
  } catch (error) {
    run.killError = error;
    native.stopRefused(run.id, force, textOf(error));
    wake();
  }
}

/**
 * Asks the user whether an idle tenant is to be stopped; anything but `true` keeps it. Never twice at once for a key: a
 * question that is still open keeps the tenant, too.
 * @param {Run} run
 * @param {number} idleMs
 * @param {any} native
 * @param {Function} shouldIdleKill
 * @param {Set<string>} asked keys with an open question
 * @param {() => void} wake
 */
export async function askIdle(run, idleMs, native, shouldIdleKill, asked, wake) {
  const { key } = run;
  const tenant = run.live?.tenant;
  let stop = false;
  if (!asked.has(key)) {
    asked.add(key);
    try {
      stop = (await shouldIdleKill({ idleMs, key, tenant })) === true;
    } catch {
      // Whoever cannot say so keeps it.
    }
    asked.delete(key);
  }
  native.idleAnswered(run.id, stop);
  wake();
}

/** A process of which nothing but the pid is known. @param {any} value */
export const isBarePid = (value) =>
  typeof value === 'object' && value !== null && value.exited === undefined && value.kill === undefined;

/**
 * A process that somebody else has started, by its pid: its end is seen, and it is signalled, through a pidfd, which never
 * means another process.
 * @param {import('./runtime.js').Core} core
 * @param {string} key
 * @param {number} pid
 * @param {{ bornAfter?: number, bornBefore?: number, resourceId?: string }} known when it was started, in milliseconds since
 *   the machine was
 */
export function foreignProcess({ native, tickets }, key, pid, { bornAfter = 0, bornBefore, resourceId }) {
  if (!isPid(pid)) throw notAdopted(key, `its pid must be a positive whole number, got ${textOf(pid)}`);
  let ticket = 0;
  /** @type {Promise<number | null>} */
  const exited = new Promise((resolve) => {
    ticket = tickets.open((exitCode) => resolve(Number.isNaN(exitCode) ? null : exitCode));
  });
  const problem = native.watch(ticket, pid, bornAfter, bornBefore ?? Number.MAX_SAFE_INTEGER);
  if (problem) {
    tickets.drop(ticket);
    throw notAdopted(key, problem);
  }
  return {
    pid,
    port: undefined,
    resourceId: resourceId == null ? undefined : String(resourceId),
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

/**
 * Processes that the user's functions start, check and stop. Each call of such a function becomes
 * one fact for the pool, whether it returns, throws or rejects, or none if it never settles.
 *
 * The functions that every start calls use `then` and closures over `run` alone: `await`, and
 * variables of their own, would make twice as many objects.
 */
import { signalNumber } from '../bridge/batch.js';
import { textOf } from '../errors.js';
import { LONGEST_TIMER_MS } from './calls.js';
import { isWhole, spawned } from './processes.js';

/** @typedef {import('./tenants.js').Run} Run */
/** @typedef {import('../runtime.js').Core} Core */
/** @typedef {import('../../index.js').RuntimeProcess} RuntimeProcess */
/** @typedef {import('../../index.js').RuntimeLogEvent} RuntimeLogEvent */

/**
 * The number of output lines that are kept for the error of a failed start, as in `crates/linux`.
 */
const KEPT_LINES = 20;
/** The characters that are kept of each. */
const KEPT_LENGTH = 1_024;

/**
 * The callers of the user's functions of one runtime.
 * @param {Core} core
 */
export function createExternal(core) {
  const { native, settings, wake } = core;
  const { spawn, readiness, shouldIdleKill, stopTimeoutMs } = /** @type {Record<string, any>} */ (
    settings
  );
  /** Keys whose call has not settled. @type {{ idle: Set<string>, sleep: Set<string> }} */
  const asked = { idle: new Set(), sleep: new Set() };

  /**
   * Calls `spawn`, and reports the process that it returns. An invalid process is ended before its
   * start fails.
   * @param {Run} run
   * @param {string} cwd
   * @param {Record<string, string>} env
   */
  function start(run, cwd, env) {
    const onLogLine = (/** @type {RuntimeLogEvent} */ event) => passOn(run, event);
    const failed = (/** @type {unknown} */ error) => failStart(run, error);
    try {
      const started = spawn({ cwd, env, onLogLine, key: run.key });
      Promise.resolve(started).then((process) => follow(run, process), failed);
    } catch (error) {
      failed(error);
    }
  }

  /**
   * Reports the process of the run.
   * @param {Run} run
   * @param {any} process what `spawn` has returned
   */
  function follow(run, process) {
    /** @type {ReturnType<typeof spawned>} */
    let taken;
    try {
      taken = spawned(process, run.key);
    } catch (error) {
      return void refuse(run, process, error);
    }
    run.process = process;
    run.resourceId = taken.resourceId;
    wake(native.started(run.id, taken.pid, taken.port ?? 0, taken.resourceId !== undefined));
    reportExit(run, taken.exited);
  }

  /**
   * Ends an invalid process, and fails its start.
   * @param {Run} run
   * @param {any} process
   * @param {unknown} error
   */
  async function refuse(run, process, error) {
    await endUnusable(process, stopTimeoutMs);
    failStart(run, error);
  }

  /**
   * Reports that the start has failed, and left no process.
   * @param {Run} run
   * @param {unknown} error
   */
  function failStart(run, error) {
    run.startError = error;
    wake(native.startFailed(run.id, textOf(error)));
  }

  /**
   * Reports the exit of the run's process. The closures here live as long as the process, and so
   * are few and small.
   * @param {Run} run
   * @param {PromiseLike<unknown>} exited
   */
  function reportExit(run, exited) {
    const over = (/** @type {unknown} */ code) =>
      gone(run, exitCodeOf(run.process, code), signalOf(run.process));
    // A promise that rejects says that the process has ended, and not how.
    const lost = () => gone(run, null, undefined);
    try {
      Promise.resolve(exited).then(over, lost);
    } catch {
      lost();
    }
  }

  /**
   * Reports an exit.
   * @param {Run} run
   * @param {number | null} exitCode
   * @param {string | undefined} signal
   */
  function gone(run, exitCode, signal) {
    if (run.live === undefined && !run.isAskedToStop) clearUp(run.process);
    wake(native.exited(run.id, exitCode, signalNumber(signal), run.output?.join('\n') ?? ''));
  }

  /**
   * Passes a line of the run's process on to `onLog`, unless the run is over.
   * @param {Run} run
   * @param {RuntimeLogEvent} event
   */
  function passOn(run, event) {
    if (run.isOver) return;
    const { line, stream, pid, at } = lineOf(event);
    const output = (run.output ??= []);
    const kept = line.length > KEPT_LENGTH ? line.slice(0, KEPT_LENGTH) : line;
    if (output.push(kept) > KEPT_LINES) output.shift();
    core.onLog?.({ key: run.key, pid: pid ?? run.pid, stream, line, at });
  }

  /** Calls `readiness`, once. @param {Run} run */
  function askReadiness(run) {
    const failed = (/** @type {unknown} */ error) => {
      run.startError = error;
      wake(native.readinessFailed(run.id, textOf(error)));
    };
    try {
      const answer = readiness({ key: run.key, port: run.port, startedAt: run.startedAt });
      // Only `false` means not ready: a check that returns nothing has found no fault.
      Promise.resolve(answer).then(
        (isReady) => wake(native.readiness(run.id, isReady !== false)),
        failed,
      );
    } catch (error) {
      failed(error);
    }
  }

  /**
   * Calls `kill` of the run's process, and reports whether it resolved or failed. The exit is
   * reported by `reportExit`.
   * @param {Run} run
   * @param {boolean} force
   */
  async function askKill(run, force) {
    const process = /** @type {any} */ (run.process);
    run.isAskedToStop = true;
    native.stopAsked(run.id, force);
    const call = force ? 'kill("SIGKILL")' : 'kill()';
    const pending = (run.pendingKills ??= new Set());
    pending.add(call);
    try {
      await (force ? process.kill('SIGKILL') : process.kill());
      pending.delete(call);
      if (!run.isOver) wake(native.stopAnswered(run.id, force));
    } catch (error) {
      pending.delete(call);
      run.killError = error;
      wake(native.stopRefused(run.id, force, textOf(error)));
    }
  }

  /** Calls `shouldIdleKill`, and reports its answer. @param {Run} run @param {number} idleMs */
  async function askIdle(run, idleMs) {
    const stop = await mayGo(shouldIdleKill, asked.idle, run, idleMs);
    wake(native.idleAnswered(run.id, stop));
  }

  /** Calls `shouldSleep`, and reports its answer. @param {Run} run @param {number} idleMs */
  async function askSleep(run, idleMs) {
    const sleep = await mayGo(settings.sleep?.shouldSleep, asked.sleep, run, idleMs);
    wake(native.sleepAnswered(run.id, sleep));
  }

  return { start, failStart, reportExit, askReadiness, askKill, askIdle, askSleep };
}

/** @typedef {ReturnType<typeof createExternal>} External */

/**
 * Whether the user's function resolves to `true`; anything else keeps the tenant as it is. There is
 * one call at a time for a key: while it is pending the tenant is kept, too.
 * @param {((question: any) => unknown) | undefined} ask
 * @param {Set<string>} asked keys whose call has not settled
 * @param {Run} run
 * @param {number} idleMs
 */
async function mayGo(ask, asked, { key, live }, idleMs) {
  if (asked.has(key)) return false;
  asked.add(key);
  try {
    return (await ask?.({ idleMs, key, tenant: live?.tenant })) === true;
  } catch {
    // A call that fails keeps the tenant.
    return false;
  } finally {
    asked.delete(key);
  }
}

/**
 * The fields of a line that the user's `spawn` passes, read once. Never throws.
 * @param {any} event
 */
function lineOf(event) {
  try {
    const { line, stream, pid, at } = event;
    return {
      line: textOf(line),
      stream:
        stream === 'stderr' ? /** @type {const} */ ('stderr') : /** @type {const} */ ('stdout'),
      pid: Number.isInteger(pid) ? /** @type {number} */ (pid) : undefined,
      at: typeof at === 'number' ? at : Date.now(),
    };
  } catch (error) {
    const line = `a line that cannot be read: ${textOf(error)}`;
    return { line, stream: /** @type {const} */ ('stdout'), pid: undefined, at: Date.now() };
  }
}

/**
 * Calls `kill` of a process that ended before it was ready, once, as the TypeScript package does:
 * an adapter may have something to remove, a container for one. The call is not waited for.
 * @param {any} process
 */
function clearUp(process) {
  try {
    Promise.resolve(process.kill()).catch(() => {});
  } catch {
    // Ignored: the process has ended.
  }
}

/**
 * Calls `kill` of an invalid process, and again with SIGKILL if it has not ended in time. Waits
 * for its end if it has `exited`.
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
      // SIGKILL comes next; no more can be done about a process whose `kill` fails.
    }
  }
}

/**
 * Resolves to false after this time. Does not keep the host process alive.
 * @param {number} ms
 * @returns {Promise<false>}
 */
const isLate = (ms) =>
  new Promise((resolve) => setTimeout(resolve, Math.min(ms, LONGEST_TIMER_MS), false).unref?.());

/**
 * The exit code; null if a signal ended the process, for which Bun passes a number as well.
 * @param {any} process
 * @param {unknown} code
 * @returns {number | null}
 */
function exitCodeOf(process, code) {
  if (signalOf(process) !== undefined || !isWhole(code, -(2 ** 31), 2 ** 31 - 1)) return null;
  return Number(code);
}

/**
 * The signal that ended the process, if it has `signalCode`, as a Bun `Subprocess` does.
 * @param {any} process
 * @returns {string | undefined}
 */
function signalOf(process) {
  try {
    return typeof process?.signalCode === 'string' ? process.signalCode : undefined;
  } catch {
    return undefined;
  }
}

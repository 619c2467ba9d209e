/**
 * Processes that the user's own functions start, check and stop. Whatever those do (throw at once, reject, never
 * settle, return the wrong thing) becomes exactly one fact for the pool, or none.
 *
 * What is on the way of every start uses `then`, and functions that hold on to `run` alone: `await`, and variables of
 * their own, would make twice as many objects.
 */
import { signalNumber } from '../bridge/batch.js';
import { textOf } from '../errors.js';
import { LONGEST_TIMER_MS } from './ledger.js';
import { isWhole, spawned } from './processes.js';

/** @typedef {import('./ledger.js').Run} Run */
/** @typedef {import('../runtime.js').Core} Core */
/** @typedef {import('../../index.js').RuntimeProcess} RuntimeProcess */
/** @typedef {import('../../index.js').RuntimeLogEvent} RuntimeLogEvent */

/** Lines of output kept to explain how a process has ended, and how much of each: as of a process of ours. */
const KEPT_LINES = 20;
const KEPT_LENGTH = 1_024;

/**
 * The user's functions of one runtime.
 * @param {Core} core
 */
export function createExternal({ native, settings, onLog, wake }) {
  const { spawn, readiness, shouldIdleKill, stopTimeoutMs } = /** @type {Record<string, any>} */ (settings);
  /** Keys whose `shouldIdleKill` has not answered yet. @type {Set<string>} */
  const asked = new Set();

  /**
   * Calls `spawn` and follows the process it returns; one that cannot be used is ended before its start fails.
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

  /** @param {Run} run @param {any} process what `spawn` has returned */
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

  /** @param {Run} run @param {any} process @param {unknown} error */
  async function refuse(run, process, error) {
    await endUnusable(process, stopTimeoutMs);
    failStart(run, error);
  }

  /** There is no process, and there will be none. @param {Run} run @param {unknown} error */
  function failStart(run, error) {
    run.startError = error;
    wake(native.startFailed(run.id, textOf(error)));
  }

  /**
   * What waits lives as long as the process, and so is as small as can be.
   * @param {Run} run
   * @param {PromiseLike<unknown>} exited
   */
  function reportExit(run, exited) {
    const over = (/** @type {unknown} */ code) =>
      gone(run, exitCodeOf(run.process, code), signalOf(run.process));
    // It will never be known how it ended; that it did is all there is to hold on to.
    const lost = () => gone(run, null, undefined);
    try {
      Promise.resolve(exited).then(over, lost);
    } catch {
      lost();
    }
  }

  /** @param {Run} run @param {number | null} exitCode @param {string | undefined} signal */
  function gone(run, exitCode, signal) {
    if (run.live === undefined && !run.isAskedToStop) clearUp(run.process);
    wake(native.exited(run.id, exitCode, signalNumber(signal), run.output?.join('\n') ?? ''));
  }

  /** A line that a process has written. After the end of the run nothing about it is told any more. @param {Run} run @param {RuntimeLogEvent} event */
  function passOn(run, event) {
    if (run.isOver) return;
    const { line, stream, pid, at } = lineOf(event);
    const output = (run.output ??= []);
    const kept = line.length > KEPT_LENGTH ? line.slice(0, KEPT_LENGTH) : line;
    if (output.push(kept) > KEPT_LINES) output.shift();
    onLog?.({ key: run.key, pid: pid ?? run.pid, stream, line, at });
  }

  /** Calls `readiness`, once. @param {Run} run */
  function askReadiness(run) {
    const failed = (/** @type {unknown} */ error) => {
      run.startError = error;
      wake(native.readinessFailed(run.id, textOf(error)));
    };
    try {
      const answer = readiness({ key: run.key, port: run.port, startedAt: run.startedAt });
      // Only `false` says no: a check that says nothing has found nothing wrong.
      Promise.resolve(answer).then((isReady) => wake(native.readiness(run.id, isReady !== false)), failed);
    } catch (error) {
      failed(error);
    }
  }

  /** Calls `kill` of the process. That it worked is seen by its exit; here only its refusal is. @param {Run} run @param {boolean} force */
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

  /**
   * Asks whether an idle tenant is to be stopped; anything but `true` keeps it. Never twice at once for a key: a question
   * that is still open keeps the tenant, too.
   * @param {Run} run
   * @param {number} idleMs
   */
  async function askIdle(run, idleMs) {
    const { key } = run;
    let stop = false;
    if (!asked.has(key)) {
      asked.add(key);
      try {
        stop = (await shouldIdleKill({ idleMs, key, tenant: run.live?.tenant })) === true;
      } catch {
        // Whoever cannot say so keeps it.
      }
      asked.delete(key);
    }
    wake(native.idleAnswered(run.id, stop));
  }

  return { start, failStart, reportExit, askReadiness, askKill, askIdle };
}

/** @typedef {ReturnType<typeof createExternal>} External */

/** What is in a line of the user's, read once; whatever it is, it breaks nothing. @param {any} event */
function lineOf(event) {
  try {
    const { line, stream, pid, at } = event;
    return {
      line: textOf(line),
      stream: stream === 'stderr' ? /** @type {const} */ ('stderr') : /** @type {const} */ ('stdout'),
      pid: Number.isInteger(pid) ? /** @type {number} */ (pid) : undefined,
      at: typeof at === 'number' ? at : Date.now(),
    };
  } catch (error) {
    const line = `a line that cannot be read: ${textOf(error)}`;
    return { line, stream: /** @type {const} */ ('stdout'), pid: undefined, at: Date.now() };
  }
}

/**
 * One that ended before it was ready has its `kill` called once, as the TypeScript package does: an adapter may have
 * something to remove, a container for one. What comes of it is not waited for.
 * @param {any} process
 */
function clearUp(process) {
  try {
    Promise.resolve(process.kill()).catch(() => {});
  } catch {
    // There is nothing left that would have to end.
  }
}

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
const isLate = (ms) =>
  new Promise((resolve) => setTimeout(resolve, Math.min(ms, LONGEST_TIMER_MS), false).unref?.());

/** None where a signal ended it: Bun makes a number of that, and says so beside it. @param {any} process @param {unknown} code @returns {number | null} */
function exitCodeOf(process, code) {
  if (signalOf(process) !== undefined || !isWhole(code, -(2 ** 31), 2 ** 31 - 1)) return null;
  return Number(code);
}

/** The signal that ended it, where it says so, as a Bun `Subprocess` does. @param {any} process @returns {string | undefined} */
function signalOf(process) {
  try {
    return typeof process?.signalCode === 'string' ? process.signalCode : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Processes that the user's own functions start, check and stop. Whatever those do (throw at once, reject, never
 * settle, return the wrong thing) becomes exactly one fact for the pool, or none.
 *
 * What is on the way of every start uses `then`, and functions that hold on to `run` alone: `await`, and variables of
 * their own, would make twice as many objects.
 */
import { signalNumber } from './batch.js';
import { textOf } from './errors.js';
import { LONGEST_TIMER_MS } from './ledger.js';
import { isWhole, usable } from './processes.js';

/** @typedef {import('./ledger.js').Run} Run */
/** @typedef {import('./runtime.js').Core} Core */
/** @typedef {import('../index.js').RuntimeProcess} RuntimeProcess */
/** @typedef {import('../index.js').RuntimeLogEvent} RuntimeLogEvent */

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
    /** @type {ReturnType<typeof usable>} */
    let taken;
    try {
      taken = usable(process, 'returned by spawn');
    } catch (error) {
      return void refuse(run, process, error);
    }
    run.process = process;
    run.resourceId = taken.resourceId;
    wake(native.started(run.id, taken.pid, taken.port ?? 0));
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
    const over = (/** @type {unknown} */ code) => {
      const signal = signalOf(run.process);
      const exitCode = signal === undefined && isWhole(code, -(2 ** 31), 2 ** 31 - 1) ? Number(code) : null;
      wake(native.exited(run.id, exitCode, signalNumber(signal), run.output?.join('\n') ?? ''));
    };
    // It will never be known how it ended; that it did is all there is to hold on to.
    const lost = () => wake(native.exited(run.id, null, 0, run.output?.join('\n') ?? ''));
    try {
      Promise.resolve(exited).then(over, lost);
    } catch {
      lost();
    }
  }

  /** A line that a process has written. After the end of the run nothing about it is told any more. @param {Run} run @param {RuntimeLogEvent} event */
  function passOn(run, event) {
    if (run.isOver) return;
    const line = String(event?.line);
    const output = (run.output ??= []);
    if (output.push(line.length > KEPT_LENGTH ? line.slice(0, KEPT_LENGTH) : line) > KEPT_LINES)
      output.shift();
    const stream = event?.stream === 'stderr' ? 'stderr' : 'stdout';
    const pid = Number.isInteger(event?.pid) ? event.pid : run.pid;
    onLog?.({ key: run.key, pid, stream, line, at: typeof event?.at === 'number' ? event.at : Date.now() });
  }

  /** Calls `readiness`, once. @param {Run} run */
  function askReadiness(run) {
    const failed = (/** @type {unknown} */ error) => {
      run.startError = error;
      wake(native.readinessFailed(run.id, textOf(error)));
    };
    try {
      const answer = readiness({ key: run.key, port: run.port, startedAt: run.startedAt });
      Promise.resolve(answer).then((isReady) => wake(native.readiness(run.id, Boolean(isReady))), failed);
    } catch (error) {
      failed(error);
    }
  }

  /** Calls `kill` of the process. That it worked is seen by its exit; here only its refusal is. @param {Run} run @param {boolean} force */
  async function askKill(run, force) {
    const process = /** @type {any} */ (run.process);
    native.stopAsked(run.id, force);
    try {
      await (force ? process.kill('SIGKILL') : process.kill());
      if (!run.isOver) wake(native.stopAnswered(run.id, force));
    } catch (error) {
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

/** The signal that ended it, where it says so, as a Bun `Subprocess` does. @param {any} process @returns {string | undefined} */
function signalOf(process) {
  try {
    return typeof process?.signalCode === 'string' ? process.signalCode : undefined;
  } catch {
    return undefined;
  }
}

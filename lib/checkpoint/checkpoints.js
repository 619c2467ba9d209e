/**
 * Snapshots of idle tenants: taken before they are stopped, restored when they are wanted again, by the user's driver.
 *
 * One thing at a time happens to a key's snapshot, and no process of the key is started while it does. A snapshot counts
 * only when the process it was taken of ended as `checkpointed`: any other end means that the tenant has moved past it.
 */
import { notAdopted, textOf } from '../errors.js';
import { foreignProcess } from '../external.js';

/** @typedef {import('../runtime.js').Core} Core */
/** @typedef {import('../tenants.js').Run} Run */
/** @typedef {ReturnType<typeof createCheckpoints>} Checkpoints */

/** How long a restored process that does not answer gets to end. */
const GONE_MS = 5_000;

/** @param {Core} core */
export function createCheckpoints(core) {
  const { native, settings, counts, images, wake } = core;
  const { driver, restoreTimeoutMs } = /** @type {NonNullable<typeof settings.checkpoint>} */ (
    settings.checkpoint
  );
  /** What is being done to a key's snapshot. @type {Map<string, Promise<unknown>>} */
  const busy = new Map();
  /** Runs that the driver has saved. @type {Set<number>} */
  const saved = new Set();
  /** Runs that came from a snapshot. @type {Set<number>} */
  const fromImage = new Set();

  /**
   * After whatever else is being done to the key's snapshot.
   * @template T
   * @param {string} key
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  function inTurn(key, work) {
    const turn = (busy.get(key) ?? Promise.resolve()).then(work, work);
    const over = turn.then(forget, forget);
    function forget() {
      if (busy.get(key) === over) busy.delete(key);
    }
    busy.set(key, over);
    return turn;
  }

  /** @param {string} key */
  function drop(key) {
    images.delete(key);
    return inTurn(key, async () => driver.drop(key)).catch(() => {});
  }

  /** Takes a snapshot of a tenant that is about to be stopped, and says whether there is one. @param {Run} run */
  async function save(run) {
    const { key, pid } = run;
    const isSaved = await inTurn(key, async () => (await driver.checkpoint({ key, pid })) === true).catch(
      () => false,
    );
    if (isSaved && run.isOver) return void drop(key);
    if (isSaved) saved.add(run.id);
    native.checkpointed(run.id, isSaved);
    wake();
  }

  /** Its process is gone. @param {Run} run @param {import('../../index.js').ExitReason} reason */
  function exited(run, reason) {
    const wasSaved = saved.delete(run.id);
    const cameFromImage = fromImage.delete(run.id);
    if (reason !== 'checkpointed' && (wasSaved || cameFromImage)) void drop(run.key);
  }

  /** Restores the key's snapshot, or starts it cold. @param {Run} run @param {boolean} isFresh @param {() => void} startCold */
  async function restoreOr(run, isFresh, startCold) {
    try {
      if (isFresh) await within(restoreTimeoutMs, drop(run.key));
      else if (await restore(run)) return;
      // What was being done to the snapshot is done: no second process while it was.
      await within(restoreTimeoutMs, busy.get(run.key) ?? Promise.resolve());
      startCold();
    } catch (error) {
      run.startError = error;
      native.startFailed(run.id, textOf(error));
      wake();
    }
  }

  /** Whether the run is being taken care of. @param {Run} run */
  async function restore(run) {
    const { key } = run;
    const before = busy.get(key) ?? Promise.resolve();
    await within(restoreTimeoutMs, before);
    const hasImage = await within(
      restoreTimeoutMs,
      inTurn(key, async () => driver.has(key)),
    ).catch(() => false);
    if (hasImage !== true || !native.isStarting(run.id)) return false;
    const process = await bringBack(run);
    if (process === undefined) {
      counts.checkpoints.restoreFailures += 1;
      await within(restoreTimeoutMs, drop(key)).catch(() => {});
      return false;
    }
    images.delete(key);
    fromImage.add(run.id);
    run.process = process;
    native.restored(run.id, process.pid);
    const over = (/** @type {number | null} */ code) => {
      native.exited(run.id, code);
      wake();
    };
    void process.exited.then(over);
    wake();
    return true;
  }

  /** The restored process, once it answers. @param {Run} run */
  async function bringBack(run) {
    const { key } = run;
    const deadline = performance.now() + restoreTimeoutMs;
    // The starts of processes are known to a hundredth of a second, rounded down.
    const bornAfter = Math.floor(native.sinceBootMs() / 10) * 10;
    const restoring = inTurn(key, async () => driver.restore({ key }));
    let restored;
    try {
      restored = await within(restoreTimeoutMs, restoring);
    } catch {
      // Whenever it comes after all, it comes too late.
      restoring.then(
        (late) => end(key, late, bornAfter),
        () => {},
      );
      return undefined;
    }
    const process = take(key, restored, bornAfter);
    if (process === undefined) return undefined;
    if (await isReady(run, process, deadline - performance.now())) return process;
    await stop(process);
    return undefined;
  }

  /** Only a process that the driver has just started: any other pid is somebody else's. @param {string} key @param {any} restored @param {number} bornAfter */
  function take(key, restored, bornAfter) {
    try {
      const pid = restored?.pid;
      if (!Number.isInteger(pid)) throw notAdopted(key, 'the driver restored none');
      return foreignProcess(core, key, pid, { bornAfter });
    } catch {
      return undefined;
    }
  }

  /** @param {string} key @param {any} restored @param {number} bornAfter */
  function end(key, restored, bornAfter) {
    const process = take(key, restored, bornAfter);
    if (process !== undefined) void stop(process);
  }

  /** @param {ReturnType<typeof foreignProcess>} process */
  async function stop(process) {
    try {
      process.kill('SIGKILL');
      await within(GONE_MS, process.exited);
    } catch {
      // It is not ours to insist.
    }
  }

  /** @param {Run} run @param {ReturnType<typeof foreignProcess>} process @param {number} timeoutMs */
  async function isReady({ key, port, startedAt }, process, timeoutMs) {
    const answers = settings.readiness
      ? Promise.resolve(settings.readiness({ key, port, startedAt })).then(Boolean)
      : answering(port, timeoutMs);
    const gone = process.exited.then(() => false);
    return within(timeoutMs, Promise.race([answers, gone])).catch(() => false);
  }

  /** @param {number} port @param {number} timeoutMs @returns {Promise<boolean>} */
  function answering(port, timeoutMs) {
    return new Promise((resolve) => {
      const ticket = core.tickets.open((answer) => resolve(answer === 1));
      native.askReady(ticket, port, Math.max(timeoutMs, 1));
    });
  }

  return { save, exited, restoreOr };
}

/**
 * The promise's outcome, or an error after that long. Does not keep the host process alive.
 * @template T
 * @param {number} ms
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
function within(ms, promise) {
  return new Promise((resolve, reject) => {
    const late = () => reject(new Error(`the checkpoint driver did not answer within ${ms} ms`));
    const timer = setTimeout(late, ms);
    timer.unref?.();
    const over = () => clearTimeout(timer);
    promise.then(resolve, reject).finally(over);
  });
}

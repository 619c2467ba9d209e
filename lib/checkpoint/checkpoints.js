/**
 * Snapshots of idle tenants: taken before they are stopped, restored when they are wanted again, by the user's driver.
 *
 * One thing at a time happens to a key's snapshot, and no process of the key is started while it does. A snapshot counts
 * only when the process it was taken of ended as `checkpointed`: any other end means that the tenant has moved past it. It
 * is dropped as soon as it has been restored, so that it never is again, whatever becomes of the tenant or the host.
 *
 * Loaded for a runtime that has a driver: see `../tenancy.js`.
 */
import { driverIsLate, notAdopted } from '../errors.js';
import { foreignProcess } from '../tenant/processes.js';

/** @typedef {import('../runtime.js').Core} Core */
/** @typedef {import('../tenant/ledger.js').Run} Run */
/** @typedef {ReturnType<typeof createCheckpoints>} Checkpoints */

/** How long a restored process that does not answer gets to end. */
const GONE_MS = 5_000;
/**
 * A wait is counted in steps of this length, and a step that ends later than that by more than a second does not count: then
 * the host did not run, or its event loop was blocked, and whoever is waited for may have answered long ago.
 */
const STEP_MS = 250;
const LATE_MS = 1_000;

/** An answer at `::1`; see `ask_ready` in `crates/driver/src/foreign.rs`. */
const AT_IPV6 = 2;

/** @param {Core} core */
export function createCheckpoints(core) {
  const { native, settings, counts, images, external, wake } = core;
  const { driver, restoreTimeoutMs } = /** @type {NonNullable<typeof settings.checkpoint>} */ (
    settings.checkpoint
  );
  /** What is being done to a key's snapshot. @type {Map<string, Promise<unknown>>} */
  const busy = new Map();
  /** Keys whose tenant has moved past whatever snapshot there may be: it is to be dropped. @type {Set<string>} */
  const stale = new Set();
  /** Runs that the driver has saved. @type {Set<number>} */
  const saved = new Set();

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

  /** Until nothing is being done to the key's snapshot any more. @param {string} key */
  function quiet(key) {
    return within(restoreTimeoutMs, busy.get(key) ?? Promise.resolve()).catch(() => {
      throw driverIsLate(key, restoreTimeoutMs);
    });
  }

  /** @param {string} key */
  function drop(key) {
    images.delete(key);
    stale.add(key);
    inTurn(key, async () => {
      await driver.drop(key);
      stale.delete(key);
    }).catch(() => {});
  }

  /** Takes a snapshot of a tenant that is about to be stopped, and says whether there is one. @param {Run} run */
  async function save(run) {
    const { key, pid } = run;
    const isSaved = await inTurn(key, async () => {
      try {
        if ((await driver.checkpoint({ key, pid })) !== true) return false;
      } catch {
        // Half a snapshot may be there.
        stale.add(key);
        return false;
      }
      if (run.isOver) {
        stale.add(key);
      } else {
        stale.delete(key);
        saved.add(run.id);
      }
      return true;
    });
    if (stale.has(key)) drop(key);
    wake(native.checkpointed(run.id, isSaved));
  }

  /** Its process is gone. @param {Run} run @param {import('../../index.js').ExitReason} reason */
  function exited(run, reason) {
    const wasSaved = saved.delete(run.id);
    if (reason !== 'checkpointed' && wasSaved) drop(run.key);
  }

  /** Restores the key's snapshot, or starts it cold. @param {Run} run @param {boolean} isFresh @param {() => void} startCold */
  async function restoreOr(run, isFresh, startCold) {
    try {
      if (isFresh) drop(run.key);
      else if (await restore(run)) return;
      // What was being done to the snapshot is done: no second process while it was.
      await quiet(run.key);
      if (native.isStarting(run.id)) return startCold();
      wake(native.exited(run.id, null, 0, ''));
    } catch (error) {
      external.failStart(run, error);
    }
  }

  /** Whether the run is being taken care of. @param {Run} run */
  async function restore(run) {
    const { key } = run;
    await quiet(key);
    if (!(await hasImage(run))) return false;
    const brought = await bringBack(run);
    // Whatever came of it: what has been restored once moves on from it, and what could not be will not be.
    drop(key);
    if (brought === undefined || !native.restored(run.id, brought.process.pid, brought.port)) {
      counts.checkpoints.restoreFailures += 1;
      if (brought !== undefined) await stop(brought.process);
      return false;
    }
    run.process = brought.process;
    if (brought.isAtIpv6) run.host = '::1';
    external.reportExit(run, brought.process.exited);
    wake();
    return true;
  }

  /** Whether there is a snapshot for the run to come back from, and it is still wanted. @param {Run} run */
  async function hasImage({ id, key }) {
    if (stale.has(key)) {
      drop(key);
      return false;
    }
    const asked = inTurn(key, async () => driver.has(key));
    const answer = await within(restoreTimeoutMs, asked).catch(() => 'unknown');
    if (!native.isStarting(id)) return false;
    if (answer === 'unknown') stale.add(key);
    return answer === true;
  }

  /** The restored process, once it answers, and where. @param {Run} run */
  async function bringBack(run) {
    const { key } = run;
    const patience = { leftMs: restoreTimeoutMs };
    let isLate = false;
    const restoring = inTurn(key, async () => {
      // The starts of processes are known to a hundredth of a second, rounded down.
      const bornAfter = Math.floor(native.sinceBootMs() / 10) * 10;
      const process = take(key, await driver.restore({ key }), bornAfter);
      if (!isLate || process === undefined) return process;
      await stop(process);
      return undefined;
    });
    const process = await within(patience, restoring).catch(() => void (isLate = true));
    if (process === undefined) return undefined;
    // The port of a snapshot that another host has taken is not known here.
    const isUnknown = !images.has(key) && settings.readiness === undefined;
    const port = isUnknown ? await portOf(process, patience) : run.port;
    const answer = port === 0 ? false : await readinessOf(run, port, process, patience);
    if (answer !== false) return { process, port, isAtIpv6: answer === AT_IPV6 };
    await stop(process);
    return undefined;
  }

  /** Where it listens; 0 if it ends first, or does not within this time. @param {ReturnType<typeof foreignProcess>} process @param {Patience} patience @returns {Promise<number>} */
  function portOf(process, patience) {
    const found = new Promise((resolve) => {
      native.findPort(core.tickets.open(resolve), process.pid, Math.max(patience.leftMs, 1));
    });
    return within(patience, Promise.race([found, process.exited.then(() => 0)])).catch(() => 0);
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

  /** @param {ReturnType<typeof foreignProcess>} process */
  async function stop(process) {
    try {
      process.kill('SIGKILL');
      // After `dispose` nobody sees its end, and nothing is started that would have to wait for it.
      if (counts.closedAt === undefined) await within(GONE_MS, process.exited);
    } catch {
      // It is not ours to insist.
    }
    process.letGo();
  }

  /** False if it is not ready. @param {Run} run @param {number} port @param {ReturnType<typeof foreignProcess>} process @param {Patience} patience */
  async function readinessOf(run, port, process, patience) {
    const { key, startedAt } = run;
    const { readiness } = settings;
    const answers = readiness
      ? Promise.resolve({ key, port, startedAt })
          .then(readiness)
          .then((isReady) => isReady !== false)
      : answering(port, process.pid, patience.leftMs);
    const gone = process.exited.then(() => false);
    return within(patience, Promise.race([answers, gone])).catch(() => false);
  }

  /** Where it answers, as `ask_ready` of `crates/driver/src/foreign.rs` counts it. @param {number} port @param {number} pid @param {number} timeoutMs @returns {Promise<number | false>} */
  function answering(port, pid, timeoutMs) {
    return new Promise((resolve) => {
      const ticket = core.tickets.open((answer) => resolve(answer || false));
      native.askReady(ticket, port, pid, Math.max(timeoutMs, 1));
    });
  }

  return { save, exited, restoreOr };
}

/** What is left of a time that several waits share. @typedef {{ leftMs: number }} Patience */

/**
 * The promise's outcome, or an error after that long. Does not keep the host process alive.
 * @template T
 * @param {number | Patience} time
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
function within(time, promise) {
  if (time === Infinity) return promise;
  const patience = typeof time === 'number' ? { leftMs: time } : time;
  const limitMs = patience.leftMs;
  return new Promise((resolve, reject) => {
    /** @type {ReturnType<typeof setTimeout>} */
    let timer;
    let begun = 0;
    const step = () => {
      const stepMs = Math.min(patience.leftMs, STEP_MS);
      begun = performance.now();
      timer = setTimeout(() => {
        if (performance.now() - begun < stepMs + LATE_MS) patience.leftMs -= stepMs;
        if (patience.leftMs > 0) step();
        else reject(new Error(`not within ${limitMs} ms`));
      }, stepMs);
      timer.unref?.();
    };
    step();
    const over = () => {
      clearTimeout(timer);
      patience.leftMs -= Math.min(performance.now() - begun, STEP_MS);
    };
    promise.then(resolve, reject).finally(over);
  });
}

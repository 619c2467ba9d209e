/**
 * Calls the user's snapshot driver when the pool asks for it, and reports the outcome: one report
 * for each call, and one more when the time limit of a start is over. `crates/pool/src/images.rs`
 * decides what is kept, trusted, restored and dropped, and allows one operation at a time on a
 * key's snapshot.
 *
 * Loaded for a runtime that has a snapshot driver: see `../tenancy.js`.
 */
import { driverIsLate, notAdopted } from '../errors.js';
import { foreignProcess } from '../tenant/processes.js';

/** @typedef {import('../runtime.js').Core} Core */
/** @typedef {import('../tenant/tenants.js').Run} Run */
/** @typedef {ReturnType<typeof createCheckpoints>} Checkpoints */

/** How long to wait for the end of a restored process that was refused and killed. */
const GONE_MS = 5_000;
/** Time limits are counted in steps of this length. */
const STEP_MS = 250;
/**
 * A step that ends later than it should by more than this does not count: the host did not run, or
 * its event loop was blocked, and the answer may have been there in time.
 */
const LATE_MS = 1_000;

/**
 * The answer of a process that listens at `::1`; see `ask_ready` in
 * `crates/driver/src/foreign.rs`.
 */
const AT_IPV6 = 2;

/** The answers of a snapshot driver, as `imageAnswered` in `src/runtime.rs` takes them. */
const NO = 0;
const YES = 1;
const FAILED = 2;

/** @param {Core} core */
export function createCheckpoints(core) {
  const { native, settings, counts, external, wake } = core;
  const { driver, restoreTimeoutMs } = /** @type {NonNullable<typeof settings.checkpoint>} */ (
    settings.checkpoint
  );
  /**
   * Functions that end the wait of a run for the snapshot driver, by key and then by run: beside a
   * start of the release that serves, a called-off one of the release before may still wait.
   * @type {Map<string, Map<number, () => void>>}
   */
  const waits = new Map();

  /**
   * Makes a call of the snapshot driver, and reports whether it resolves to `true` or fails.
   * @param {string} key
   * @param {() => unknown} call
   * @param {number} otherwise the answer if it resolves to anything else
   */
  async function ask(key, call, otherwise) {
    let answer = FAILED;
    try {
      answer = (await call()) === true ? YES : otherwise;
    } catch {
      // The operation may have been done in part: FAILED.
    }
    report(key, answer);
  }

  /** Reports an answer about the key's snapshot. @param {string} key @param {number} answer */
  function report(key, answer) {
    endWaits(key);
    wake(native.imageAnswered(key, answer));
    // A closed runtime gets no records, so it asks whether the snapshot is to be dropped.
    if (counts.closedAt !== undefined && native.dropsImage(key)) drop(key);
  }

  /** Takes a snapshot of a tenant that is about to be stopped. @param {Run} run */
  function save({ key, pid }) {
    void ask(key, () => driver.checkpoint({ key, pid }), NO);
  }

  /** Says whether there is a snapshot for the run to come back from. @param {Run} run */
  function find(run) {
    wait(run);
    void ask(run.key, () => driver.has(run.key), NO);
  }

  /** Drops the key's snapshot. @param {string} key */
  function drop(key) {
    void ask(key, async () => (await driver.drop(key), true), FAILED);
  }

  /** Begins the time limit of a run that waits for the snapshot driver. @param {Run} run */
  function wait(run) {
    endWait(run);
    const ofKey = waits.get(run.key) ?? new Map();
    waits.set(run.key, ofKey);
    const waiting = new Promise((resolve) => ofKey.set(run.id, () => resolve(undefined)));
    within(restoreTimeoutMs, waiting).catch(() => late(run));
  }

  /** Ends the time limit of the run. @param {Run} run */
  function endWait({ key, id }) {
    const ofKey = waits.get(key);
    ofKey?.get(id)?.();
    if (ofKey?.delete(id) && ofKey.size === 0) waits.delete(key);
  }

  /** Ends the time limits of all runs of the key: the driver has answered. @param {string} key */
  function endWaits(key) {
    waits.get(key)?.forEach((end) => end());
    waits.delete(key);
  }

  /** Reports that the time limit of the run is over. @param {Run} run */
  function late(run) {
    endWait(run);
    const error = driverIsLate(run.key, restoreTimeoutMs);
    // The error of its callers, if the start fails for that.
    run.startError = error;
    wake(native.imageLate(run.id, error.message));
  }

  /**
   * Restores the run from its snapshot.
   * @param {Run} run
   * @param {boolean} isOurs the snapshot is of a process of this runtime
   */
  async function restore(run, isOurs) {
    endWait(run);
    const patience = { leftMs: restoreTimeoutMs };
    const bringing = bringBack(run.key);
    const process = await within(patience, bringing).catch(() => void late(run));
    const place = process && (await placeOf(run, isOurs, process, patience));
    if (place && native.restored(run.id, process.pid, place.port)) {
      endWaits(run.key);
      run.process = process;
      if (place.isAtIpv6) run.host = '::1';
      external.reportExit(run, process.exited);
      return wake();
    }
    counts.checkpoints.restoreFailures += 1;
    // A process that was restored too late is killed, as one that was refused.
    const unwanted = await bringing;
    if (unwanted !== undefined) await stop(unwanted);
    report(run.key, FAILED);
  }

  /**
   * The process that the snapshot driver has started; undefined if it has not.
   * @param {string} key
   */
  async function bringBack(key) {
    // The starts of processes are known to a hundredth of a second, rounded down.
    const bornAfter = Math.floor(native.sinceBootMs() / 10) * 10;
    try {
      return take(key, await driver.restore({ key }), bornAfter);
    } catch {
      return undefined;
    }
  }

  /**
   * The port and address at which the restored process answers; undefined if it does not.
   * @param {Run} run
   * @param {boolean} isOurs the snapshot is of a process of this runtime
   * @param {ReturnType<typeof foreignProcess>} process
   * @param {Patience} patience
   */
  async function placeOf(run, isOurs, process, patience) {
    // If another host has taken the snapshot, its port is unknown here.
    const isKnown = run.port !== 0 && (isOurs || settings.readiness !== undefined);
    const port = isKnown ? run.port : await portOf(process, patience);
    const answer = port !== 0 && (await readinessOf(run, port, process, patience));
    return answer === false ? undefined : { port, isAtIpv6: answer === AT_IPV6 };
  }

  /**
   * The port that the process listens on; 0 if it exits first, or has none in time.
   * @param {ReturnType<typeof foreignProcess>} process
   * @param {Patience} patience
   * @returns {Promise<number>}
   */
  function portOf(process, patience) {
    const found = new Promise((resolve) => {
      native.findPort(core.tickets.open(resolve), process.pid, Math.max(patience.leftMs, 1));
    });
    return within(patience, Promise.race([found, process.exited.then(() => 0)])).catch(() => 0);
  }

  /**
   * Takes the process that the driver has restored. It must have been started after `bornAfter`:
   * an older process has nothing to do with the snapshot.
   * @param {string} key
   * @param {any} restored
   * @param {number} bornAfter milliseconds since the machine was started
   */
  function take(key, restored, bornAfter) {
    const pid = restored?.pid;
    if (!Number.isInteger(pid)) throw notAdopted(key, 'the driver restored none');
    return foreignProcess(core, key, pid, { bornAfter });
  }

  /** Kills a refused process. @param {ReturnType<typeof foreignProcess>} process */
  async function stop(process) {
    try {
      process.kill('SIGKILL');
      // After `dispose` its exit is not seen any more, and no start follows that would have to
      // wait.
      if (counts.closedAt === undefined) await within(GONE_MS, process.exited);
    } catch {
      // It cannot be killed, or does not end in time. No more can be done.
    }
    process.unwatch();
  }

  /**
   * Whether the restored process is ready, and where it answers if that is known; false if it is
   * not.
   * @param {Run} run
   * @param {number} port
   * @param {ReturnType<typeof foreignProcess>} process
   * @param {Patience} patience
   */
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

  /**
   * Where the process answers, as the number that `ask_ready` of `crates/driver/src/foreign.rs`
   * returns; false if it does not.
   * @param {number} port
   * @param {number} pid
   * @param {number} timeoutMs
   * @returns {Promise<number | false>}
   */
  function answering(port, pid, timeoutMs) {
    return new Promise((resolve) => {
      const ticket = core.tickets.open((answer) => resolve(answer || false));
      native.askReady(ticket, port, pid, Math.max(timeoutMs, 1));
    });
  }

  return { save, find, drop, wait, restore };
}

/** The rest of a time limit that several waits share. @typedef {{ leftMs: number }} Patience */

/**
 * The promise's outcome, or an error when the time is over. Does not keep the host process alive.
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

/**
 * Calls the user's snapshot driver when the pool says so, and reports what has come of it: one report for each call, and one
 * more when a start has waited for as long as it may. What is kept, trusted, restored and dropped is decided in
 * `crates/pool/src/images.rs`, which also sees to it that one thing at a time happens to a key's snapshot.
 *
 * Loaded for a runtime that has a snapshot driver: see `../tenancy.js`.
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
 * the host did not run, or its event loop was blocked, and the answer that is waited for may have been there long ago.
 */
const STEP_MS = 250;
const LATE_MS = 1_000;

/** An answer at `::1`; see `ask_ready` in `crates/driver/src/foreign.rs`. */
const AT_IPV6 = 2;

/** What the snapshot driver says, as `imageAnswered` in `src/runtime.rs` takes it. */
const NO = 0;
const YES = 1;
const FAILED = 2;

/** @param {Core} core */
export function createCheckpoints(core) {
  const { native, settings, counts, external, wake } = core;
  const { driver, restoreTimeoutMs } = /** @type {NonNullable<typeof settings.checkpoint>} */ (
    settings.checkpoint
  );
  /** Ends the wait of the start that waits for the snapshot driver, by key. @type {Map<string, () => void>} */
  const waits = new Map();

  /**
   * Reports what the snapshot driver says: whether `call` comes to `true`, or fails.
   * @param {string} key
   * @param {() => unknown} call
   * @param {number} otherwise what anything but `true` means
   */
  async function ask(key, call, otherwise) {
    let answer = FAILED;
    try {
      answer = (await call()) === true ? YES : otherwise;
    } catch {
      // Half of what was to be done may be done.
    }
    report(key, answer);
  }

  /** @param {string} key @param {number} answer */
  function report(key, answer) {
    endWait(key);
    wake(native.imageAnswered(key, answer));
    // A runtime that is closed sends no records up.
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

  /** @param {string} key */
  function drop(key) {
    void ask(key, async () => (await driver.drop(key), true), FAILED);
  }

  /** The run waits for the snapshot driver: says when that takes too long. @param {Run} run */
  function wait(run) {
    endWait(run.key);
    const waiting = new Promise((resolve) => waits.set(run.key, () => resolve(undefined)));
    within(restoreTimeoutMs, waiting).catch(() => late(run));
  }

  /** @param {string} key */
  function endWait(key) {
    waits.get(key)?.();
    waits.delete(key);
  }

  /** @param {Run} run */
  function late(run) {
    const error = driverIsLate(run.key, restoreTimeoutMs);
    // What its callers get, if it fails for that.
    run.startError = error;
    wake(native.imageLate(run.id, error.message));
  }

  /** Brings the run back; `isOurs` if the snapshot is of a process of this runtime. @param {Run} run @param {boolean} isOurs */
  async function restore(run, isOurs) {
    endWait(run.key);
    const patience = { leftMs: restoreTimeoutMs };
    const bringing = bringBack(run.key);
    const process = await within(patience, bringing).catch(() => void late(run));
    const place = process && (await placeOf(run, isOurs, process, patience));
    if (place && native.restored(run.id, process.pid, place.port)) {
      run.process = process;
      if (place.isAtIpv6) run.host = '::1';
      external.reportExit(run, process.exited);
      return wake();
    }
    counts.checkpoints.restoreFailures += 1;
    // One that comes too late is ended like one that cannot be taken.
    const unwanted = await bringing;
    if (unwanted !== undefined) await stop(unwanted);
    report(run.key, FAILED);
  }

  /** The process that the snapshot driver has started; undefined if it has not. @param {string} key */
  async function bringBack(key) {
    // The starts of processes are known to a hundredth of a second, rounded down.
    const bornAfter = Math.floor(native.sinceBootMs() / 10) * 10;
    try {
      return take(key, await driver.restore({ key }), bornAfter);
    } catch {
      return undefined;
    }
  }

  /** Where the restored process answers; undefined if it does not. @param {Run} run @param {boolean} isOurs @param {ReturnType<typeof foreignProcess>} process @param {Patience} patience */
  async function placeOf(run, isOurs, process, patience) {
    // The port of a snapshot that another host has taken is not known here.
    const isKnown = run.port !== 0 && (isOurs || settings.readiness !== undefined);
    const port = isKnown ? run.port : await portOf(process, patience);
    const answer = port !== 0 && (await readinessOf(run, port, process, patience));
    return answer === false ? undefined : { port, isAtIpv6: answer === AT_IPV6 };
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
    const pid = restored?.pid;
    if (!Number.isInteger(pid)) throw notAdopted(key, 'the driver restored none');
    return foreignProcess(core, key, pid, { bornAfter });
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

  return { save, find, drop, wait, restore };
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

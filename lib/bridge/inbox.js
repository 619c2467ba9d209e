/**
 * The inbox: takes batches from Rust and handles their records without blocking the event loop for
 * long. When the time of a turn is up it continues in a later turn, in the middle of a batch or of
 * a text of many lines if need be. All other records overtake the lines that are left by then, so
 * no tenant waits for another one's lines, however slow `onLog` is.
 */
import { Batch } from './batch.js';
import { disregard, disregarded } from './callbacks.js';
import { BATCH_STARTS, BOARD_QUEUED } from './records.js';

/** @typedef {import('./batch.js').Texts} Texts */

/** The time of one turn, so that the host's timers and requests are not delayed. */
const TURN_MS = 4;
/**
 * The most lines between two looks at the clock, which costs as much as half a line. If lines are
 * slow there are fewer.
 */
const MOST_LINES_PER_LOOK = 64;
/** If this time has passed between two looks, lines are slow: the clock is read at each one. */
const SLOW_MS = 0.5;
/**
 * A turn ends after so many callbacks that returned a promise, or a few more, since this is
 * checked together with the clock. The rest of such functions runs right after the turn, before
 * anything else of the host, and the clock does not show it.
 */
const MOST_PROMISES = 64;

/**
 * @template {{ native: { take(hasLines: boolean): Texts | undefined, numbers: Float64Array },
 *   board: Float64Array, startsInHand: number }} C
 * @param {C} core
 * @param {(core: C, batch: Batch) => LogText | undefined} handle takes one record; returns its
 *   text if it is one of log lines
 */
export function createInbox(core, handle) {
  const { native, board } = core;
  const batch = new Batch(native.numbers);
  /** @type {LogText | undefined} */
  let lines;
  /** The batch was taken while lines are left: its records come before them. */
  let overtakes = false;
  // The batch has log text, which takes up room until the next batch is taken.
  let holdsRoom = false;
  let isScheduled = false;
  const watch = new Stopwatch();

  /** @param {Texts} [texts] of the batch that Rust has just written */
  function begin(texts) {
    batch.begin(texts);
    core.startsInHand = 0;
  }

  /** @param {boolean} isContinuation the turn before had no time for all records or lines */
  function turn(isContinuation) {
    watch.start(isContinuation);
    if (lines !== undefined && batch.isEmpty && board[BOARD_QUEUED] !== 0) {
      begin(native.take(true));
      batch.hold();
      overtakes = true;
    }
    for (;;) {
      if (!batch.isEmpty && (lines === undefined || overtakes)) {
        if (watch.isOver()) return later();
        lines = handle(core, batch) ?? lines;
        holdsRoom ||= lines !== undefined;
      } else if (lines !== undefined) {
        if (overtakes) watch.grantOne();
        overtakes = false;
        if (lines.deliver(watch)) return later();
        lines = undefined;
      } else {
        // Each start holds a port until its function has returned: these functions run first.
        if (core.startsInHand >= BATCH_STARTS) {
          core.startsInHand = 0;
          return later();
        }
        batch.end();
        if (board[BOARD_QUEUED] === 0 && !holdsRoom) return;
        begin(native.take(false));
        holdsRoom = false;
      }
    }
  }

  /** @type {(() => void) | undefined} */
  let cancelNext;

  /** Schedules the next turn, of which there is never more than one. */
  function later() {
    const next = () => {
      cancelNext?.();
      turn(true);
    };
    const immediate = setImmediate(next);
    // In Node an immediate that does not keep the process alive does not wake a sleeping event
    // loop either.
    const timer = setTimeout(next, 1);
    // Calls without an answer keep the process alive (`createCalls`); output alone does not.
    immediate.unref?.();
    timer.unref?.();
    cancelNext = () => {
      cancelNext = undefined;
      clearImmediate(immediate);
      clearTimeout(timer);
    };
  }

  /** Makes a turn, unless one is scheduled. */
  function turnUnlessComing() {
    if (cancelNext === undefined) turn(false);
  }

  function scheduled() {
    isScheduled = false;
    turnUnlessComing();
  }

  return {
    /** Called by Rust when records are queued. */
    rung: turnUnlessComing,

    /**
     * Handles the records that a call into Rust has led to: soon, but never before the call has
     * returned.
     * @param {Texts} [texts] what the call returned, if it was a report that wrote the next batch
     */
    soon(texts) {
      if (texts !== undefined) begin(texts);
      if (isScheduled || (board[BOARD_QUEUED] === 0 && batch.isEmpty)) return;
      isScheduled = true;
      queueMicrotask(scheduled);
    },
  };
}

/** @typedef {ReturnType<typeof createInbox>} Inbox */

/** Measures a turn with as few looks at the clock as possible: a turn with one record has none. */
class Stopwatch {
  startedAt = 0;
  lookedAt = 0;
  untilLook = 0;
  stride = 1;

  /** @param {boolean} atOnce the time begins now, and not at the first look */
  start(atOnce) {
    this.startedAt = atOnce ? performance.now() : 0;
    this.lookedAt = this.startedAt;
    this.untilLook = 2;
    this.stride = 1;
    disregarded.promises = 0;
  }

  /** Grants one more record or line, even if the time is up. */
  grantOne() {
    this.untilLook = 2;
  }

  /**
   * Whether the time is up. To be called before each record and each line; never true before the
   * first one.
   */
  isOver() {
    return --this.untilLook <= 0 && this.look();
  }

  /** Looks at the clock. A method of its own, so that `isOver`, called for each line, is small. */
  look() {
    const now = performance.now();
    if (this.startedAt === 0) {
      this.startedAt = now;
    } else {
      const isSlow = now - this.lookedAt > SLOW_MS;
      this.stride = isSlow ? 1 : Math.min(this.stride * 2, MOST_LINES_PER_LOOK);
    }
    this.untilLook = this.stride;
    this.lookedAt = now;
    return now - this.startedAt > TURN_MS || disregarded.promises >= MOST_PROMISES;
  }
}

/**
 * One or more lines of one process in one text. The user's `onLog` is called and guarded here,
 * without a function in between (as in `callbacks.js`), since a burst of lines is over before Bun
 * has optimized much.
 */
export class LogText {
  from = 0;

  /**
   * @param {import('./records.js').LogRecord} record
   * @param {string} key
   * @param {number} pid
   * @param {((event: import('../../index.js').RuntimeLogEvent) => unknown) | undefined} onLog the
   *   user's
   */
  constructor(record, key, pid, onLog) {
    this.record = record;
    this.key = key;
    this.pid = pid;
    this.onLog = onLog;
  }

  /**
   * Delivers lines until none is left or the time is up. Returns true if there are more.
   * @param {Stopwatch} watch
   */
  deliver(watch) {
    const { key, pid, onLog } = this;
    if (onLog === undefined) return false;
    const { text, stream, at } = this.record;
    // The first line needs no check: the record had one.
    while (this.from === 0 || !watch.isOver()) {
      const end = text.indexOf('\n', this.from);
      const isLast = end < 0;
      const line = isLast ? text.slice(this.from) : text.slice(this.from, end);
      try {
        const result = onLog({ key, pid, stream, line, at });
        if (result !== undefined && result !== null) disregard(result);
      } catch {
        // Ignored: an error in a callback must not affect the runtime.
      }
      if (isLast) return false;
      this.from = end + 1;
    }
    return true;
  }
}

/**
 * Takes batches from Rust and hands out what is in them, without holding the event loop for long: after its time is
 * up it goes on in a later turn, in the middle of a batch or of a text of many lines if need be. Whatever is not output
 * overtakes the lines that are left by then: nobody waits for another tenant's lines, however slow `onLog` is.
 */
import { Batch } from './batch.js';
import { disregard, disregarded } from './callbacks.js';
import { BATCH_STARTS, BOARD_QUEUED } from './records.js';

/** @typedef {import('./batch.js').Texts} Texts */

/** What one turn may take, so that timers and requests of the host get theirs. */
const TURN_MS = 4;
/** Lines between two looks at the clock, unless lines turn out to be slow: a look costs as much as half a line. */
const MOST_LINES_PER_LOOK = 64;
const SLOW_MS = 0.5;
/**
 * Callbacks in a turn that may return a promise, or little more, as this is looked at together with the clock. What such
 * functions still have to do comes right after the turn, before anything else of the host, and the clock does not show it.
 */
const MOST_PROMISES = 64;

/**
 * @template {{ native: { take(hasLines: boolean): Texts | undefined, numbers: Float64Array }, board: Float64Array, startsInHand: number }} C
 * @param {C} core
 * @param {(core: C, batch: Batch) => LogText | undefined} handle takes one record; returns its text if it is one of log lines
 */
export function createInbox(core, handle) {
  const { native, board } = core;
  const batch = new Batch(native.numbers);
  /** @type {LogText | undefined} */
  let lines;
  /** What is in the batch comes before what is left of the lines. */
  let overtakes = false;
  // Log text takes up room until the next batch is taken.
  let holdsRoom = false;
  let isScheduled = false;
  const watch = new Stopwatch();

  /** @param {Texts} [texts] of the batch that Rust has just written */
  function begin(texts) {
    batch.begin(texts);
    core.startsInHand = 0;
  }

  /** @param {boolean} goesOn in the middle of what the turn before it had no time for */
  function turn(goesOn) {
    watch.start(goesOn);
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
        // Each start holds a port until its function has said more: let those functions run first.
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

  /** Goes on in a later turn; only one is ever waited for. */
  function later() {
    const next = () => {
      cancelNext?.();
      turn(true);
    };
    const immediate = setImmediate(next);
    // In Node an immediate that does not keep the process alive does not wake a sleeping event loop either.
    const timer = setTimeout(next, 1);
    // Whoever waits for an answer keeps the process alive; output alone does not.
    immediate.unref?.();
    timer.unref?.();
    cancelNext = () => {
      cancelNext = undefined;
      clearImmediate(immediate);
      clearTimeout(timer);
    };
  }

  /** A turn, unless one is coming. */
  function turnUnlessComing() {
    if (cancelNext === undefined) turn(false);
  }

  function scheduled() {
    isScheduled = false;
    turnUnlessComing();
  }

  return {
    /** Rust has something. */
    rung: turnUnlessComing,

    /**
     * Looks whether something came of a call just made: soon, but never before that call has returned.
     * @param {Texts} [texts] what the call returned, if it was a report: it may have brought the next batch along
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

/** How long a turn has taken, looked at as seldom as it may be: one that has a single record to do never looks. */
class Stopwatch {
  startedAt = 0;
  lookedAt = 0;
  untilLook = 0;
  stride = 1;

  /** @param {boolean} atOnce the time runs from now on, and not from the first look */
  start(atOnce) {
    this.startedAt = atOnce ? performance.now() : 0;
    this.lookedAt = this.startedAt;
    this.untilLook = 2;
    this.stride = 1;
    disregarded.promises = 0;
  }

  /** Whatever the turn has done before: it has time for one more. */
  grantOne() {
    this.untilLook = 2;
  }

  /** To be asked before each record and each line: whether the turn's time is up. Never before the first one. */
  isOver() {
    return --this.untilLook <= 0 && this.look();
  }

  /** Apart, so that what is asked for each line is small. */
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
 * One or more lines of one process in one text. A flood is over before Bun has optimized much: so its user's `onLog` is
 * called from here, without a function in between, and guarded here (`callbacks.js`).
 */
export class LogText {
  from = 0;

  /**
   * @param {import('./records.js').LogRecord} record
   * @param {string} key
   * @param {number} pid
   * @param {((event: import('../../index.js').RuntimeLogEvent) => unknown) | undefined} onLog the user's
   */
  constructor(record, key, pid, onLog) {
    this.record = record;
    this.key = key;
    this.pid = pid;
    this.onLog = onLog;
  }

  /** Delivers lines until they or the turn are over. True if there are more. @param {Stopwatch} watch */
  deliver(watch) {
    const { key, pid, onLog } = this;
    if (onLog === undefined) return false;
    const { text, stream, at } = this.record;
    // For the first line the turn was asked as for the record.
    while (this.from === 0 || !watch.isOver()) {
      const end = text.indexOf('\n', this.from);
      const isLast = end < 0;
      const line = isLast ? text.slice(this.from) : text.slice(this.from, end);
      try {
        const result = onLog({ key, pid, stream, line, at });
        if (result !== undefined && result !== null) disregard(result);
      } catch {
        // The callback's own affair.
      }
      if (isLast) return false;
      this.from = end + 1;
    }
    return true;
  }
}

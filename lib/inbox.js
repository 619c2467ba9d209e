/**
 * Takes batches from Rust and hands out what is in them, without holding the event loop for long: after its time is
 * up it goes on in a later turn, in the middle of a batch or of a text of many lines if need be.
 */
import { Batch } from './records.js';

/** What one turn may take, so that timers and requests of the host get theirs. */
const TURN_MS = 4;
/** Lines between two looks at the clock, unless lines turn out to be slow: a look costs as much as half a line. */
const MOST_LINES_PER_LOOK = 64;
const SLOW_MS = 0.5;

/** Starts in a batch, at most: see `src/uplink.rs`. */
const MOST_STARTS = 64;

/** Where the number of records in Rust's queue stands: see `src/board.rs`. */
const QUEUED = 4;

/**
 * @param {{ take(): string[] | undefined, numbers: Float64Array }} native
 * @param {Float64Array} board
 * @param {(batch: Batch) => LogText | undefined} handle takes one record; returns its text if it is one of log lines
 */
export function createInbox(native, board, handle) {
  const batch = new Batch(native.numbers);
  /** @type {LogText | undefined} */
  let lines;
  // Log text takes up room until the next batch is taken.
  let holdsRoom = false;
  let isScheduled = false;

  function turn() {
    const watch = new Stopwatch();
    do {
      if (lines !== undefined) {
        if (lines.deliver(watch)) return later();
        lines = undefined;
      } else if (batch.isEmpty) {
        // Each start holds a port until its function has said more: let those functions run first.
        if (batch.starts >= MOST_STARTS) {
          batch.starts = 0;
          return later();
        }
        if (board[QUEUED] === 0 && !holdsRoom) return;
        batch.begin(native.take());
        holdsRoom = false;
      } else {
        lines = handle(batch);
        holdsRoom ||= lines !== undefined;
      }
    } while (!watch.isOver());
    later();
  }

  /** @type {(() => void) | undefined} */
  let cancelNext;

  /** Goes on in a later turn; only one is ever waited for. */
  function later() {
    const next = () => {
      cancelNext?.();
      turn();
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
    if (cancelNext === undefined) turn();
  }

  return {
    /** Rust has something. */
    rung: turnUnlessComing,

    /** Looks whether something came of a call just made: soon, but never before that call has returned. */
    soon() {
      if (isScheduled || board[QUEUED] === 0) return;
      isScheduled = true;
      queueMicrotask(() => {
        isScheduled = false;
        turnUnlessComing();
      });
    },
  };
}

/** How long a turn has taken, looked at as seldom as it may be. */
class Stopwatch {
  #startedAt = performance.now();
  #lookedAt = this.#startedAt;
  #untilLook = 1;
  #stride = 1;

  /** Counts one record or line; true when the turn's time is up. */
  isOver() {
    if (--this.#untilLook > 0) return false;
    const now = performance.now();
    this.#stride = now - this.#lookedAt > SLOW_MS ? 1 : Math.min(this.#stride * 2, MOST_LINES_PER_LOOK);
    this.#untilLook = this.#stride;
    this.#lookedAt = now;
    return now - this.#startedAt > TURN_MS;
  }
}

/** One or more lines in one text. */
export class LogText {
  #from = 0;

  /** @param {string} text lines with \n between them @param {(line: string) => void} each */
  constructor(text, each) {
    this.text = text;
    this.each = each;
  }

  /** Delivers lines until they or the turn are over. True if there are more. @param {Stopwatch} watch */
  deliver(watch) {
    const { text, each } = this;
    for (;;) {
      const end = text.indexOf('\n', this.#from);
      if (end < 0) {
        each(this.#from === 0 ? text : text.slice(this.#from));
        return false;
      }
      each(text.slice(this.#from, end));
      this.#from = end + 1;
      if (watch.isOver()) return true;
    }
  }
}

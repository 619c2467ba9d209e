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

/**
 * @param {{ take(): any }} native
 * @param {(batch: Batch) => LogText | undefined} handle takes one record; returns its text if it is one of log lines
 */
export function createInbox(native, handle) {
  /** @type {Batch | undefined} */
  let batch;
  /** @type {LogText | undefined} */
  let lines;
  let isScheduled = false;

  function turn() {
    const watch = new Stopwatch();
    do {
      if (lines !== undefined) {
        if (lines.deliver(watch)) break;
        lines = undefined;
        continue;
      }
      if (batch === undefined || batch.isEmpty) {
        const taken = native.take();
        if (taken === null) return (batch = undefined);
        batch = new Batch(taken);
      }
      lines = handle(batch);
    } while (!watch.isOver());
    later();
  }

  function later() {
    // Whoever waits for an answer keeps the process alive; output alone does not.
    setImmediate(turn).unref?.();
    // In Node such an immediate does not wake an event loop that has gone to sleep; a timer does.
    setTimeout(() => {}, 1).unref?.();
  }

  return {
    /** Rust has something. */
    turn,

    /** Something may have come of a call just made. Soon, but never before that call has returned. */
    soon() {
      if (isScheduled) return;
      isScheduled = true;
      queueMicrotask(() => {
        isScheduled = false;
        turn();
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

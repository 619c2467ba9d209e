/**
 * Takes batches from Rust and hands out what is in them, without holding the event loop for long: after its time is
 * up it goes on in a later turn, in the middle of a batch or of a text of many lines if need be. Whatever is not output
 * overtakes the lines that are left by then: nobody waits for another tenant's lines, however slow `onLog` is.
 *
 * The lists of names here and the enumerations in `src/binding/records.rs` are the same, in the same order.
 */

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
 * @param {{ take(hasLines: boolean): Texts | undefined, numbers: Float64Array }} native
 * @param {Float64Array} board
 * @param {(batch: Batch) => LogText | undefined} handle takes one record; returns its text if it is one of log lines
 */
export function createInbox(native, board, handle) {
  const batch = new Batch(native.numbers);
  /** @type {LogText | undefined} */
  let lines;
  /** What is in the batch comes before what is left of the lines. */
  let overtakes = false;
  // Log text takes up room until the next batch is taken.
  let holdsRoom = false;
  let isScheduled = false;
  const watch = new Stopwatch();

  /** @param {boolean} goesOn in the middle of what the turn before it had no time for */
  function turn(goesOn) {
    watch.start(goesOn);
    if (lines !== undefined && batch.isEmpty && board[QUEUED] !== 0) {
      batch.begin(native.take(true));
      batch.hold();
      overtakes = true;
    }
    for (;;) {
      if (!batch.isEmpty && (lines === undefined || overtakes)) {
        if (watch.isOver()) return later();
        lines = handle(batch) ?? lines;
        holdsRoom ||= lines !== undefined;
      } else if (lines !== undefined) {
        if (overtakes) watch.grantOne();
        overtakes = false;
        if (lines.deliver(watch)) return later();
        lines = undefined;
      } else {
        // Each start holds a port until its function has said more: let those functions run first.
        if (batch.starts >= MOST_STARTS) {
          batch.starts = 0;
          return later();
        }
        batch.end();
        if (board[QUEUED] === 0 && !holdsRoom) return;
        batch.begin(native.take(false));
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
      if (texts !== undefined) batch.begin(texts);
      if (isScheduled || (board[QUEUED] === 0 && batch.isEmpty)) return;
      isScheduled = true;
      queueMicrotask(scheduled);
    },
  };
}

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
  }

  /** Whatever the turn has done before: it has time for one more. */
  grantOne() {
    this.untilLook = 2;
  }

  /** To be asked before each record and each line: whether the turn's time is up. Never before the first one. */
  isOver() {
    if (--this.untilLook > 0) return false;
    const now = performance.now();
    if (this.startedAt === 0) {
      this.startedAt = now;
    } else {
      const isSlow = now - this.lookedAt > SLOW_MS;
      this.stride = isSlow ? 1 : Math.min(this.stride * 2, MOST_LINES_PER_LOOK);
    }
    this.untilLook = this.stride;
    this.lookedAt = now;
    return now - this.startedAt > TURN_MS;
  }
}

/** One or more lines in one text. */
export class LogText {
  from = 0;

  /** @param {string} text lines with \n between them @param {(line: string) => void} each */
  constructor(text, each) {
    this.text = text;
    this.each = each;
  }

  /** Delivers lines until they or the turn are over. True if there are more. @param {Stopwatch} watch */
  deliver(watch) {
    const { text, each } = this;
    // For the first line the turn was asked as for the record.
    while (this.from === 0 || !watch.isOver()) {
      const end = text.indexOf('\n', this.from);
      if (end < 0) {
        each(this.from === 0 ? text : text.slice(this.from));
        return false;
      }
      each(text.slice(this.from, end));
      this.from = end + 1;
    }
    return true;
  }
}

/** @typedef {import('./errors.js').Failure} Failure */
/** @typedef {import('./errors.js').FailureKind} FailureKind */
/** @typedef {import('../index.js').ExitReason} ExitReason */

// prettier-ignore
export const RECORDS = [
  'prepare', 'spawn', 'askReadiness', 'ready', 'tenant', 'done', 'refused', 'log', 'observation', 'askIdle', 'idleKill',
  'lruEvict', 'checkpoint', 'askKill', 'exit', 'release', 'adopted', 'adopt', 'restored', 'backoff', 'drain', 'answer',
  'notStopped', 'disposed',
];

// prettier-ignore
/** @type {readonly ExitReason[]} */
export const EXIT_REASONS = [
  'crashed', 'exited-clean', 'idle-killed', 'lru-evicted', 'killed', 'readiness-timeout', 'disposed', 'restarted',
  'checkpointed',
];

// prettier-ignore
/** @type {readonly FailureKind[]} */
export const FAILURE_KINDS = [
  'notStarted', 'exitedEarly', 'readinessTimedOut', 'readinessDenied', 'spawnThrew', 'readinessThrew', 'killThrew',
  'stopTimedOut', 'calledOff',
];

// prettier-ignore
/** @type {readonly import('../index.js').TenantState[]} */
export const TENANT_STATES = [
  'queued', 'spawning', 'ready', 'stopping', 'stuck', 'backing-off', 'failed', 'stopped',
];

// prettier-ignore
export const REFUSALS = /** @type {const} */ ([
  'disposed', 'draining', 'exhausted', 'backingOff', 'startFailed', 'stopRefused', 'stillTracked', 'taken', 'overloaded',
]);

/** Why a call was refused, with what is known about it. @typedef {ReturnType<Batch['refusal']>} Refusal */

/** Those of a batch; the only one is in no array. @typedef {string | string[]} Texts */

/** @type {Texts} */
const NO_TEXTS = [];

/** The batch taken last, read from front to back. */
export class Batch {
  numbers;
  texts = NO_TEXTS;
  next = 1;
  nextText = 0;
  /** Where the record in hand ends. */
  endOfNumbers = 1;
  endOfTexts = 0;
  /** Processes to be started that were in it. */
  starts = 0;

  /** @param {Float64Array} numbers shared with Rust: how many there are, then they */
  constructor(numbers) {
    this.numbers = numbers;
  }

  /** The next one, with these texts. @param {Texts} [texts] */
  begin(texts = NO_TEXTS) {
    this.texts = texts;
    this.endOfNumbers = 1;
    this.endOfTexts = 0;
    this.starts = 0;
  }

  /** All of it has been read: from now on Rust may bring the next one along with its answer to a report. */
  end() {
    this.numbers[0] = 0;
    this.begin();
  }

  /** Rust may not, even if there was nothing in it. */
  hold() {
    this.numbers[0] ||= -1;
  }

  get isEmpty() {
    return this.endOfNumbers > /** @type {number} */ (this.numbers[0]);
  }

  /** Passes on to the next record, wherever the reader of the one before has stopped. Returns its place in `RECORDS`. */
  open() {
    this.next = this.endOfNumbers;
    this.nextText = this.endOfTexts;
    this.endOfNumbers = this.number() + 1;
    this.endOfTexts = this.number();
    return this.number();
  }

  number() {
    return /** @type {number} */ (this.numbers[this.next++]);
  }

  text() {
    const texts = this.texts;
    return typeof texts === 'string' ? texts : /** @type {string} */ (texts[this.nextText++]);
  }

  /** All of `NativeStatuses`. */
  *statuses() {
    while (this.next <= /** @type {number} */ (this.numbers[0])) yield this.status();
  }

  status() {
    const key = this.text();
    const state = /** @type {import('../index.js').TenantState} */ (TENANT_STATES[this.number()]);
    const [run, attempt] = [this.number(), this.number()];
    if (attempt === 0) return { key, state, run, attempt, retryAt: null, last: undefined };
    const retryAt = this.number();
    return {
      key,
      state,
      run,
      attempt,
      retryAt: Number.isNaN(retryAt) ? null : retryAt,
      last: this.failure(),
    };
  }

  exitCode() {
    const code = this.number();
    return Number.isNaN(code) ? null : code;
  }

  exitReason() {
    return /** @type {ExitReason} */ (EXIT_REASONS[this.number()]);
  }

  /** @returns {Failure} */
  failure() {
    const kind = /** @type {FailureKind} */ (FAILURE_KINDS[this.number()]);
    return { kind, exitCode: this.exitCode(), text: this.text() };
  }

  refusal() {
    const kind = /** @type {(typeof REFUSALS)[number]} */ (REFUSALS[this.number()]);
    switch (kind) {
      case 'exhausted':
        return { kind, maxFailures: this.number(), last: this.failure() };
      case 'backingOff': {
        const [attempt, retryAfterMs] = [this.number(), this.number()];
        return { kind, attempt, retryAfterMs, last: this.failure() };
      }
      case 'startFailed': {
        const [run, failure] = [this.number(), this.failure()];
        return { kind, run, failure, output: this.text() };
      }
      case 'stopRefused':
        return { kind, run: this.number(), failure: this.failure() };
      case 'overloaded':
        return { kind, waiting: this.number() };
      default:
        return { kind };
    }
  }
}

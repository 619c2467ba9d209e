/**
 * A batch of records from Rust, decoded. The lists of names here and the enumerations in `src/records.rs` are the
 * same, in the same order.
 */

/** @typedef {import('../errors.js').Failure} Failure */
/** @typedef {import('../errors.js').FailureKind} FailureKind */
/** @typedef {import('../../index.js').ExitReason} ExitReason */

// prettier-ignore
export const RECORDS = [
  'prepare', 'spawn', 'askReadiness', 'ready', 'tenant', 'done', 'refused', 'log', 'observation', 'askIdle', 'idleKill',
  'lruEvict', 'checkpoint', 'askKill', 'exit', 'release', 'adopted', 'adopt', 'restored', 'backoff', 'drain', 'answer',
  'notStopped', 'disposed', 'sharedRoot', 'findImage', 'restoreImage', 'awaitImage', 'dropImage',
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
  'stopTimedOut', 'calledOff', 'unsupported', 'portTaken', 'noPort', 'crashedSoon',
];

// prettier-ignore
/** By their numbers on Linux, the same on all machines that we run on. */
const SIGNALS = [
  '', 'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGKILL', 'SIGUSR1', 'SIGSEGV',
  'SIGUSR2', 'SIGPIPE', 'SIGALRM', 'SIGTERM', 'SIGSTKFLT', 'SIGCHLD', 'SIGCONT', 'SIGSTOP', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU',
  'SIGURG', 'SIGXCPU', 'SIGXFSZ', 'SIGVTALRM', 'SIGPROF', 'SIGWINCH', 'SIGIO', 'SIGPWR', 'SIGSYS',
];

/** 0 if there is none of that name. @param {unknown} name */
export const signalNumber = (name) => Math.max(0, SIGNALS.indexOf(/** @type {string} */ (name)));

// prettier-ignore
/** @type {readonly import('../../index.js').TenantState[]} */
export const TENANT_STATES = [
  'queued', 'spawning', 'ready', 'stopping', 'stuck', 'backing-off', 'failed', 'stopped', 'checkpointed',
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
    const state = /** @type {import('../../index.js').TenantState} */ (TENANT_STATES[this.number()]);
    const [run, cpuMs, rssBytes] = [this.number(), this.numberOrNull(), this.numberOrNull()];
    const [starts, crashes, attempt] = [this.number(), this.number(), this.number()];
    const hasFailed = attempt > 0;
    const retryAt = hasFailed ? this.numberOrNull() : null;
    const last = hasFailed ? this.failure() : undefined;
    const isOfLastExit = hasFailed && this.number() === 1;
    const lastExit = this.number() === 1 ? this.lastExit() : null;
    return {
      ...{ key, state, run, attempt, retryAt, last, isOfLastExit },
      ...{ starts, crashes, lastExit, cpuMs, rssBytes },
    };
  }

  /** @returns {NonNullable<import('../../index.js').TenantStatus['lastExit']>} */
  lastExit() {
    const [exitCode, signal] = [this.numberOrNull(), this.signal() ?? null];
    const [reason, at, output] = [this.exitReason(), this.number(), this.text()];
    return { exitCode, signal, reason, at, lines: output === '' ? [] : output.split('\n') };
  }

  numberOrNull() {
    const number = this.number();
    return Number.isNaN(number) ? null : number;
  }

  /** Its name, where there is one. @returns {string | undefined} */
  signal() {
    const number = this.number();
    return number === 0 ? undefined : (SIGNALS[number] ?? `SIG${number}`);
  }

  exitReason() {
    return /** @type {ExitReason} */ (EXIT_REASONS[this.number()]);
  }

  /** @returns {Failure} */
  failure() {
    const kind = /** @type {FailureKind} */ (FAILURE_KINDS[this.number()]);
    const [exitCode, signal, uptimeMs] = [this.numberOrNull(), this.signal(), this.number()];
    return { kind, exitCode, signal, uptimeMs, text: this.text() };
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

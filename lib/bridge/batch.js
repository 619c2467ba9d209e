/** The reader of a batch of records from Rust: numbers and texts. `records.js` uses it. */

// prettier-ignore
/** Signals by their numbers on Linux, which are the same on x64 and arm64. */
const SIGNALS = [
  '', 'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGKILL', 'SIGUSR1', 'SIGSEGV',
  'SIGUSR2', 'SIGPIPE', 'SIGALRM', 'SIGTERM', 'SIGSTKFLT', 'SIGCHLD', 'SIGCONT', 'SIGSTOP', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU',
  'SIGURG', 'SIGXCPU', 'SIGXFSZ', 'SIGVTALRM', 'SIGPROF', 'SIGWINCH', 'SIGIO', 'SIGPWR', 'SIGSYS',
];

/** The number of a signal; 0 if there is none of that name. @param {unknown} name */
export const signalNumber = (name) => Math.max(0, SIGNALS.indexOf(/** @type {string} */ (name)));

/**
 * The texts of a batch; a single one comes without an array.
 * @typedef {string | string[]} Texts
 */

/** @type {Texts} */
const NO_TEXTS = [];

/** The batch that was taken last, read from front to back. */
export class Batch {
  numbers;
  texts = NO_TEXTS;
  next = 1;
  nextText = 0;
  /** Where the current record ends. */
  endOfNumbers = 1;
  endOfTexts = 0;

  /** @param {Float64Array} numbers shared with Rust: their count, then the numbers */
  constructor(numbers) {
    this.numbers = numbers;
  }

  /** Begins a batch that Rust has written. @param {Texts} [texts] */
  begin(texts = NO_TEXTS) {
    this.texts = texts;
    this.endOfNumbers = 1;
    this.endOfTexts = 0;
  }

  /**
   * Marks the batch as read (0), so that Rust may write the next one into `numbers` when it
   * answers a report.
   */
  end() {
    this.numbers[0] = 0;
    this.begin();
  }

  /**
   * Marks the batch as unread, -1 if it is empty: Rust does not overwrite `numbers` before
   * `end()`.
   */
  hold() {
    this.numbers[0] ||= -1;
  }

  /** Whether no records are left. */
  get isEmpty() {
    return this.endOfNumbers > /** @type {number} */ (this.numbers[0]);
  }

  /** Whether numbers are left. For statuses, which have no ends of records. */
  get hasNumbers() {
    return this.next <= /** @type {number} */ (this.numbers[0]);
  }

  /**
   * Moves to the next record, wherever the reader of the one before has stopped. Returns the index
   * of its kind.
   */
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

  bool() {
    return this.number() === 1;
  }

  /** The name of a signal. @returns {string} */
  signal() {
    const number = this.number();
    return SIGNALS[number] ?? `SIG${number}`;
  }
}

/** Throws, since the index is of no kind that is known here. @returns {never} */
export function unknown() {
  throw new Error('the addon and lib/ of @absolutejs/runtime differ; reinstall it');
}

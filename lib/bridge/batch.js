/** A batch of records from Rust, as numbers and texts, which `records.js` reads. */

// prettier-ignore
/** By their numbers on Linux, the same on all machines that we run on. */
const SIGNALS = [
  '', 'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGKILL', 'SIGUSR1', 'SIGSEGV',
  'SIGUSR2', 'SIGPIPE', 'SIGALRM', 'SIGTERM', 'SIGSTKFLT', 'SIGCHLD', 'SIGCONT', 'SIGSTOP', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU',
  'SIGURG', 'SIGXCPU', 'SIGXFSZ', 'SIGVTALRM', 'SIGPROF', 'SIGWINCH', 'SIGIO', 'SIGPWR', 'SIGSYS',
];

/** 0 if there is none of that name. @param {unknown} name */
export const signalNumber = (name) => Math.max(0, SIGNALS.indexOf(/** @type {string} */ (name)));

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

  /** @param {Float64Array} numbers shared with Rust: how many there are, then they */
  constructor(numbers) {
    this.numbers = numbers;
  }

  /** The next one, with these texts. @param {Texts} [texts] */
  begin(texts = NO_TEXTS) {
    this.texts = texts;
    this.endOfNumbers = 1;
    this.endOfTexts = 0;
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

  /** Of what is no records, one after the other. */
  get hasNumbers() {
    return this.next <= /** @type {number} */ (this.numbers[0]);
  }

  /** Passes on to the next record, wherever the reader of the one before has stopped. Returns of which kind it is. */
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

  /** Its name. @returns {string} */
  signal() {
    const number = this.number();
    return SIGNALS[number] ?? `SIG${number}`;
  }
}

/** @returns {never} */
export function unknown() {
  throw new Error('the addon and lib/ of @absolutejs/runtime differ; reinstall it');
}

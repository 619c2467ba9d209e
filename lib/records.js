/**
 * What comes up from Rust: batches of numbers and texts, decoded in order. The tables here and in
 * `src/binding/records.rs` are the same.
 */

/** @typedef {import('./errors.js').Failure} Failure */
/** @typedef {import('./errors.js').FailureKind} FailureKind */
/** @typedef {import('../index.js').ExitReason} ExitReason */

/** @type {readonly ExitReason[]} */
const EXIT_REASONS = [
  .../** @type {const} */ (['crashed', 'exited-clean', 'idle-killed', 'lru-evicted']),
  .../** @type {const} */ (['killed', 'readiness-timeout', 'disposed', 'restarted']),
];

/** @type {readonly FailureKind[]} */
const FAILURE_KINDS = [
  .../** @type {const} */ (['notStarted', 'exitedEarly', 'readinessTimedOut', 'readinessDenied']),
  .../** @type {const} */ (['spawnThrew', 'readinessThrew', 'killThrew', 'stopTimedOut']),
];

/** Why a call was refused, with what is known about it. @typedef {ReturnType<Batch['refusal']>} Refusal */

/** The batch taken last, read from front to back. */
export class Batch {
  #numbers;
  /** @type {string[]} */
  #texts = [];
  #next = 1;
  #nextText = 0;
  /** Processes to be started that were in it. */
  starts = 0;

  /** @param {Float64Array} numbers shared with Rust: how many there are, then they */
  constructor(numbers) {
    this.#numbers = numbers;
  }

  /** A new batch has been taken. @param {string[] | undefined} texts */
  begin(texts) {
    this.#texts = texts ?? [];
    this.#next = 1;
    this.#nextText = 0;
    this.starts = 0;
  }

  get isEmpty() {
    return this.#next > /** @type {number} */ (this.#numbers[0]);
  }

  number() {
    return /** @type {number} */ (this.#numbers[this.#next++]);
  }

  text() {
    return /** @type {string} */ (this.#texts[this.#nextText++]);
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
    switch (this.number()) {
      case 0:
        return { kind: /** @type {const} */ ('disposed') };
      case 1:
        return { kind: /** @type {const} */ ('draining') };
      case 2:
        return { kind: /** @type {const} */ ('exhausted'), maxFailures: this.number(), last: this.failure() };
      case 3: {
        const [attempt, retryAfterMs] = [this.number(), this.number()];
        return { kind: /** @type {const} */ ('backingOff'), attempt, retryAfterMs, last: this.failure() };
      }
      case 4: {
        const [run, failure] = [this.number(), this.failure()];
        return { kind: /** @type {const} */ ('startFailed'), run, failure, output: this.text() };
      }
      case 5:
        return { kind: /** @type {const} */ ('stopRefused'), run: this.number(), failure: this.failure() };
      default:
        return { kind: /** @type {const} */ ('stillTracked') };
    }
  }
}

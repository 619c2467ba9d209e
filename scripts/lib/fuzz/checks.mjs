// What must hold whatever is given: errors are ours, promises settle, and nothing is thrown that nobody can catch.
import { isRuntimeError } from '@absolutejs/runtime';

/** A promise that has not settled after this long never will: on a busy machine, too. */
const NEVER_MS = 20_000;
/** Refused at once is within this time; far more than it takes, since the machine may be busy. */
const AT_ONCE_MS = 2_000;
/** No message is a book, whatever was given. */
const LONGEST_MESSAGE = 2_000;

/** Noted when it is made: it may be thrown in a function of the user's, where the runtime catches it. */
export class Broken extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    broken.push(this);
  }
}

/** @type {Broken[]} */
export const broken = [];

export const counts = { rounds: 0, calls: 0, refused: 0 };

/** What was thrown or rejected where nobody could catch it. @type {unknown[]} */
export const uncaught = [];

/** @param {string} what @param {boolean} holds @param {unknown} [seen] */
export function must(what, holds, seen) {
  if (!holds) throw new Broken(`${what}, but: ${described(seen)}`);
}

/** @param {unknown} value */
function described(value) {
  try {
    return value instanceof Error ? `${value.stack} ${JSON.stringify(value)}` : String(value);
  } catch {
    return `what cannot be shown (${typeof value})`;
  }
}

/**
 * An error of ours, with one of these codes; or what the fuzz has thrown itself, where that may come through.
 * @param {string} where
 * @param {unknown} error
 * @param {readonly string[]} codes
 * @param {boolean} [mayBeTheirs]
 */
export function mustBeOurs(where, error, codes, mayBeTheirs = false) {
  counts.refused += 1;
  if (mayBeTheirs && !isRuntimeError(error)) return;
  must(`${where} fails with an error of ours`, isRuntimeError(error), error);
  const { code, message } = /** @type {import('@absolutejs/runtime').RuntimeError} */ (error);
  must(`${where} fails with one of ${codes}`, codes.includes(code), error);
  must(`${where} says something short`, message !== '' && message.length < LONGEST_MESSAGE, message);
}

/**
 * What a function that takes options makes of them; undefined if it refuses them, as it should: at once, by name.
 * @template T
 * @param {string} where
 * @param {() => T} create
 * @returns {T | undefined}
 */
export function created(where, create) {
  const startedAt = performance.now();
  counts.calls += 1;
  try {
    return create();
  } catch (error) {
    mustBeOurs(where, error, ['ERR_RUNTIME_INVALID_OPTION']);
    must(`${where} throws a TypeError`, error instanceof TypeError, error);
    return undefined;
  } finally {
    const tookMs = performance.now() - startedAt;
    must(`${where} answers at once`, tookMs < AT_ONCE_MS, tookMs);
  }
}

/**
 * Calls what returns a promise: it must not throw, and the promise must settle.
 * @param {string} where
 * @param {() => Promise<unknown>} call
 * @param {number} [patienceMs] Infinity where it may wait for a function of the user's that never answers
 * @returns {Promise<{ value?: any, error?: unknown }>}
 */
export async function settled(where, call, patienceMs = NEVER_MS) {
  counts.calls += 1;
  /** @type {Promise<unknown>} */
  let promise;
  try {
    promise = call();
  } catch (error) {
    throw new Broken(`${where} must not throw, but threw ${described(error)}`);
  }
  must(`${where} returns a promise`, promise instanceof Promise, promise);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    if (patienceMs === Infinity) return;
    timer = setTimeout(() => reject(new Broken(`${where} never settles`)), patienceMs);
  });
  try {
    return await Promise.race([
      promise.then(
        (value) => ({ value }),
        (error) => ({ error }),
      ),
      late,
    ]);
  } finally {
    clearTimeout(timer);
  }
}

/** @param {string} where @param {() => unknown} call */
export function mustNotThrow(where, call) {
  counts.calls += 1;
  try {
    return call();
  } catch (error) {
    throw new Broken(`${where} must not throw, but threw ${described(error)}`);
  }
}

process.on('unhandledRejection', (reason) => void uncaught.push(reason));
process.on('uncaughtException', (error) => void uncaught.push(error));

// The rules that must hold for any value: errors are the package's, promises settle, and nothing
// is thrown outside of a call.
import { isRuntimeError } from '@absolutejs/runtime';

/** A promise that has not settled after this long never will, also on a busy machine. */
const NEVER_MS = 20_000;
/**
 * A refusal must come within this time: far longer than it takes, since the machine may be busy.
 */
const AT_ONCE_MS = 2_000;
/** A message stays short for any value. */
const MAX_MESSAGE_CHARACTERS = 2_000;

/**
 * A rule does not hold. Recorded when it is created: the runtime may catch it, as an error of a
 * callback.
 */
export class BrokenRule extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    broken.push(this);
  }
}

/** @type {BrokenRule[]} */
export const broken = [];

export const counts = { rounds: 0, calls: 0, refused: 0 };

/** Uncaught exceptions and unhandled rejections. @type {unknown[]} */
export const uncaught = [];

/** @param {string} what @param {boolean} holds @param {unknown} [seen] */
export function must(what, holds, seen) {
  if (!holds) throw new BrokenRule(`${what}, but: ${described(seen)}`);
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
 * The error must be the package's and have one of these codes. With `mayBeTheirs` it may also be
 * what the fuzz itself has thrown.
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
  must(
    `${where} says something short`,
    message !== '' && message.length < MAX_MESSAGE_CHARACTERS,
    message,
  );
}

/**
 * What a function makes of its options; undefined if it refuses them, which must be at once and
 * with the right error.
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
 * Calls a function that must return a promise, and not throw. The promise must settle.
 * @param {string} where
 * @param {() => Promise<unknown>} call
 * @param {number} [patienceMs] Infinity for calls that may wait for a user's function forever
 * @returns {Promise<{ value?: any, error?: unknown }>}
 */
export async function settled(where, call, patienceMs = NEVER_MS) {
  counts.calls += 1;
  /** @type {Promise<unknown>} */
  let promise;
  try {
    promise = call();
  } catch (error) {
    throw new BrokenRule(`${where} must not throw, but threw ${described(error)}`);
  }
  must(`${where} returns a promise`, promise instanceof Promise, promise);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    if (patienceMs === Infinity) return;
    timer = setTimeout(() => reject(new BrokenRule(`${where} never settles`)), patienceMs);
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
    throw new BrokenRule(`${where} must not throw, but threw ${described(error)}`);
  }
}

process.on('unhandledRejection', (reason) => void uncaught.push(reason));
process.on('uncaughtException', (error) => void uncaught.push(error));

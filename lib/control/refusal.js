/** What the API answers when it cannot do what it was asked: a status, and a body for it. */
import { isRuntimeError, textOf } from '../errors.js';

/** An answer that is no success. */
export class Refusal extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   * @param {{ key?: string, headers?: Record<string, string> }} [more]
   */
  constructor(status, code, message, { key, headers = {} } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.key = key;
    this.headers = headers;
  }
}

/** @param {string} message */
export const badQuery = (message) => new Refusal(400, 'BAD_QUERY', message);

/** Codes of the runtime's errors that pass: the same call may succeed later, or after `clear`. */
const PASSING = [
  'ERR_RUNTIME_BACKOFF',
  'ERR_RUNTIME_DISPOSED',
  'ERR_RUNTIME_DRAINING',
  'ERR_RUNTIME_MAX_FAILURES',
  'ERR_RUNTIME_OVERLOADED',
];

/**
 * The refusal that says what was thrown.
 * @param {unknown} thrown
 * @returns {Refusal}
 */
export function refusalOf(thrown) {
  if (thrown instanceof Refusal) return thrown;
  if (!isRuntimeError(thrown)) return new Refusal(500, 'INTERNAL', textOf(thrown));
  const { code, message, retryAfterMs } = thrown;
  const status = PASSING.includes(code) ? 503 : code === 'ERR_RUNTIME_INVALID_KEY' ? 400 : 409;
  const headers = retryAfterMs === undefined ? {} : retryAfter(retryAfterMs);
  return new Refusal(status, code, message, { key: thrown.key, headers });
}

/** @param {number} ms */
const retryAfter = (ms) => ({ 'retry-after': String(Math.ceil(ms / 1_000)) });

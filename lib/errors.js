/** Every error of ours: its message, its code, its fields. The one place where refusals become words. */

/**
 * A spawned process ended before it was ready, or its start was stopped before there was one. The message ends with the last
 * lines of its output, or says so.
 */
export class RuntimeExitedBeforeReadyError extends Error {
  /**
   * @param {string} key
   * @param {number | null} exitCode
   * @param {string} [more] what the message ends with
   */
  constructor(key, exitCode, more = '') {
    super(exitedEarlyMessage(key, exitCode) + more);
    this.name = 'RuntimeExitedBeforeReadyError';
    this.code = 'ERR_RUNTIME_EXITED_EARLY';
    this.key = key;
    this.exitCode = exitCode;
  }
}

/** There was no process that could have exited. */
const CALLED_OFF = ': it was stopped before it was started';

/** @param {string} key @param {number | null} exitCode */
function exitedEarlyMessage(key, exitCode) {
  const how = exitCode === null ? 'no exit code' : `code ${exitCode}`;
  return `Runtime process for "${key}" exited with ${how} before it was ready`;
}

/**
 * @template {Error} E
 * @param {E} error
 * @param {string} code
 * @param {Record<string, unknown>} [fields]
 */
function withCode(error, code, fields) {
  return Object.assign(error, { code: `ERR_RUNTIME_${code}` }, fields);
}

/** @param {string} message */
export const invalidOption = (message) => withCode(new TypeError(message), 'INVALID_OPTION');

/** @param {unknown} key @param {string} problem */
export function invalidKey(key, problem) {
  const shown = typeof key === 'string' ? ` ${JSON.stringify(key.slice(0, 80))}` : '';
  return withCode(new TypeError(`Tenant key${shown} ${problem}`), 'INVALID_KEY');
}

/** @param {string} message */
export const spawnFailed = (message) => withCode(new Error(message), 'SPAWN');

/**
 * @param {string} message
 * @param {Record<string, unknown>} [fields]
 * @returns {import('../index.js').RuntimeError}
 */
export function checkpointFailed(message, fields) {
  return Object.assign(new Error(message), { code: /** @type {const} */ ('ERR_RUNTIME_CHECKPOINT') }, fields);
}

/** What is loaded late is missing, or cannot be read. @param {unknown} cause */
export const partNotLoaded = (cause) =>
  unsupported(
    `@absolutejs/runtime cannot load a part of itself: ${textOf(cause)}. If it is not there, reinstall the package, or let ` +
      'the bundler see its package.json',
    cause,
  );

/** @param {string} message @param {unknown} [cause] */
export const unsupported = (message, cause) => withCode(new Error(message, { cause }), 'UNSUPPORTED');

/**
 * Why a start or a stop failed. `text` is what a user's function threw in words, or why nothing was started.
 * @typedef {{ kind: FailureKind, exitCode: number | null, signal: string | undefined, uptimeMs: number, text: string }} Failure
 * @typedef {'notStarted' | 'exitedEarly' | 'readinessTimedOut' | 'readinessDenied' | 'spawnThrew' | 'readinessThrew' | 'killThrew' | 'stopTimedOut' | 'calledOff' | 'crashedSoon'} FailureKind
 */

/**
 * What a failure looks like in one line.
 * @param {string} key
 * @param {Failure} failure
 * @returns {string}
 */
export function failureText(key, failure) {
  switch (failure.kind) {
    case 'notStarted':
      return `Tenant "${key}" could not be started: ${failure.text}`;
    case 'exitedEarly':
      return exitedEarlyMessage(key, failure.exitCode);
    case 'calledOff':
      return exitedEarlyMessage(key, null) + CALLED_OFF;
    case 'crashedSoon': {
      const how = failure.signal ?? (failure.exitCode === null ? 'no exit code' : `code ${failure.exitCode}`);
      return `Runtime process for "${key}" exited with ${how} ${failure.uptimeMs} ms after it was ready`;
    }
    case 'readinessTimedOut':
      return 'Tenant readiness timed out after 30s';
    case 'readinessDenied':
      return `Tenant "${key}" is not ready: its readiness check said no`;
    case 'stopTimedOut':
      return `Tenant "${key}" could not be stopped: its process did not exit after kill("SIGKILL")`;
    case 'spawnThrew':
    case 'readinessThrew':
    case 'killThrew':
      return failure.text;
  }
}

/**
 * The error that callers of a failed start or stop get. What a user's function threw is passed on as it is.
 * @param {string} key
 * @param {Failure} failure
 * @param {{ thrown?: unknown, output?: string }} known
 * @returns {unknown}
 */
export function failureError(key, failure, { thrown, output = '' }) {
  const text = failureText(key, failure);
  switch (failure.kind) {
    case 'exitedEarly':
    case 'crashedSoon': {
      const error = new RuntimeExitedBeforeReadyError(key, failure.exitCode, output && `\n${output}`);
      return failure.signal === undefined ? error : Object.assign(error, { signal: failure.signal });
    }
    case 'calledOff':
      return new RuntimeExitedBeforeReadyError(key, null, CALLED_OFF);
    case 'notStarted':
      return withCode(new Error(text), 'SPAWN');
    case 'readinessTimedOut':
    case 'readinessDenied':
      return withCode(new Error(text), 'READINESS_TIMEOUT');
    case 'stopTimedOut':
      return withCode(new Error(text), 'STOP_TIMEOUT');
    case 'spawnThrew':
    case 'readinessThrew':
    case 'killThrew':
      return thrown;
  }
}

export const disposed = () => withCode(new Error('runtime has been disposed'), 'DISPOSED');

/** @param {string} key @param {number} ms */
export const driverIsLate = (key, ms) =>
  withCode(
    new Error(`Tenant "${key}" was not started: its checkpoint driver has not answered for ${ms} ms`),
    'SPAWN',
  );

/** @param {'ensure' | 'adopt'} method */
export const draining = (method) =>
  withCode(new Error(`runtime is draining; ${method}() refused`), 'DRAINING');

/** @param {string} key */
export const taken = (key) =>
  withCode(new Error(`Tenant "${key}" is already registered`), 'ALREADY_REGISTERED');

/** @param {'ensure' | 'adopt'} method @param {number} waiting */
export const overloaded = (method, waiting) =>
  withCode(
    new Error(`runtime is overloaded: ${waiting} tenants wait to be started; ${method}() refused`),
    'OVERLOADED',
  );

/** @param {string} key @param {unknown} reason */
export function aborted(key, reason) {
  const error = withCode(new Error(`the call for tenant "${key}" was aborted`, { cause: reason }), 'ABORTED');
  error.name = 'AbortError';
  return error;
}

/** @param {string} key @param {string} why */
export const notAdopted = (key, why) =>
  withCode(new Error(`Tenant "${key}" cannot adopt the process: ${why}`), 'SPAWN');

/** @param {string} key @param {number} attempt @param {number} retryAfterMs @param {Failure} last */
export function backingOff(key, attempt, retryAfterMs, last) {
  const message =
    `Tenant "${key}" is backing off after ${attempt} failure(s); retry in ${retryAfterMs}ms. ` +
    `Last error: ${failureText(key, last)}`;
  return withCode(new Error(message), 'BACKOFF', { attempt, retryAfterMs });
}

/** @param {string} key @param {number} maxFailures @param {Failure} last */
export function exhausted(key, maxFailures, last) {
  const message =
    `Tenant "${key}" exceeded ${maxFailures} consecutive spawn failures; clearBackoff() to retry. ` +
    `Last error: ${failureText(key, last)}`;
  return withCode(new Error(message), 'MAX_FAILURES', { maxFailures });
}

/** @param {string} key @param {string} why */
export const notStopped = (key, why) =>
  withCode(new Error(`Tenant "${key}" could not be stopped: ${why}`), 'STOP_REFUSED');

/** @param {unknown[]} errors one for each process that could not be stopped */
export function stillTracked(errors) {
  const message =
    `runtime could not stop every tenant; ${errors.length} failed processes remain tracked ` +
    'and dispose() can be called again';
  return withCode(new AggregateError(errors, message), 'STOP_REFUSED');
}

const EGRESS_DENIED = /** @type {const} */ ('ERR_RUNTIME_EGRESS_DENIED');

/** The guard refused a request, or ended one that it had let through. */
export class EgressDeniedError extends Error {
  /**
   * @param {{ key: string, url: URL, reason: import('../index.js').EgressDenialReason, why: string, address?: string, retryAfterMs?: number }} denial
   */
  constructor({ key, url, reason, why, address, retryAfterMs }) {
    super(`Egress of tenant "${key}" to ${url.host || url.protocol} denied: ${why}`);
    this.name = /** @type {const} */ ('EgressDeniedError');
    this.code = EGRESS_DENIED;
    this.key = key;
    this.url = withoutCredentials(url);
    this.reason = reason;
    if (address !== undefined) this.address = address;
    if (retryAfterMs !== undefined) this.retryAfterMs = retryAfterMs;
  }
}

/** By its code, since what is loaded later has another copy of the class. @param {unknown} error */
export const isDenial = (error) => error instanceof Error && Reflect.get(error, 'code') === EGRESS_DENIED;

/** @param {URL} url */
function withoutCredentials(url) {
  const copy = new URL(url);
  copy.username = '';
  copy.password = '';
  return copy.href;
}

/**
 * What `fetch` rejects with when a request cannot be made or fails on its way: a TypeError, as from the global one.
 * @param {string} message
 * @param {unknown} [cause]
 */
export function egressFailed(message, cause) {
  return withCode(new TypeError(`fetch failed: ${message}`, { cause }), 'EGRESS_FAILED');
}

/**
 * What somebody else's error says; never throws.
 * @param {unknown} error
 * @returns {string}
 */
export function textOf(error) {
  try {
    return error instanceof Error ? String(error.message) : String(error);
  } catch {
    return 'an error that cannot be shown';
  }
}

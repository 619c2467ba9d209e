/** Every error of ours: its message, its code, its fields. The one place where refusals become words. */

/** On every error of ours. In the registry of symbols, since users may have several copies of these classes. */
const BRAND = Symbol.for('@absolutejs/runtime.error');

/**
 * Whether an error is one of ours, and of this code if one is given; whichever copy of the package, or realm, made it.
 * @param {unknown} error
 * @param {string} [code]
 * @returns {error is any}
 */
export function isRuntimeError(error, code) {
  try {
    const { [BRAND]: isOurs, code: its } = /** @type {any} */ (error);
    return isOurs === true && typeof its === 'string' && (code === undefined || its === code);
  } catch {
    // Nothing, or what cannot be looked into.
    return false;
  }
}

/** @template {object} E @param {E} error or what errors inherit from @returns {E} */
const branded = (error) => Object.defineProperty(error, BRAND, { value: true });

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

branded(RuntimeExitedBeforeReadyError.prototype);

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
  return branded(Object.assign(error, { code: `ERR_RUNTIME_${code}` }, fields));
}

/** @param {string} message @param {ErrorOptions} [options] */
export const invalidOption = (message, options) =>
  withCode(new TypeError(message, options), 'INVALID_OPTION');

/**
 * What was thrown while the options of a call were read, with the key that the call is about.
 * @param {unknown} key
 * @param {string} path
 * @param {unknown} thrown
 */
export function unreadableFor(key, path, thrown) {
  const error = unreadable(path, thrown);
  if (typeof key === 'string' && !Object.hasOwn(error, 'key')) Reflect.set(error, 'key', key);
  return error;
}

/**
 * What was thrown while an option was read: a refusal of ours, or what a getter or a proxy of the user's has thrown.
 * @param {string} path of the option
 * @param {unknown} thrown
 */
export function unreadable(path, thrown) {
  if (isRuntimeError(thrown)) return thrown;
  return invalidOption(`${path} cannot be read: ${textOf(thrown)}`, { cause: thrown });
}

/** @param {unknown} key @param {string} problem */
export function invalidKey(key, problem) {
  if (typeof key !== 'string') return withCode(new TypeError(`Tenant key ${problem}`), 'INVALID_KEY');
  const shown = JSON.stringify(key.slice(0, 80));
  return withCode(new TypeError(`Tenant key ${shown} ${problem}`), 'INVALID_KEY', { key });
}

/** @param {string} message @param {Record<string, unknown>} [fields] */
export const spawnFailed = (message, fields) => withCode(new Error(message), 'SPAWN', fields);

/**
 * @param {string} message
 * @param {Record<string, unknown>} [fields]
 * @returns {import('../index.js').RuntimeError}
 */
export function checkpointFailed(message, fields) {
  const error = { code: /** @type {const} */ ('ERR_RUNTIME_CHECKPOINT') };
  return branded(Object.assign(new Error(message), error, fields));
}

/** What is loaded late is missing, or cannot be read. @param {unknown} cause @param {string} [key] of the call */
export const partNotLoaded = (cause, key) =>
  unsupported(
    `@absolutejs/runtime cannot load a part of itself: ${textOf(cause)}. If it is not there, reinstall the package, or let ` +
      'the bundler see its package.json',
    cause,
    key === undefined ? {} : { key },
  );

/**
 * What `load` imports with the first call that needs it. If that failed, the next call tries again.
 * @template T
 * @param {() => Promise<T>} load
 * @returns {(key: string) => Promise<T>} rejects with the key of the call
 */
export function createPart(load) {
  /** @type {Promise<T> | undefined} */
  let loading;
  return async (key) => {
    const part = (loading ??= load());
    try {
      return await part;
    } catch (error) {
      if (loading === part) loading = undefined;
      throw partNotLoaded(error, key);
    }
  };
}

/** @param {string} message @param {unknown} [cause] @param {Record<string, unknown>} [fields] */
export const unsupported = (message, cause, fields) =>
  withCode(new Error(message, { cause }), 'UNSUPPORTED', fields);

/**
 * Why a start or a stop failed. `text` is what a user's function threw in words, why nothing was started, what was found
 * instead of an answer, who listens on the port, the PATH that leads to no Bun, or which calls of `kill` are pending.
 * @typedef {{ kind: FailureKind, exitCode: number | null, signal: string | undefined, uptimeMs: number, text: string }} Failure
 * @typedef {'notStarted' | 'exitedEarly' | 'readinessTimedOut' | 'readinessDenied' | 'spawnThrew' | 'readinessThrew' | 'killThrew' | 'stopTimedOut' | 'calledOff' | 'unsupported' | 'portTaken' | 'noPort' | 'crashedSoon' | 'noBun'} FailureKind
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
    case 'unsupported':
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
      return `Tenant readiness timed out ${failure.text}`;
    case 'portTaken':
      return `Tenant "${key}" was not started: ${failure.text}, which was to be the tenant's own; the next start gets another port`;
    case 'noPort':
      return `Tenant "${key}" was not started: no TCP port is free, see /proc/sys/net/ipv4/ip_local_port_range`;
    case 'noBun':
      return (
        `there is no bun on PATH (${failure.text}), and this host (${process.execPath}), which was made by ` +
        '`bun build --compile`, cannot take its place: install Bun beside it, or give `command` the path of one'
      );
    case 'readinessDenied':
      return `Tenant "${key}" is not ready: its readiness check said no`;
    case 'stopTimedOut':
      return `Tenant "${key}" could not be stopped: its process did not exit after kill("SIGKILL")${failure.text}`;
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
    case 'exitedEarly': {
      const error = new RuntimeExitedBeforeReadyError(key, failure.exitCode, output && `\n${output}`);
      return failure.signal === undefined ? error : Object.assign(error, { signal: failure.signal });
    }
    case 'calledOff':
      return new RuntimeExitedBeforeReadyError(key, null, CALLED_OFF);
    case 'notStarted':
    case 'noBun':
      return withCode(new Error(text), 'SPAWN', { key });
    case 'unsupported':
      return unsupported(text, undefined, { key });
    case 'readinessTimedOut':
      return withCode(new Error(output ? `${text}\n${output}` : text), 'READINESS_TIMEOUT', { key });
    case 'readinessDenied':
      return withCode(new Error(text), 'READINESS_TIMEOUT', { key });
    case 'portTaken':
      return withCode(new Error(text), 'PORT_TAKEN', { key });
    case 'noPort':
      return withCode(new Error(text), 'NO_PORT', { key });
    case 'stopTimedOut':
      return withCode(new Error(text), 'STOP_TIMEOUT', { key });
    case 'spawnThrew':
    case 'readinessThrew':
    case 'killThrew':
      return thrown;
    case 'crashedSoon':
      // No call waits for a tenant that is ready: it is only told as the last error of a back-off.
      return withCode(new Error(text), 'SPAWN', { key });
  }
}

/** @param {string} key of the call; empty for one that is about none */
export const disposed = (key) =>
  withCode(new Error('runtime has been disposed'), 'DISPOSED', key === '' ? {} : { key });

/** @param {string} key @param {number} ms */
export const driverIsLate = (key, ms) =>
  withCode(
    new Error(`Tenant "${key}" was not started: its checkpoint driver has not answered for ${ms} ms`),
    'SPAWN',
    { key },
  );

/** @param {string} key @param {import('./tenant/ledger.js').Method} method */
export const draining = (key, method) =>
  withCode(new Error(`runtime is draining; ${method}() refused`), 'DRAINING', { key });

/** @param {string} key */
export const taken = (key) =>
  withCode(new Error(`Tenant "${key}" is already registered`), 'ALREADY_REGISTERED', { key });

/** @param {string} key @param {import('./tenant/ledger.js').Method} method @param {number} waiting */
export const overloaded = (key, method, waiting) =>
  withCode(
    new Error(`runtime is overloaded: ${waiting} tenants wait to be started; ${method}() refused`),
    'OVERLOADED',
    { key },
  );

/** @param {string} key @param {unknown} reason */
export function aborted(key, reason) {
  const message = `the call for tenant "${key}" was aborted`;
  const error = withCode(new Error(message, { cause: reason }), 'ABORTED', { key });
  error.name = 'AbortError';
  return error;
}

/** @param {string} key @param {string} why */
export const notAdopted = (key, why) =>
  withCode(new Error(`Tenant "${key}" cannot adopt the process: ${why}`), 'SPAWN', { key });

/** @param {string} key @param {number} attempt @param {number} retryAfterMs @param {Failure} last */
export function backingOff(key, attempt, retryAfterMs, last) {
  const message =
    `Tenant "${key}" is backing off after ${attempt} failure(s); retry in ${retryAfterMs}ms. ` +
    `Last error: ${failureText(key, last)}`;
  return withCode(new Error(message), 'BACKOFF', { key, attempt, retryAfterMs });
}

/** @param {string} key @param {number} maxFailures @param {Failure} last */
export function exhausted(key, maxFailures, last) {
  const message =
    `Tenant "${key}" exceeded ${maxFailures} consecutive spawn failures; clearBackoff() to retry. ` +
    `Last error: ${failureText(key, last)}`;
  return withCode(new Error(message), 'MAX_FAILURES', { key, maxFailures });
}

/** @param {string} key @param {string} why */
export const notStopped = (key, why) =>
  withCode(new Error(`Tenant "${key}" could not be stopped: ${why}`), 'STOP_REFUSED', { key });

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
   * @param {{ key?: string, tenant?: string, url: URL, reason: import('../index.js').EgressDenialReason, why?: string, address?: string, retryAfterMs?: number }} denial
   */
  constructor({ tenant = '', key = tenant, url, reason, why = reason, address, retryAfterMs }) {
    super(`Egress of tenant "${key}" to ${url.host || url.protocol} denied: ${why}`);
    this.name = /** @type {const} */ ('EgressDeniedError');
    this.code = EGRESS_DENIED;
    this.key = key;
    this.tenant = key;
    this.url = withoutCredentials(url);
    this.reason = reason;
    if (address !== undefined) this.address = address;
    if (retryAfterMs !== undefined) this.retryAfterMs = retryAfterMs;
  }
}

branded(EgressDeniedError.prototype);

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
 * The tenant of a failed request, where that was not known: what reads a request, or its answer, knows no keys.
 * @param {string} key
 * @param {unknown} error
 */
export function egressFailedFor(key, error) {
  return isRuntimeError(error, 'ERR_RUNTIME_EGRESS_FAILED') && !('key' in error)
    ? Object.assign(error, { key })
    : error;
}

/**
 * What somebody else's error, or another value of theirs, says in words; never throws, and never takes long: to write a huge
 * array out would.
 * @param {unknown} error
 * @returns {string}
 */
export function textOf(error) {
  try {
    const words = error instanceof Error ? error.message : error;
    return Array.isArray(words) ? `an array of ${words.length}` : String(words);
  } catch {
    return 'an error that cannot be shown';
  }
}

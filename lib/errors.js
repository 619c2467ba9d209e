/** All errors of this package: their messages, codes and fields are defined here only. */

/**
 * Marks every error of this package. A registered symbol, as a program may load several copies of
 * it.
 */
const BRAND = Symbol.for('@absolutejs/runtime.error');

/**
 * Whether an error is one of this package's, and has this code if one is given. It may come from
 * another copy of the package, or from another realm.
 * @param {unknown} error
 * @param {string} [code]
 * @returns {error is any}
 */
export function isRuntimeError(error, code) {
  try {
    const { [BRAND]: isOurs, code: its } = /** @type {any} */ (error);
    return isOurs === true && typeof its === 'string' && (code === undefined || its === code);
  } catch {
    // null, undefined, or a value whose properties throw when they are read.
    return false;
  }
}

/** @template {object} E @param {E} error or a prototype of errors @returns {E} */
const branded = (error) => Object.defineProperty(error, BRAND, { value: true });

/**
 * A process ended before it was ready, or its start was stopped before there was a process. The
 * message ends with the last lines of its output, or says that there was no process.
 */
export class RuntimeExitedBeforeReadyError extends Error {
  /**
   * @param {string} key
   * @param {number | null} exitCode
   * @param {string} [more] what the message ends with
   * @param {number | null} [memoryLimit] the bytes that it ran out of
   */
  constructor(key, exitCode, more = '', memoryLimit = null) {
    super(exitedEarlyMessage(key, exitCode, memoryLimit) + more);
    this.name = 'RuntimeExitedBeforeReadyError';
    this.code = 'ERR_RUNTIME_EXITED_EARLY';
    this.key = key;
    this.exitCode = exitCode;
    if (memoryLimit !== null) this.limit = /** @type {const} */ ('memory');
  }
}

branded(RuntimeExitedBeforeReadyError.prototype);

/** Ends the message if there was no process that could have exited. */
const CALLED_OFF = ': it was stopped before it was started';

/** @param {string} key @param {number | null} exitCode @param {number | null} memoryLimit */
function exitedEarlyMessage(key, exitCode, memoryLimit) {
  return `Runtime process for "${key}" ${endOf(exitCode, null, memoryLimit)} before it was ready`;
}

/**
 * How a process ended.
 * @param {number | null} exitCode
 * @param {string | null} signal
 * @param {number | null} memoryLimit the bytes that it ran out of
 */
function endOf(exitCode, signal, memoryLimit) {
  if (memoryLimit !== null) return `ran out of its ${sizeText(memoryLimit)} of memory`;
  return `exited with ${signal ?? (exitCode === null ? 'no exit code' : `code ${exitCode}`)}`;
}

const UNITS = /** @type {const} */ (['bytes', 'KiB', 'MiB', 'GiB', 'TiB']);

/**
 * A number of bytes in the largest unit that it has one of: `256 MiB`, `1.5 GiB`, `100 bytes`.
 * @param {number} bytes
 */
export function sizeText(bytes) {
  let [size, unit] = [bytes, 0];
  while (size >= 1024 && unit < UNITS.length - 1) [size, unit] = [size / 1024, unit + 1];
  return bytes === 1 ? '1 byte' : `${Math.round(size * 10) / 10} ${UNITS[unit]}`;
}

/**
 * Makes an error one of this package's.
 * @template {Error} E
 * @param {E} error
 * @param {string} code without `ERR_RUNTIME_`
 * @param {Record<string, unknown>} [fields]
 */
function withCode(error, code, fields) {
  return branded(Object.assign(error, { code: `ERR_RUNTIME_${code}` }, fields));
}

/** @param {string} message @param {ErrorOptions} [options] */
export const invalidOption = (message, options) =>
  withCode(new TypeError(message, options), 'INVALID_OPTION');

/**
 * `unreadable` for the options of a call: the error carries the call's key.
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
 * The error for what was thrown while an option was read: one of this package's as it is; what a
 * user's getter or proxy threw becomes an `ERR_RUNTIME_INVALID_OPTION`.
 * @param {string} path of the option
 * @param {unknown} thrown
 */
export function unreadable(path, thrown) {
  if (isRuntimeError(thrown)) return thrown;
  return invalidOption(`${path} cannot be read: ${textOf(thrown)}`, { cause: thrown });
}

/** @param {unknown} key @param {string} problem */
export function invalidKey(key, problem) {
  if (typeof key !== 'string')
    return withCode(new TypeError(`Tenant key ${problem}`), 'INVALID_KEY');
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

/**
 * A part of the package that is loaded on demand is missing, or cannot be read.
 * @param {unknown} cause
 * @param {string} [key] of the call
 */
export const partNotLoaded = (cause, key) =>
  unsupported(
    `@absolutejs/runtime cannot load a part of itself: ${textOf(cause)}. If it is not there, reinstall the package, or let ` +
      'the bundler see its package.json',
    cause,
    key === undefined ? {} : { key },
  );

/**
 * Imports a part with the first call that needs it. If that failed, the next call tries again.
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

/** Why a start or a stop failed. @typedef {import('./bridge/records.js').Failure} Failure */

/**
 * A failure in one line.
 * @param {string} key
 * @param {Failure} failure
 * @param {string} [pending] calls of the user's `kill` that have not settled
 * @returns {string}
 */
export function failureText(key, failure, pending = '') {
  switch (failure.kind) {
    case 'notStarted':
    case 'unsupported':
      return `Tenant "${key}" could not be started: ${failure.reason}`;
    case 'exitedEarly':
      return exitedEarlyMessage(key, failure.exitCode, failure.outOfMemory);
    case 'calledOff':
      return exitedEarlyMessage(key, null, null) + CALLED_OFF;
    case 'crashedSoon': {
      const { exitCode, signal, outOfMemory, uptimeMs } = failure;
      const end = endOf(exitCode, signal, outOfMemory);
      return `Runtime process for "${key}" ${end} ${uptimeMs} ms after it was ready`;
    }
    case 'readinessTimedOut':
      return `Tenant readiness timed out ${failure.found}`;
    case 'portTaken':
      return `Tenant "${key}" was not started: ${failure.by}, which was to be the tenant's own; the next start gets another port`;
    case 'noPort':
      return `Tenant "${key}" was not started: no TCP port is free, see /proc/sys/net/ipv4/ip_local_port_range`;
    case 'noBun':
      return (
        `there is no bun on PATH (${failure.path ?? 'not set'}), and this host (${process.execPath}), which was made by ` +
        '`bun build --compile`, cannot take its place: install Bun beside it, or give `command` the path of one'
      );
    case 'readinessDenied':
      return `Tenant "${key}" is not ready: its readiness check said no`;
    case 'stopTimedOut': {
      const text = `Tenant "${key}" could not be stopped: its process did not exit after kill("SIGKILL")`;
      return pending === '' ? text : `${text}; still pending: its own ${pending}`;
    }
    case 'thrown':
      return failure.text;
  }
}

/**
 * The error that callers of a failed start or stop get: what a user's function threw is passed on
 * as the same value.
 * @param {string} key
 * @param {Failure} failure
 * @param {{ thrown?: unknown, output?: string, pending?: string }} known
 * @returns {unknown}
 */
export function failureError(key, failure, { thrown, output = '', pending }) {
  const text = failureText(key, failure, pending);
  switch (failure.kind) {
    case 'exitedEarly': {
      const error = new RuntimeExitedBeforeReadyError(
        key,
        failure.exitCode,
        output && `\n${output}`,
        failure.outOfMemory,
      );
      return failure.signal === null ? error : Object.assign(error, { signal: failure.signal });
    }
    case 'calledOff':
      return new RuntimeExitedBeforeReadyError(key, null, CALLED_OFF);
    case 'notStarted':
    case 'noBun':
      return withCode(new Error(text), 'SPAWN', { key });
    case 'unsupported':
      return unsupported(text, undefined, { key });
    case 'readinessTimedOut':
      return withCode(new Error(output ? `${text}\n${output}` : text), 'READINESS_TIMEOUT', {
        key,
      });
    case 'readinessDenied':
      return withCode(new Error(text), 'READINESS_TIMEOUT', { key });
    case 'portTaken':
      return withCode(new Error(text), 'PORT_TAKEN', { key });
    case 'noPort':
      return withCode(new Error(text), 'NO_PORT', { key });
    case 'stopTimedOut':
      return withCode(new Error(text), 'STOP_TIMEOUT', { key });
    case 'thrown':
      return thrown;
    case 'crashedSoon':
      // No call waits for a tenant that is ready: this is only the last error of a back-off.
      return withCode(new Error(text), 'SPAWN', { key });
  }
}

/** @param {string} key of the call; empty if it concerns no key */
export const disposed = (key) =>
  withCode(new Error('runtime has been disposed'), 'DISPOSED', key === '' ? {} : { key });

/** @param {string} key @param {number} ms */
export const driverIsLate = (key, ms) =>
  withCode(
    new Error(
      `Tenant "${key}" was not started: its checkpoint driver has not answered for ${ms} ms`,
    ),
    'SPAWN',
    { key },
  );

/**
 * @param {string} key of the call; empty if it concerns no single key
 * @param {import('./tenant/calls.js').Method | 'warm'} method
 */
export const draining = (key, method) =>
  withCode(
    new Error(`runtime is draining; ${method}() refused`),
    'DRAINING',
    key === '' ? {} : { key },
  );

/**
 * @param {string} key
 * @param {import('./tenant/calls.js').Method} method
 * @param {{ host: string, address: string } | null | undefined} owner the host that serves it
 */
export function notClaimed(key, method, owner) {
  const why = owner ? `served by host "${owner.host}"` : 'not claimed by this host';
  const message = `Tenant "${key}" is ${why} of the fleet; ${method}() refused: ask fleet.ensure`;
  const { host, address } = owner ?? {};
  const fields = host === undefined ? { key } : { key, host, address };
  return withCode(new Error(message), 'NOT_CLAIMED', fields);
}

/** Why a key has no place in the fleet just now, by the word for it. */
const NO_PLACE = {
  apart: 'this host has no lease in it',
  'store-unreachable': 'the store does not answer',
  'store-is-new': 'the store is new, or came back with an older state',
  'newer-version': 'its record is of a newer version of this package',
  'owner-unreachable': 'the host that has it cannot be reached',
  'no-host': 'no host may have it',
  unsettled: 'it changes hands too often',
  closing: 'this host is leaving',
};

/**
 * @param {string} key
 * @param {keyof typeof NO_PLACE} reason
 * @param {number} retryAfterMs
 */
export const notPlaced = (key, reason, retryAfterMs) =>
  withCode(
    new Error(`Tenant "${key}" has no place in the fleet just now: ${NO_PLACE[reason]}`),
    'NOT_PLACED',
    { key, reason, retryAfterMs },
  );

/**
 * Another host has the tenants of this name, or a warden of another version holds them.
 * @param {string} key of the call; empty if it concerns no key
 * @param {string} name of the option `survive`
 * @param {number} pid of the host, or of the warden if there is no host
 * @param {string | null} version of the other, if this one cannot speak with it
 */
export const inUse = (key, name, pid, version) =>
  withCode(
    new Error(
      version === null
        ? `the tenants of the name "${name}" belong to process ${pid}, and a name has one host at a time: ` +
            'end or detach that one, give this one another survive.name, or take over with survive.takeOver'
        : `the tenants of the name "${name}" are held by process ${pid} of @absolutejs/runtime ${version}, ` +
            'with which this version cannot speak: start a host of that version, or end them with ' +
            `\`npx @absolutejs/runtime end ${name}\``,
    ),
    'IN_USE',
    { pid, ...(version !== null && { version }), ...(key !== '' && { key }) },
  );

/**
 * What has outlived an earlier host could not be asked for, and nothing is started beside it.
 * @param {string} key of the call; empty if it concerns no key
 * @param {string} name of the option `survive`
 * @param {string} reason
 */
export const notRecovered = (key, name, reason) =>
  unsupported(
    `the tenants of the name "${name}" cannot be found or started: ${reason}`,
    undefined,
    key === '' ? {} : { key },
  );

export const nothingSurvives = () =>
  unsupported(
    'detach() leaves tenants running for the next host, which takes the option survive: without ' +
      'it they end with this one',
  );

/** @param {string} key */
export const taken = (key) =>
  withCode(new Error(`Tenant "${key}" is already registered`), 'ALREADY_REGISTERED', { key });

/**
 * @param {string} key
 * @param {import('./tenant/calls.js').Method} method
 * @param {number} waiting
 */
export const overloaded = (key, method, waiting) =>
  withCode(
    new Error(`runtime is overloaded: ${waiting} tenants wait to be started; ${method}() refused`),
    'OVERLOADED',
    { key },
  );

/** @param {string} key @param {import('./tenant/calls.js').Method} method */
export const noRoomBeside = (key, method) =>
  withCode(
    new Error(
      `no room beside tenant "${key}" for the process that is to replace it; ${method}() refused: ` +
        'a larger maxConcurrent has room for both',
    ),
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

/**
 * @param {string} key
 * @param {number} attempt
 * @param {number} retryAfterMs
 * @param {Failure} last
 */
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

/**
 * A gateway, or a control, could not be started.
 * @param {string} problem where it was to listen, and why it cannot
 * @param {string | undefined} errno the system's word for it, such as `EADDRINUSE`
 * @param {string} [who]
 */
export const cannotListen = (problem, errno, who = 'the gateway') =>
  withCode(new Error(`${who} ${problem}`), 'LISTEN', errno === undefined ? {} : { errno });

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
   * @param {{ key?: string, tenant?: string, url: URL, reason:
   * import('../index.js').EgressDenialReason, why?: string, address?: string, retryAfterMs?:
   * number }} denial
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

/**
 * Compares the code, as the parts loaded on demand have another copy of the class.
 * @param {unknown} error
 */
export const isDenial = (error) =>
  error instanceof Error && Reflect.get(error, 'code') === EGRESS_DENIED;

/** @param {URL} url */
function withoutCredentials(url) {
  const copy = new URL(url);
  copy.username = '';
  copy.password = '';
  return copy.href;
}

/**
 * The error for a request that cannot be made or fails on its way: a TypeError, as the global
 * `fetch` rejects with.
 * @param {string} message
 * @param {unknown} [cause]
 */
export function egressFailed(message, cause) {
  return withCode(new TypeError(`fetch failed: ${message}`, { cause }), 'EGRESS_FAILED');
}

/**
 * Adds the tenant's key to an `egressFailed` error: the modules that read a request or an answer
 * do not know the key.
 * @param {string} key
 * @param {unknown} error
 */
export function egressFailedFor(key, error) {
  return isRuntimeError(error, 'ERR_RUNTIME_EGRESS_FAILED') && !('key' in error)
    ? Object.assign(error, { key })
    : error;
}

/**
 * The message of a thrown value that may be anything. Never throws, and takes little time: arrays,
 * which may be huge, are not written out.
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

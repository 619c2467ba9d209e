/** RuntimeOptions: read once, checked, completed with the defaults. Rust takes its part from the result: `binding/options.rs`. */
import { invalidOption, unreadable } from './errors.js';
import { nearest } from './nearest.js';
import { isPort } from './processes.js';

/** @typedef {import('../index.js').RuntimeOptions} RuntimeOptions */

/**
 * A start that takes longer than this no longer counts at the gate, whoever set its width: it waits for something other
 * than a core, and a few such tenants must not hold all the others up.
 */
const START_PATIENCE_MS = 1_000;

const COMMAND = /** @type {readonly string[]} */ (['bun', 'run', 'start']);
const BACKOFF = { baseMs: 1_000, maxMs: 60_000, maxFailures: 10, minUptimeMs: 0 };

/** A snapshot that does not answer after this long is given up; and so is the taking of one. */
const RESTORE_TIMEOUT_MS = 30_000;
/** How much later than `startedAt` a process may have been started: it is noted before the start, and clocks are set. */
const STARTED_AT_SLACK_MS = 10_000;

/** Every option of `createRuntime`: another one is refused. @type {(keyof RuntimeOptions)[]} */
const RUNTIME_OPTIONS = [
  'source',
  'idleAfterMs',
  'maxConcurrent',
  'sweepIntervalMs',
  'observeIntervalMs',
  'stopTimeoutMs',
  'readinessTimeoutMs',
  'spawnConcurrency',
  'command',
  'env',
  'backoff',
  'idle',
  'shouldIdleKill',
  'checkpoint',
  'tracerProvider',
  'spawn',
  'readiness',
  'onLog',
  'onMetrics',
  'onTransition',
];

/**
 * What is not given is not looked at any further: Bun compiles a function when it is first called.
 * @param {RuntimeOptions} given
 */
export function readOptions(given) {
  const options = fieldsOf('', given, RUNTIME_OPTIONS);
  const { command, env, backoff, checkpoint } = options;
  const spawn = optional('spawn', options.spawn, isFunction, 'a function');
  const onMetrics = optional('onMetrics', options.onMetrics, isFunction, 'a function');
  const gate = wholeNumber('spawnConcurrency', options.spawnConcurrency, undefined, 0);
  return {
    root: rootOf(options.source),
    idleAfterMs: number('idleAfterMs', options.idleAfterMs, 300_000),
    maxConcurrent: wholeNumber('maxConcurrent', options.maxConcurrent, 100, 1),
    sweepIntervalMs: number('sweepIntervalMs', options.sweepIntervalMs, 10_000, 0),
    observeIntervalMs: number('observeIntervalMs', options.observeIntervalMs, 30_000),
    stopTimeoutMs: number('stopTimeoutMs', options.stopTimeoutMs, 5_000, 0),
    readinessTimeoutMs: number('readinessTimeoutMs', options.readinessTimeoutMs, 30_000, 1),
    // A user's own `spawn` starts processes who knows where: no gate, unless asked for.
    spawnConcurrency: gate ?? (spawn ? 0 : undefined),
    spawnPatienceMs: START_PATIENCE_MS,
    command: command === undefined ? COMMAND : readAt('command', command, commandAt),
    /** Then a tenant's directory must have a start script: Bun would take that of a directory above. */
    runsStartScript: command === undefined,
    env: env === undefined ? undefined : readAt('env', env, envAt),
    backoff: backoff === undefined ? BACKOFF : backoffOf(backoff),
    shouldIdleKill: optional('shouldIdleKill', options.shouldIdleKill, isFunction, 'a function'),
    idle: optional('idle', options.idle, isIdle, '"untouched" or "connections"'),
    checkpoint: checkpoint === undefined ? undefined : checkpointOf(checkpoint),
    tracerProvider: optional('tracerProvider', options.tracerProvider, isTracerProvider, 'a tracer provider'),
    spawn,
    readiness: optional('readiness', options.readiness, isFunction, 'a function'),
    onLog: optional('onLog', options.onLog, isFunction, 'a function'),
    onMetrics,
    onTransition: optional('onTransition', options.onTransition, isFunction, 'a function'),
  };
}

/** @typedef {ReturnType<typeof readOptions>} Settings */

/**
 * The fields of an object that a user gave, each read once, so that whatever it is (a proxy, an object with getters) it
 * cannot give another answer later, nor throw anything that does not name the option. A field that is none is refused: a
 * misspelt option must not pass for one that was left out.
 * @template {object} T
 * @param {string} path of the option that the object is; empty for the options themselves
 * @param {T} value
 * @param {readonly (keyof T & string)[]} names of all fields that there are
 * @param {readonly (keyof T & string)[]} [wanted] those that are read, all by default
 * @returns {T}
 */
export function fieldsOf(path, value, names, wanted = names) {
  let reading = path || 'options';
  const inside = path && `${path}.`;
  /** @type {any} */
  const fields = {};
  try {
    if (!isRecord(value)) throw invalidOption(`${reading} must be an object, got ${shown(value)}`);
    for (const name of Object.keys(value)) {
      if (!names.includes(/** @type {any} */ (name))) throw unknownOption(inside, name, names);
    }
    for (const name of wanted) {
      reading = inside + name;
      fields[name] = value[name];
    }
  } catch (error) {
    throw unreadable(reading, error);
  }
  return fields;
}

/** @param {string} inside what it is in, with a dot @param {string} name @param {readonly string[]} names */
function unknownOption(inside, name, names) {
  const near = nearest(name, names);
  const hint = near === undefined ? `; there are ${names.join(', ')}` : `; did you mean ${inside}${near}?`;
  return invalidOption(`${inside}${name.slice(0, 80)} is not an option${hint}`);
}

/**
 * What `read` makes of a value. What cannot be looked into (a revoked proxy, say) is refused as well.
 * @template T
 * @param {string} path
 * @param {(path: string, value: unknown) => T} read
 * @param {unknown} value
 * @returns {T}
 */
export function readAt(path, value, read) {
  try {
    return read(path, value);
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** @param {unknown} source */
function rootOf(source) {
  if (typeof source !== 'object' || source === null) {
    throw invalidOption(`source must be { kind: "directory", root: string }, got ${shown(source)}`);
  }
  const given = /** @type {Record<string, unknown>} */ (source);
  const kind = readAt('source.kind', given, () => given.kind);
  // Before its fields: those of another kind are unknown here, and to say so would lead astray.
  if (kind !== undefined && kind !== 'directory') throw unsupportedKind(kind);
  const { root } = fieldsOf('source', given, ['kind', 'root'], ['root']);
  if (kind === undefined) throw unsupportedKind(kind);
  return directoryAt('source.root', root);
}

/** @param {unknown} kind */
const unsupportedKind = (kind) => invalidOption(`Unsupported tenant source kind: ${plain(kind)}`);

/**
 * `node:path` would do the same, but a host written for Bun may have no use for it, and loading it takes longer than all
 * of this package.
 * @param {string} path of the option
 * @param {unknown} value
 * @returns {string} absolute, without `.`, `..` and a slash at its end
 */
export function directoryAt(path, value) {
  if (typeof value !== 'string' || value === '' || value.includes('\0')) {
    throw invalidOption(`${path} must be a path, got ${shown(value)}`);
  }
  const segments = [];
  for (const segment of (value.startsWith('/') ? value : `${process.cwd()}/${value}`).split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  return `/${segments.join('/')}`;
}

const DRIVER_METHODS = /** @type {const} */ (['checkpoint', 'restore', 'drop', 'has']);

/** @param {unknown} checkpoint */
function checkpointOf(checkpoint) {
  const fields = ['driver', 'restoreTimeoutMs'];
  const { driver, restoreTimeoutMs } = fieldsOf(
    'checkpoint',
    /** @type {Record<string, any>} */ (checkpoint),
    fields,
  );
  if ((typeof driver !== 'object' && !isFunction(driver)) || driver === null) {
    throw invalidOption(`checkpoint.driver must be a checkpoint driver, got ${shown(driver)}`);
  }
  for (const method of DRIVER_METHODS) {
    readAt(`checkpoint.driver.${method}`, driver, (path) => {
      const given = driver[method];
      if (!isFunction(given)) throw invalidOption(`${path} must be a function, got ${shown(given)}`);
    });
  }
  return {
    driver: /** @type {import('../index.js').CheckpointDriver} */ (driver),
    // 0 is no limit.
    restoreTimeoutMs:
      number('checkpoint.restoreTimeoutMs', restoreTimeoutMs, RESTORE_TIMEOUT_MS, 0) || Infinity,
  };
}

/**
 * The signal of a call. What is no object is ignored: `keys.map(runtime.ensure)` passes an index.
 * @param {unknown} options
 * @returns {AbortSignal | undefined}
 */
export function signalOf(options) {
  if (typeof options !== 'object' || options === null) return undefined;
  if (readAt('options', options, () => 'aborted' in options)) {
    throw invalidOption('options must be { signal }, got an AbortSignal itself');
  }
  const { signal } = fieldsOf('', /** @type {{ signal?: AbortSignal }} */ (options), ['signal']);
  return optional('signal', signal, isSignal, 'an AbortSignal');
}

/** @param {any} value */
const isSignal = (value) => isFunction(value?.addEventListener) && typeof value.aborted === 'boolean';

const ADOPT_OPTIONS = ['port', 'host', 'startedAt', 'lastTouchedAt'];

/**
 * How `adopt` is to take a process over, read once and checked.
 * @param {any} process
 * @param {any} [options]
 */
export function readAdoption(process, options) {
  if ((typeof process !== 'object' && typeof process !== 'function') || process === null) {
    throw invalidOption(`process must be a RuntimeProcess or { pid }, got ${shown(process)}`);
  }
  const given = options === undefined || options === null ? {} : fieldsOf('', options, ADOPT_OPTIONS);
  const { host, startedAt, lastTouchedAt } = given;
  // Without a port it is routed by other means; 0 says the same.
  const ofProcess =
    given.port === undefined ? readAt('process.port', process, () => process.port) : undefined;
  const port = given.port === undefined ? (ofProcess ?? 0) : given.port;
  if (port !== 0 && !isPort(port)) {
    throw invalidOption(`port must be a whole number from 1 to 65535, or 0 for none, got ${shown(port)}`);
  }
  if (host !== undefined && host !== '::1') {
    throw invalidOption(`host must be "::1", or left out for 127.0.0.1, got ${shown(host)}`);
  }
  const now = Date.now();
  const since = number('startedAt', startedAt, undefined, 0);
  return {
    port: /** @type {number} */ (port),
    host: /** @type {'::1' | undefined} */ (host),
    startedAt: since ?? now,
    lastTouchedAt: Math.min(number('lastTouchedAt', lastTouchedAt, now, 0), now),
    /** Milliseconds before now; one that was started later has been given the pid since. */
    startedMsAgo: since === undefined ? undefined : Math.max(now - since - STARTED_AT_SLACK_MS, 0),
  };
}

/** More than any program is given: what is longer is no command, and would only take long to copy. */
const MOST_ARGUMENTS = 10_000;

/** @param {string} path of the option @param {unknown} value @returns {readonly string[]} a copy */
export function commandAt(path, value) {
  const isArgument = (/** @type {unknown} */ part) => typeof part === 'string' && !part.includes('\0');
  const parts = copyOf(value, MOST_ARGUMENTS);
  if (parts === undefined || parts.length === 0 || !parts.every(isArgument) || parts[0] === '') {
    throw invalidOption(`${path} must be a non-empty array of strings, got ${shown(value)}`);
  }
  return /** @type {string[]} */ (parts);
}

/**
 * A copy of an array, without holes, which `every` would pass over; undefined if it is none, or too long. By its length
 * and not by its iterator, which may be the user's and never end.
 * @param {unknown} value
 * @param {number} most
 * @returns {unknown[] | undefined}
 */
export function copyOf(value, most) {
  if (!Array.isArray(value) || value.length > most) return undefined;
  const { length } = value;
  return Array.from({ length }, (_, index) => value[index]);
}

/** @param {string} path @param {unknown} env @returns {import('./environment.js').EnvSetting} */
function envAt(path, env) {
  if (env === 'inherit' || isFunction(env)) return /** @type {import('./environment.js').EnvSetting} */ (env);
  if (!isRecord(env)) {
    throw invalidOption(`${path} must be "inherit", a record of strings or a function, got ${shown(env)}`);
  }
  const variables = { .../** @type {Record<string, string | undefined>} */ (env) };
  for (const [name, value] of Object.entries(variables)) {
    const problem = problemOfVariable(name, value);
    if (problem !== undefined) throw invalidOption(`${path}${problem}`);
  }
  return variables;
}

/**
 * Why this cannot be a variable of a tenant's environment, to be read after where it came from. One that is undefined is
 * left out.
 * @param {string} name
 * @param {unknown} value
 * @returns {string | undefined}
 */
export function problemOfVariable(name, value) {
  if (value !== undefined && (typeof value !== 'string' || value.includes('\0'))) {
    return `.${name.slice(0, 80)} must be a string without NUL, got ${typeof value}`;
  }
  if (name === '' || name.includes('=') || name.includes('\0')) {
    return ` has the impossible variable name ${JSON.stringify(name.slice(0, 80))}`;
  }
  return undefined;
}

/** @param {unknown} backoff */
function backoffOf(backoff) {
  const { baseMs, maxMs, maxFailures, minUptimeMs } = fieldsOf(
    'backoff',
    /** @type {import('../index.js').SpawnBackoff} */ (backoff),
    ['baseMs', 'maxMs', 'maxFailures', 'minUptimeMs'],
  );
  return {
    baseMs: number('backoff.baseMs', baseMs, BACKOFF.baseMs, 0),
    maxMs: number('backoff.maxMs', maxMs, BACKOFF.maxMs, 0),
    maxFailures: wholeNumber('backoff.maxFailures', maxFailures, BACKOFF.maxFailures, 1),
    minUptimeMs: number('backoff.minUptimeMs', minUptimeMs, BACKOFF.minUptimeMs, 0),
  };
}

/**
 * @template {number | undefined} D
 * @param {string} path
 * @param {unknown} value
 * @param {D} byDefault
 * @param {number} [least] without it, 0 or less turns something off
 * @returns {number | D}
 */
export function number(path, value, byDefault, least = -Infinity) {
  if (value === undefined) return byDefault;
  if (typeof value === 'number' && value >= least) return value;
  throw notNumber(path, value, 'a number', least);
}

/**
 * @template {number | undefined} D
 * @param {string} path
 * @param {unknown} value
 * @param {D} byDefault
 * @param {number} least
 * @returns {number | D} Infinity, too
 */
export function wholeNumber(path, value, byDefault, least) {
  if (value === undefined) return byDefault;
  const isWhole = Number.isInteger(value) || value === Infinity;
  if (isWhole && Number(value) >= least) return Number(value);
  throw notNumber(path, value, 'a whole number', least);
}

/** @param {string} path @param {unknown} value @param {string} what @param {number} least */
function notNumber(path, value, what, least) {
  const range = least === -Infinity ? '' : ` of at least ${least}`;
  return invalidOption(`${path} must be ${what}${range}, got ${shown(value)}`);
}

/**
 * @template T
 * @param {string} path
 * @param {T} value
 * @param {(value: unknown) => boolean} fits
 * @param {string} what
 * @returns {T}
 */
export function optional(path, value, fits, what) {
  try {
    if (value === undefined || fits(value)) return value;
  } catch (error) {
    throw unreadable(path, error);
  }
  throw invalidOption(`${path} must be ${what}, got ${shown(value)}`);
}

/** @param {unknown} value */
export const isFunction = (value) => typeof value === 'function';

/** @param {unknown} value */
const isIdle = (value) => value === 'untouched' || value === 'connections';

/** @param {any} value */
export const isTracerProvider = (value) => isFunction(value?.getTracer);

/** @param {unknown} value */
export const isRecord = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** How much of an array is shown. */
const SHOWN_ENTRIES = 10;

/** A value as it is written in code, short; never an error of its own. @param {unknown} value @returns {string} */
export function shown(value) {
  try {
    if (!Array.isArray(value)) return shownOne(value);
    if (value.length === 0) return 'an empty array';
    const entries = Array.prototype.slice.call(value, 0, SHOWN_ENTRIES).map(shownOne);
    return `[${entries.join(', ').slice(0, 80)}]`;
  } catch {
    return 'what cannot be looked into';
  }
}

/** What is in it is not: it may be itself. @param {unknown} value */
function shownOne(value) {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 80));
  if (typeof value === 'function') return 'a function';
  return Array.isArray(value) ? 'an array' : plain(value);
}

/** @param {unknown} value @returns {string} */
function plain(value) {
  return typeof value === 'object' && value !== null ? 'an object' : String(value).slice(0, 80);
}

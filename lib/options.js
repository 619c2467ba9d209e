/** RuntimeOptions: read once, checked, completed with the defaults. Rust takes its part from the result: `binding/options.rs`. */
import { invalidOption } from './errors.js';
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

/**
 * What is not given is not looked at any further: Bun compiles a function when it is first called.
 * @param {RuntimeOptions} options
 */
export function readOptions(options) {
  if (typeof options !== 'object' || options === null) {
    throw invalidOption(`options must be an object, got ${shown(options)}`);
  }
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
    // A user's own `spawn` starts processes who knows where: no gate, unless asked for.
    spawnConcurrency: gate ?? (spawn ? 0 : undefined),
    spawnPatienceMs: START_PATIENCE_MS,
    command: command === undefined ? COMMAND : commandAt('command', command),
    env: env === undefined ? undefined : envOf(env),
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

/** @param {unknown} source */
function rootOf(source) {
  if (typeof source !== 'object' || source === null) {
    throw invalidOption(`source must be { kind: "directory", root: string }, got ${shown(source)}`);
  }
  const { kind, root } = /** @type {Record<string, unknown>} */ (source);
  if (kind !== 'directory') throw invalidOption(`Unsupported tenant source kind: ${plain(kind)}`);
  return directoryAt('source.root', root);
}

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
  if (!isRecord(checkpoint)) throw invalidOption(`checkpoint must be an object, got ${shown(checkpoint)}`);
  const { driver, restoreTimeoutMs } = /** @type {Record<string, any>} */ (checkpoint);
  for (const method of DRIVER_METHODS) {
    if (isFunction(driver?.[method])) continue;
    throw invalidOption(`checkpoint.driver.${method} must be a function, got ${shown(driver?.[method])}`);
  }
  return {
    driver: /** @type {import('../index.js').CheckpointDriver} */ (driver),
    // 0 is no limit.
    restoreTimeoutMs:
      number('checkpoint.restoreTimeoutMs', restoreTimeoutMs, RESTORE_TIMEOUT_MS, 0) || Infinity,
  };
}

/**
 * How `adopt` is to take a process over, read once and checked.
 * @param {any} process
 * @param {any} [options]
 */
export function readAdoption(process, options) {
  if ((typeof process !== 'object' && typeof process !== 'function') || process === null) {
    throw invalidOption(`process must be a RuntimeProcess or { pid }, got ${shown(process)}`);
  }
  const { port = process.port, startedAt, lastTouchedAt } = options ?? {};
  if (!isPort(port)) {
    throw invalidOption(`port must be a whole number from 1 to 65535, got ${shown(port)}`);
  }
  const now = Date.now();
  const since = number('startedAt', startedAt, undefined, 0);
  return {
    port: /** @type {number} */ (port),
    startedAt: since ?? now,
    lastTouchedAt: Math.min(number('lastTouchedAt', lastTouchedAt, now, 0), now),
    /** Milliseconds before now; one that was started later has been given the pid since. */
    startedMsAgo: since === undefined ? undefined : Math.max(now - since - STARTED_AT_SLACK_MS, 0),
  };
}

/** @param {string} path of the option @param {unknown} value @returns {readonly string[]} a copy */
export function commandAt(path, value) {
  const isArgument = (/** @type {unknown} */ part) => typeof part === 'string' && !part.includes('\0');
  // A copy has no holes, which `every` would pass over.
  const parts = Array.isArray(value) ? [...value] : [];
  if (parts.length === 0 || !parts.every(isArgument) || parts[0] === '') {
    throw invalidOption(`${path} must be a non-empty array of strings, got ${shown(value)}`);
  }
  return parts;
}

/** @param {unknown} env @returns {import('./environment.js').EnvSetting} */
function envOf(env) {
  if (isRecord(env)) return { .../** @type {Record<string, string>} */ (env) };
  if (env === 'inherit' || isFunction(env)) return /** @type {import('./environment.js').EnvSetting} */ (env);
  throw invalidOption(`env must be "inherit", a record of strings or a function, got ${shown(env)}`);
}

/** @param {unknown} backoff */
function backoffOf(backoff) {
  if (!isRecord(backoff)) throw invalidOption(`backoff must be an object, got ${shown(backoff)}`);
  const { baseMs, maxMs, maxFailures, minUptimeMs } = /** @type {Record<string, unknown>} */ (backoff);
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
  if (value === undefined || fits(value)) return value;
  throw invalidOption(`${path} must be ${what}, got ${shown(value)}`);
}

/** @param {unknown} value */
export const isFunction = (value) => typeof value === 'function';

/** @param {unknown} value */
const isIdle = (value) => value === 'untouched' || value === 'connections';

/** @param {any} value */
const isTracerProvider = (value) => isFunction(value?.getTracer);

/** @param {unknown} value */
export const isRecord = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** A value as it is written in code, short. @param {unknown} value @returns {string} */
export function shown(value) {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 80));
  if (Array.isArray(value))
    return value.length === 0 ? 'an empty array' : `[${value.map(shown).join(', ').slice(0, 80)}]`;
  if (typeof value === 'object' && value !== null) return 'an object';
  if (typeof value === 'function') return 'a function';
  return plain(value);
}

/** @param {unknown} value @returns {string} */
function plain(value) {
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}

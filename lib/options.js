/**
 * RuntimeOptions: read once, checked, and completed with the defaults. `src/options.rs` reads the
 * result.
 */
import { invalidOption, unreadable } from './errors.js';
import {
  commandAt,
  directoryAt,
  envAt,
  fieldsOf,
  isFunction,
  isTracerProvider,
  number,
  optional,
  plain,
  readAt,
  shown,
  wholeNumber,
} from './checks.js';
import { isolationAt, limitsAt } from './confinement.js';
import { evictionOf, memoryOf, sleepOf } from './sleep/option.js';
import { survivalOf } from './survive/option.js';
import { isPort } from './tenant/processes.js';

/** @typedef {import('../index.js').RuntimeOptions} RuntimeOptions */
/** @typedef {import('../index.js').TenantLimits} TenantLimits */
/** @typedef {import('../index.js').TenantIsolationSetting} TenantIsolationSetting */

/**
 * A start that takes longer than this no longer counts at the gate, whether the user has set its
 * width or not: it waits for something other than a core, and a few such tenants must not delay
 * all others.
 */
const START_PATIENCE_MS = 1_000;

const COMMAND = /** @type {readonly string[]} */ (['bun', 'run', 'start']);
const BACKOFF = { baseMs: 1_000, maxMs: 60_000, maxFailures: 10, minUptimeMs: 0 };

/** The default time limit for a restored process to answer, and for a snapshot to be taken. */
const RESTORE_TIMEOUT_MS = 30_000;
/**
 * How much later than `startedAt` a process may have been started: users note that time before the
 * start, and clocks are set.
 */
const STARTED_AT_SLACK_MS = 10_000;

/** The options of `createRuntime`; any other one is refused. @type {(keyof RuntimeOptions)[]} */
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
  'tenant',
  'limits',
  'isolation',
  'survive',
  'sleep',
  'evict',
  'memory',
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
 * Reads the options. No function is called for an option that is not given, since Bun compiles a
 * function at its first call.
 * @param {RuntimeOptions} given
 */
export function readOptions(given) {
  const options = fieldsOf('', given, RUNTIME_OPTIONS);
  const { command, env, limits, isolation, survive, backoff, checkpoint } = options;
  const { sleep, evict, memory } = options;
  const spawn = optional('spawn', options.spawn, isFunction, 'a function');
  const onMetrics = optional('onMetrics', options.onMetrics, isFunction, 'a function');
  if (limits !== undefined) refuseBesideOthersProcesses('limits', options);
  if (isolation !== undefined && isolation !== 'none')
    refuseBesideOthersProcesses('isolation', options);
  if (survive !== undefined) refuseBesideOthersProcesses('survive', options);
  const sleeps = sleep !== undefined && sleep !== false;
  if (sleeps) refuseBesideOthersProcesses('sleep', options);
  const maxConcurrent = wholeNumber('maxConcurrent', options.maxConcurrent, 100, 1);
  const gate = wholeNumber('spawnConcurrency', options.spawnConcurrency, undefined, 0);
  return {
    root: rootOf(options.source),
    idleAfterMs: number('idleAfterMs', options.idleAfterMs, 300_000),
    maxConcurrent,
    sweepIntervalMs: number('sweepIntervalMs', options.sweepIntervalMs, 10_000, 0),
    observeIntervalMs: number('observeIntervalMs', options.observeIntervalMs, 30_000),
    stopTimeoutMs: number('stopTimeoutMs', options.stopTimeoutMs, 5_000, 0),
    readinessTimeoutMs: number('readinessTimeoutMs', options.readinessTimeoutMs, 30_000, 1),
    // A `spawn` of the user's may start processes on other machines: no gate, unless one is set.
    spawnConcurrency: gate ?? (spawn ? 0 : undefined),
    spawnPatienceMs: START_PATIENCE_MS,
    command: command === undefined ? COMMAND : readAt('command', command, commandAt),
    /**
     * The tenant's directory must have a start script: without one, Bun would run that of a
     * directory above.
     */
    runsStartScript: command === undefined,
    env: env === undefined ? undefined : readAt('env', env, envAt),
    hasDefaultEnv: env === undefined,
    tenant: optional('tenant', options.tenant, isFunction, 'a function'),
    // Of each of these there is the value, or the function that makes it.
    limits:
      limits === undefined || isFunction(limits) ? undefined : readAt('limits', limits, limitsAt),
    limitsOf: isFunction(limits)
      ? /** @type {(key: string) => TenantLimits} */ (limits)
      : undefined,
    isolation:
      isolation === undefined || isFunction(isolation)
        ? undefined
        : readAt('isolation', isolation, isolationAt),
    isolationOf: isFunction(isolation)
      ? /** @type {(key: string) => TenantIsolationSetting} */ (isolation)
      : undefined,
    survive: survive === undefined ? undefined : survivalOf(survive),
    sleep: sleeps ? sleepOf(sleep, maxConcurrent) : undefined,
    evict: evict === undefined ? /** @type {const} */ ('lru') : evictionOf(evict),
    memory: memory === undefined ? undefined : memoryOf(memory),
    backoff: backoff === undefined ? BACKOFF : backoffOf(backoff),
    shouldIdleKill: optional('shouldIdleKill', options.shouldIdleKill, isFunction, 'a function'),
    idle: optional('idle', options.idle, isIdle, '"untouched" or "connections"'),
    checkpoint: checkpoint === undefined ? undefined : checkpointOf(checkpoint),
    tracerProvider: optional(
      'tracerProvider',
      options.tracerProvider,
      isTracerProvider,
      'a tracer provider',
    ),
    spawn,
    readiness: optional('readiness', options.readiness, isFunction, 'a function'),
    onLog: optional('onLog', options.onLog, isFunction, 'a function'),
    onMetrics,
    onTransition: optional('onTransition', options.onTransition, isFunction, 'a function'),
  };
}

/** @typedef {ReturnType<typeof readOptions>} Settings */

/** What holds for processes that the runtime starts, and for no others. */
const OF_OURS_ALONE = {
  limits: ['limits can be kept of', 'of '],
  isolation: ['isolation can be kept of', 'of '],
  survive: ['a host can be outlived by', 'by '],
  sleep: ['sleep is for', 'for '],
};

/**
 * @param {keyof typeof OF_OURS_ALONE} name
 * @param {RuntimeOptions} options
 */
function refuseBesideOthersProcesses(name, { spawn, checkpoint }) {
  const other = spawn !== undefined ? 'spawn' : checkpoint !== undefined ? 'checkpoint' : undefined;
  if (other === undefined) return;
  const whose = other === 'spawn' ? 'what your own spawn starts' : 'what your driver restores';
  const [what, of] = OF_OURS_ALONE[name];
  throw invalidOption(
    `${name} and ${other} are given together: ${what} processes that the runtime starts, not ${of}${whose}`,
  );
}

/** @param {unknown} source */
function rootOf(source) {
  if (typeof source !== 'object' || source === null) {
    throw invalidOption(`source must be { kind: "directory", root: string }, got ${shown(source)}`);
  }
  const given = /** @type {Record<string, unknown>} */ (source);
  const kind = readAt('source.kind', given, () => given.kind);
  // The kind is checked before the fields, since the fields of another kind are unknown here, and
  // an error about them would mislead.
  if (kind !== undefined && kind !== 'directory') throw unsupportedKind(kind);
  const { root } = fieldsOf('source', given, ['kind', 'root'], ['root']);
  if (kind === undefined) throw unsupportedKind(kind);
  return directoryAt('source.root', root);
}

/** @param {unknown} kind */
const unsupportedKind = (kind) => invalidOption(`Unsupported tenant source kind: ${plain(kind)}`);

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
      if (!isFunction(given))
        throw invalidOption(`${path} must be a function, got ${shown(given)}`);
    });
  }
  return {
    driver: /** @type {import('../index.js').CheckpointDriver} */ (driver),
    // 0 means no limit.
    restoreTimeoutMs:
      number('checkpoint.restoreTimeoutMs', restoreTimeoutMs, RESTORE_TIMEOUT_MS, 0) || Infinity,
  };
}

/**
 * The signal of a call. Options that are no object are ignored: `keys.map(runtime.ensure)` passes
 * an index.
 * @param {unknown} options
 * @returns {AbortSignal | undefined}
 */
export function signalOf(options) {
  return optional('signal', callOptions(options, ['signal']).signal, isSignal, 'an AbortSignal');
}

/** How long what `replace` has replaced may go on. */
const DRAIN_MS = 30_000;

/**
 * Reads and checks the options of `replace`, once.
 * @param {unknown} options
 */
export function readReplacement(options) {
  const { signal, drainMs } = callOptions(options, ['signal', 'drainMs']);
  return {
    signal: optional('signal', signal, isSignal, 'an AbortSignal'),
    drainMs: number('drainMs', drainMs, DRAIN_MS, 0),
  };
}

/**
 * The options of a call that waits; what is no object has none.
 * @param {unknown} options
 * @param {('signal' | 'drainMs')[]} names
 * @returns {import('../index.js').ReplaceOptions}
 */
function callOptions(options, names) {
  if (typeof options !== 'object' || options === null) return {};
  if (readAt('options', options, () => 'aborted' in options)) {
    throw invalidOption(`options must be { ${names.join(', ')} }, got an AbortSignal itself`);
  }
  return fieldsOf('', /** @type {import('../index.js').ReplaceOptions} */ (options), names);
}

/** @param {any} value */
const isSignal = (value) =>
  isFunction(value?.addEventListener) && typeof value.aborted === 'boolean';

const ADOPT_OPTIONS = ['port', 'host', 'startedAt', 'lastTouchedAt'];

/**
 * Reads and checks the options of `adopt`, once.
 * @param {any} process
 * @param {any} [options]
 */
export function readAdoption(process, options) {
  if ((typeof process !== 'object' && typeof process !== 'function') || process === null) {
    throw invalidOption(`process must be a RuntimeProcess or { pid }, got ${shown(process)}`);
  }
  const given =
    options === undefined || options === null ? {} : fieldsOf('', options, ADOPT_OPTIONS);
  const { host, startedAt, lastTouchedAt } = given;
  // No port, or 0, means that the tenant is routed by other means.
  const ofProcess =
    given.port === undefined ? readAt('process.port', process, () => process.port) : undefined;
  const port = given.port === undefined ? (ofProcess ?? 0) : given.port;
  if (port !== 0 && !isPort(port)) {
    throw invalidOption(
      `port must be a whole number from 1 to 65535, or 0 for none, got ${shown(port)}`,
    );
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
    /** Milliseconds before now. A process that was started later has got the pid since. */
    startedMsAgo: since === undefined ? undefined : Math.max(now - since - STARTED_AT_SLACK_MS, 0),
  };
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

/** @param {unknown} value */
const isIdle = (value) => value === 'untouched' || value === 'connections';

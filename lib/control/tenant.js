/** One tenant as operators see it. */
import { stateOf } from '../observe/operator-states.js';
import { inTerms } from './terms.js';
import { Traffic } from './traffic.js';
import { isNearlyFull, isServing, openReplacement, problemOf } from './words.js';

/** @typedef {import('../../control.js').ControlTenant} ControlTenant */
/** @typedef {import('../../control.js').ControlTenantState} State */
/** @typedef {import('../../index.js').TenantStatus} TenantStatus */
/** @typedef {import('./usage.js').Usage} Usage */

/** Which figures a tenant has over time. */
export const FIGURES = /** @type {const} */ ([
  'cpuPercent',
  'rssBytes',
  'requestsPerSecond',
  'inFlight',
]);

/**
 * The status of a tenant that the runtime does not know.
 * @param {string} key
 * @returns {TenantStatus}
 */
const unknown = (key) => ({
  key,
  state: 'stopped',
  pid: null,
  port: null,
  startedAt: null,
  lastTouchedAt: null,
  attempt: 0,
  retryAt: null,
  lastError: null,
  starts: 0,
  crashes: 0,
  lastExit: null,
  cpuMs: null,
  rssBytes: null,
  limits: {},
  isolation: null,
});

/** The order of problems: what needs somebody comes first. @type {Record<State, number>} */
const RANKS = {
  ...{ failed: 0, 'backing-off': 1, starting: 4, stopping: 5, running: 6, asleep: 7, stopped: 8 },
};
const RANK_NEARLY_FULL = 2;
const RANK_TROUBLED = 3;

/** Fields that make a tenant another one when they change; the rest follows from them. */
const TOLD = /** @type {const} */ ([
  ...['state', 'depth', 'pid', 'port', 'address', 'starts', 'crashes', 'exits'],
  ...['attempt', 'retryAt'],
  ...['inFlight', 'waiting', 'requests', 'requestsPerSecond', 'errorsPerSecond'],
  ...['refusedPerSecond', 'p50Ms', 'p99Ms', 'cpuPercent', 'rssBytes', 'rank'],
]);

export class Row {
  /** @type {TenantStatus} */
  status;
  traffic = new Traffic();
  exits = 0;
  failedStart = /** @type {import('./words.js').FailedStart | undefined} */ (undefined);
  failedReplacement = /** @type {import('./words.js').FailedReplacement | undefined} */ (undefined);
  /** Columns of the figures, one figure after the other; undefined until it has been started. */
  figures = /** @type {Float32Array | undefined} */ (undefined);
  /** @type {ControlTenant} */
  view;
  #sparkVersion = 0;

  /** @param {string} key @param {import('./terms.js').OptionName} optionName */
  constructor(key, optionName) {
    this.key = key;
    this.optionName = optionName;
    this.status = unknown(key);
    this.view = this.#viewOf(null, undefined, Date.now());
  }

  /** The runtime no longer knows it. */
  isUnknown() {
    this.status = unknown(this.key);
  }

  /**
   * Sees what it now is. Returns whether that is another thing to tell than before.
   * @param {string | null} address
   * @param {Usage | undefined} usage
   * @param {number} now
   */
  refresh(address, usage, now) {
    const before = this.view;
    const view = this.#viewOf(address, usage, now);
    const isSame =
      this.#sparkVersion === this.traffic.sparkVersion &&
      before.problem?.code === view.problem?.code &&
      before.problem?.summary === view.problem?.summary &&
      before.problem?.advice === view.problem?.advice &&
      TOLD.every((name) => before[name] === view[name]);
    this.#sparkVersion = this.traffic.sparkVersion;
    // A problem without a time of its own began when it was first seen.
    if (isSame && before.problem !== null && view.problem?.at === now)
      view.problem = before.problem;
    this.view = view;
    return !isSame;
  }

  /**
   * @param {string | null} address
   * @param {Usage | undefined} usage
   * @param {number} now
   * @returns {ControlTenant}
   */
  #viewOf(address, usage, now) {
    const { status, traffic, key } = this;
    const { pid, port, startedAt, limits } = status;
    const state = stateOf(status);
    const memory = limits.memoryBytes;
    const memoryLimitBytes = memory === undefined || memory.by === 'none' ? null : memory.value;
    const rssBytes = pid === null ? null : (usage?.rssBytes ?? status.rssBytes);
    const { errorsPerSecond } = traffic;
    const { failedStart, failedReplacement } = this;
    const failures = { failedStart, failedReplacement };
    const seen = { state, rssBytes, memoryLimitBytes, errorsPerSecond };
    const condition = { status, ...seen, ...failures, now };
    return {
      key,
      state,
      depth: status.depth ?? null,
      rank: rankOf(condition),
      pid,
      port,
      address,
      startedAt,
      uptimeMs: startedAt === null ? null : Math.max(0, now - startedAt),
      lastTouchedAt: status.lastTouchedAt,
      starts: status.starts,
      crashes: status.crashes,
      exits: this.exits,
      inFlight: traffic.inFlight,
      waiting: traffic.waiting,
      requests: traffic.requests,
      requestsPerSecond: traffic.requestsPerSecond,
      errorsPerSecond,
      refusedPerSecond: traffic.refusedPerSecond,
      p50Ms: traffic.p50Ms,
      p99Ms: traffic.p99Ms,
      cpuPercent: pid === null ? null : (usage?.cpuPercent ?? null),
      cpuMs: pid === null ? null : (usage?.cpuMs ?? status.cpuMs),
      rssBytes,
      memoryLimitBytes,
      limits,
      isolation: status.isolation,
      attempt: status.attempt,
      retryAt: status.retryAt,
      problem: this.#inTerms(problemOf(condition)),
      spark: traffic.spark,
    };
  }

  /** @param {ControlTenant['problem']} problem */
  #inTerms(problem) {
    if (problem === null) return null;
    const { optionName, key } = this;
    const { summary, advice } = problem;
    return {
      ...problem,
      summary: inTerms(summary, optionName, key),
      advice: inTerms(advice, optionName, key),
    };
  }

  /** Notes the figures of a column that is over. @param {number} column @param {number} columns */
  note(column, columns) {
    const { view } = this;
    if (this.figures === undefined) {
      if (view.pid === null) return;
      this.figures = new Float32Array(FIGURES.length * columns).fill(NaN);
    }
    FIGURES.forEach((name, index) => {
      const isRunning = view.pid !== null;
      /** @type {Float32Array} */ (this.figures)[index * columns + column] = isRunning
        ? (view[name] ?? NaN)
        : NaN;
    });
  }
}

/** @param {import('./words.js').Condition} condition */
function rankOf(condition) {
  const { status, state, errorsPerSecond } = condition;
  if (!isServing(status)) return RANKS[state];
  if (isNearlyFull(condition)) return RANK_NEARLY_FULL;
  const isTroubled = errorsPerSecond > 0 || openReplacement(condition) !== undefined;
  return isTroubled ? RANK_TROUBLED : RANKS[state];
}

/**
 * Worst first; then by requests a second; then by key.
 * @param {ControlTenant} one
 * @param {ControlTenant} other
 */
export const worstFirst = (one, other) =>
  one.rank - other.rank ||
  other.requestsPerSecond - one.requestsPerSecond ||
  (one.key < other.key ? -1 : 1);

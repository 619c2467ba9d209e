/** What users can see of the pool at a moment: counters, and the state of each key. */
import { failureText } from './errors.js';
import { isPid } from './external.js';
import { Batch, EXIT_REASONS } from './inbox.js';
import { native } from './native.js';

/** @typedef {import('./runtime.js').Core} Core */
/** @typedef {import('../index.js').TenantStatus} TenantStatus */
/** @typedef {ReturnType<typeof createCounts>} Counts */

/** Where the number of failed starts stands: see `src/board.rs`. */
const FAILURES = 5;

/** Counted as events are delivered, so that they agree with them. They outlive `dispose`. */
export function createCounts() {
  return {
    openedAt: performance.now(),
    /** @type {number | undefined} */
    closedAt: undefined,
    totalSpawns: 0,
    totalExits: /** @type {Record<import('../index.js').ExitReason, number>} */ (
      Object.fromEntries(EXIT_REASONS.map((reason) => [reason, 0]))
    ),
    /** @type {number | null} */
    lastSpawnMs: null,
    checkpoints: {
      checkpoints: 0,
      restores: 0,
      restoreFailures: 0,
      /** @type {number | null} */
      lastRestoreMs: null,
    },
  };
}

/**
 * @param {import('../index.js').RuntimeStats} stats
 * @param {Core} core
 * @returns {import('../index.js').RuntimeMetrics}
 */
export function metricsOf(stats, { counts, board }) {
  return {
    ...stats,
    totalSpawns: counts.totalSpawns,
    totalExits: { ...counts.totalExits },
    totalBackoffEntries: /** @type {number} */ (board[FAILURES]),
    lastSpawnMs: counts.lastSpawnMs,
    // Whole milliseconds, the one that has begun included.
    uptimeMs: Math.ceil((counts.closedAt ?? performance.now()) - counts.openedAt),
    checkpoints: { ...counts.checkpoints },
  };
}

/**
 * @param {{ numbers: Float64Array, texts: string[] }} statuses
 * @param {Core} core
 * @param {Iterable<string>} asked keys that may have nothing but a snapshot
 * @returns {TenantStatus[]}
 */
export function statusesOf({ numbers, texts }, { runs, images }, asked) {
  const batch = new Batch(numbers);
  batch.begin(texts);
  /** @type {Map<string, TenantStatus>} */
  const byKey = new Map();
  while (!batch.isEmpty) {
    const { key, state, run, attempt, retryAt, last } = batch.status();
    const lastError = last === undefined ? null : failureText(key, last);
    byKey.set(key, { ...nothing(key, state), ...known(runs.get(run)), attempt, retryAt, lastError });
  }
  for (const key of asked) {
    if (images.has(key) && !byKey.has(key)) byKey.set(key, nothing(key, 'checkpointed'));
  }
  // Those with nothing but a snapshot have come last.
  return [...byKey.values()].sort((one, other) => (one.key < other.key ? -1 : 1));
}

/** @param {string} key @param {import('../index.js').TenantState} state @returns {TenantStatus} */
function nothing(key, state) {
  return {
    key,
    state,
    pid: null,
    port: null,
    startedAt: null,
    lastTouchedAt: null,
    attempt: 0,
    retryAt: null,
    lastError: null,
    cpuMs: null,
    rssBytes: null,
  };
}

/** @param {import('./tenants.js').Run | undefined} run */
function known(run) {
  if (run === undefined || run.pid === 0) return {};
  const { pid, port, startedAt, live, usage, resourceId } = run;
  return {
    pid,
    port,
    startedAt,
    lastTouchedAt: live?.lastTouchedAt ?? null,
    cpuMs: usage?.cpuMs ?? null,
    rssBytes: usage?.rssBytes ?? null,
    ...(resourceId === undefined ? {} : { resourceId }),
  };
}

/**
 * What a process and everything below it use: the accounting of observations, for any pid.
 * @param {number} pid
 * @returns {Promise<import('../index.js').ProcessTreeStats | null>}
 */
export async function readProcessTreeStats(pid) {
  if (!isPid(pid)) return null;
  return new Promise((resolve) => native().readTree(pid, resolve));
}

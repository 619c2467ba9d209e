/** What users can see of the pool: counters, and the state of each key at a moment. */
import { Batch, EXIT_REASONS } from '../bridge/batch.js';
import { failureText } from '../errors.js';
import { native } from '../bridge/native.js';
import { isPid } from '../tenant/processes.js';

/** @typedef {import('../tenant/ledger.js').Run} Run */
/** @typedef {import('../../index.js').ExitReason} ExitReason */
/** @typedef {import('../runtime.js').Core} Core */
/** @typedef {import('../../index.js').TenantStatus} TenantStatus */
/** @typedef {ReturnType<typeof createCounts>} Counts */

/** Where the number of failed starts stands: see `crates/driver/src/board.rs`. */
const FAILURES = 5;

/** Counted as events are delivered, so that they agree with them. They outlive `dispose`. */
export function createCounts() {
  const totalExits = /** @type {Record<ExitReason, number>} */ ({});
  for (const reason of EXIT_REASONS) totalExits[reason] = 0;
  return {
    openedAt: performance.now(),
    /** @type {number | undefined} */
    closedAt: undefined,
    totalSpawns: 0,
    totalExits,
    lastSpawnMs: 0,
    checkpoints: {
      checkpoints: 0,
      restores: 0,
      restoreFailures: 0,
      lastRestoreMs: 0,
    },
  };
}

/**
 * @param {import('../../index.js').RuntimeStats} stats
 * @param {Core} core
 * @returns {import('../../index.js').RuntimeMetrics}
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
 * @returns {TenantStatus[]}
 */
export function statusesOf({ numbers, texts }, { runs }) {
  const batch = new Batch(numbers);
  batch.begin(texts);
  const statuses = Array.from(batch.statuses(), (status) => statusOf(status, runs.get(status.run)));
  return statuses.sort((one, other) => (one.key < other.key ? -1 : 1));
}

/**
 * @param {Omit<ReturnType<Batch['status']>, 'run'>} known
 * @param {Run} [run] the process, if there is one
 * @returns {TenantStatus}
 */
function statusOf({ last, isOfLastExit, ...known }, run) {
  const { key, state, attempt, retryAt, starts, crashes, lastExit, cpuMs, rssBytes } = known;
  const started = run === undefined || run.pid === 0 ? undefined : run;
  /** @type {TenantStatus} */
  const status = {
    key,
    state,
    pid: started?.pid ?? null,
    port: started?.port ?? null,
    startedAt: started?.startedAt ?? null,
    lastTouchedAt: started?.live?.lastTouchedAt ?? null,
    attempt,
    retryAt,
    lastError: last === undefined ? null : failureText(key, last),
    starts,
    crashes,
    lastExit,
    cpuMs,
    rssBytes,
  };
  if (isOfLastExit && lastExit !== null && status.lastError !== null && !isThrown(last)) {
    status.lastError = [status.lastError, ...lastExit.lines].join('\n');
  }
  if (started?.host !== undefined) status.host = started.host;
  if (started?.resourceId !== undefined) status.resourceId = started.resourceId;
  return status;
}

/** What a function of the user's threw is told as it is. @param {import('../errors.js').Failure | undefined} failure */
const isThrown = (failure) => failure?.kind.endsWith('Threw') === true;

/**
 * What a process and everything below it use: the accounting of observations, for any pid.
 * @param {number} pid
 * @returns {Promise<import('../../index.js').ProcessTreeStats | null>}
 */
export async function readProcessTreeStats(pid) {
  if (!isPid(pid)) return null;
  return new Promise((resolve) => native().readTree(pid, resolve));
}

/** `metrics`, `inspect` and `list`: counters, and the present status of each key. */
import { Batch } from '../bridge/batch.js';
import { BOARD_FAILURES, EXIT_REASONS, readStatus } from '../bridge/records.js';
import { failureText } from '../errors.js';
import { native } from '../bridge/native.js';
import { isPid } from '../tenant/processes.js';

/** @typedef {import('../tenant/tenants.js').Run} Run */
/** @typedef {import('../../index.js').ExitReason} ExitReason */
/** @typedef {import('../runtime.js').Core} Core */
/** @typedef {import('../../index.js').TenantStatus} TenantStatus */
/** @typedef {ReturnType<typeof createCounts>} Counts */
/**
 * As `src/confinement.rs` makes them.
 * @typedef {import('../../index.js').LimitInForce & { name: string }} LimitInForce
 * @typedef {{ landlock?: number, seccomp: boolean, user?: number, missing: string[] }}
 *   IsolationInForce
 */

/**
 * Milliseconds on a clock that never jumps. To make `performance` takes Node 0.7 ms, when it is first
 * used.
 */
export const steadyMs = () => process.uptime() * 1_000;

/**
 * Counters that are updated as events are delivered, so that both agree. They outlive `dispose`.
 */
export function createCounts() {
  const totalExits = /** @type {Record<ExitReason, number>} */ ({});
  for (const reason of EXIT_REASONS) totalExits[reason] = 0;
  return {
    openedAt: steadyMs(),
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
    /** Runs that are asleep. @type {Set<number>} */
    asleep: new Set(),
    sleep: { sleeps: 0, wakes: 0, lastWakeMs: 0 },
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
    totalBackoffEntries: /** @type {number} */ (board[BOARD_FAILURES]),
    lastSpawnMs: counts.lastSpawnMs,
    // Rounded up to whole milliseconds.
    uptimeMs: Math.ceil((counts.closedAt ?? steadyMs()) - counts.openedAt),
    checkpoints: { ...counts.checkpoints },
    sleep: { asleep: counts.asleep.size, ...counts.sleep },
  };
}

/**
 * @param {{ numbers: Float64Array, texts: string[] }} statuses
 * @param {Core} core
 * @returns {TenantStatus[]}
 */
export function statusesOf({ numbers, texts }, { runs, settings, native: ours }) {
  const batch = new Batch(numbers);
  batch.begin(texts);
  /** @type {TenantStatus[]} */
  const statuses = [];
  const isConfined = mayConfine(settings);
  while (batch.hasNumbers) {
    const status = readStatus(batch);
    const run = status.run === null ? undefined : runs.get(status.run);
    const started = run === undefined || run.pid === 0 ? undefined : run;
    const inForce = isConfined && started !== undefined ? ours.inForce(started.id) : undefined;
    statuses.push(statusOf(status, started, inForce));
  }
  return statuses.sort((one, other) => (one.key < other.key ? -1 : 1));
}

/**
 * The failed starts of a key whose last one had no process that could have ended.
 * @param {Pick<Core, 'native'>} core
 * @param {string} key
 * @returns {{ attempt: number, retryAt: number | null, error: string } | undefined}
 */
export function failedStartOf({ native: ours }, key) {
  const { numbers, texts } = ours.inspect(key);
  const batch = new Batch(numbers);
  batch.begin(texts);
  const failures = batch.hasNumbers ? readStatus(batch).failures : null;
  if (failures === null || failures.isOfLastExit) return undefined;
  const { count: attempt, retryAt, last } = failures;
  return { attempt, retryAt, error: failureText(key, last) };
}

/**
 * Whether tenants may have limits or walls.
 * @param {Core['settings']} settings
 */
const mayConfine = ({ limits, isolation, tenant, limitsOf, isolationOf }) =>
  (limits ?? isolation ?? tenant ?? limitsOf ?? isolationOf) !== undefined;

/**
 * What Rust knows of a key; of snapshots it does not.
 * @typedef {Omit<import('../bridge/records.js').Status, 'phase' | 'run'> & { phase:
 * TenantStatus['state'] }} Known
 */

/**
 * @param {Known} known
 * @param {Run | undefined} started the process, if there is one
 * @param {{ limits: LimitInForce[], isolation?: IsolationInForce } | null} [inForce]
 * @returns {TenantStatus}
 */
function statusOf(known, started, inForce) {
  const { key, phase, depth, failures, comesBackAt, usage, history } = known;
  /** @type {TenantStatus} */
  const status = {
    key,
    state: phase,
    pid: started?.pid ?? null,
    port: started?.port ?? null,
    startedAt: started?.startedAt ?? null,
    lastTouchedAt: started?.live?.lastTouchedAt ?? null,
    attempt: failures?.count ?? 0,
    retryAt: comesBackAt ?? failures?.retryAt ?? null,
    lastError: failures && lastErrorOf(key, failures, history),
    starts: history.starts,
    crashes: history.crashes,
    lastExit: history.lastExit && lastExitOf(history.lastExit),
    cpuMs: usage?.cpuMs ?? null,
    rssBytes: usage?.rssBytes ?? null,
    limits: Object.fromEntries(
      (inForce?.limits ?? []).map(({ name, value, by }) => [name, { value, by }]),
    ),
    isolation: inForce?.isolation ? isolationOf(inForce.isolation) : null,
  };
  if (depth !== null) status.depth = depth;
  if (started?.host !== undefined) status.host = started.host;
  if (started?.resourceId !== undefined) status.resourceId = started.resourceId;
  return status;
}

/**
 * @param {IsolationInForce} inForce
 * @returns {NonNullable<TenantStatus['isolation']>}
 */
function isolationOf({ landlock, seccomp, user, missing }) {
  return { landlock: landlock ?? null, seccomp, user: user ?? null, missing };
}

/**
 * In words, with the last lines of a process whose end it was.
 * @param {string} key
 * @param {import('../bridge/records.js').FailureStatus} failures
 * @param {import('../bridge/records.js').History} history
 */
function lastErrorOf(key, { last, isOfLastExit }, { lastExit }) {
  const text = failureText(key, last);
  // Output lines are not added to what a user's function threw.
  if (!isOfLastExit || !lastExit?.output || last.kind === 'thrown') return text;
  return `${text}\n${lastExit.output}`;
}

/**
 * @param {import('../bridge/records.js').LastExit} lastExit
 * @returns {NonNullable<TenantStatus['lastExit']>}
 */
function lastExitOf({ exitCode, signal, reason, at, output, outOfMemory }) {
  const lines = output === '' ? [] : output.split('\n');
  const exit = { exitCode, signal, reason, at, lines };
  return outOfMemory === null ? exit : { ...exit, limit: 'memory' };
}

/**
 * What a process and its descendants use, counted as in observations, for any pid.
 * @param {number} pid
 * @returns {Promise<import('../../index.js').ProcessTreeStats | null>}
 */
export async function readProcessTreeStats(pid) {
  if (!isPid(pid)) return null;
  return new Promise((resolve) => native().readTree(pid, resolve));
}

/**
 * What users can see of the pool: counters and the state of each key at a moment, and a span for each process, from the
 * decision to start it until its end. Whatever a tracer does breaks nothing.
 */
import { failureText } from './errors.js';
import { isPid } from './external.js';
import { Batch, EXIT_REASONS } from './inbox.js';
import { native } from './native.js';

/** @typedef {import('./ledger.js').Run} Run */
/** @typedef {import('../index.js').ExitReason} ExitReason */
/** @typedef {import('./runtime.js').Core} Core */
/** @typedef {import('../index.js').TenantStatus} TenantStatus */
/** @typedef {ReturnType<typeof createCounts>} Counts */

/** Where the number of failed starts stands: see `src/board.rs`. */
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
  for (const status of batch.statuses()) {
    byKey.set(status.key, statusOf(status, runs.get(status.run)));
  }
  for (const key of asked) {
    if (images.has(key) && !byKey.has(key)) byKey.set(key, statusOf({ key, ...NOTHING_BUT_A_SNAPSHOT }));
  }
  // Those with nothing but a snapshot have come last.
  return [...byKey.values()].sort((one, other) => (one.key < other.key ? -1 : 1));
}

const NOTHING_BUT_A_SNAPSHOT = {
  state: /** @type {const} */ ('checkpointed'),
  attempt: 0,
  retryAt: null,
  last: undefined,
};

/**
 * @param {Pick<ReturnType<Batch['status']>, 'key' | 'attempt' | 'retryAt' | 'last'> & { state: import('../index.js').TenantState }} status
 * @param {Run} [run] the process, if there is one
 * @returns {TenantStatus}
 */
function statusOf({ key, state, attempt, retryAt, last }, run) {
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
    cpuMs: started?.usage?.cpuMs ?? null,
    rssBytes: started?.usage?.rssBytes ?? null,
  };
  if (started?.resourceId !== undefined) status.resourceId = started.resourceId;
  return status;
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

const OK = 1;
const ERROR = 2;

/** @type {ReadonlySet<ExitReason>} */
const UNPLANNED = new Set(/** @type {const} */ (['crashed', 'readiness-timeout', 'killed']));

/** @param {any} tracerProvider shaped like OpenTelemetry's API */
export function createTracing(tracerProvider) {
  const tracer = guarded(() => tracerProvider.getTracer('@absolutejs/runtime'));
  /** Spans that have not been ended, by run. @type {Map<number, any>} */
  const open = new Map();

  /** @param {Run} run @param {Record<string, string | number>} attributes */
  function note(run, attributes) {
    const span = open.get(run.id);
    for (const [name, value] of Object.entries(attributes)) {
      guarded(() => span?.setAttribute(`abs.runtime.${name}`, value));
    }
  }

  /** @param {Run} run @param {{ code: number, message?: string }} status */
  function end(run, status) {
    const span = open.get(run.id);
    if (span === undefined) return;
    open.delete(run.id);
    guarded(() => span.setStatus(status));
    guarded(() => span.end());
  }

  return {
    /** A process is about to be started. @param {Run} run */
    begin(run) {
      const attributes = { 'abs.runtime.key': run.key };
      const span = guarded(() => tracer.startSpan('runtime.spawn', { attributes }));
      if (span) open.set(run.id, span);
    },

    /** The tenant finds the span that it belongs to in its environment. @param {Run} run @param {Record<string, string>} env */
    hand(run, env) {
      const traceparent = guarded(() => traceparentOf(open.get(run.id)?.spanContext()));
      if (traceparent !== undefined) env.TRACEPARENT = env.traceparent = traceparent;
    },

    /** @param {Run} run */
    spawned(run) {
      note(run, { pid: run.pid, port: run.port });
    },

    /** @param {Run} run @param {number} readinessMs from the start of the process */
    ready(run, readinessMs) {
      note(run, { readiness_ms: readinessMs });
    },

    /** @param {Run} run @param {number | null} exitCode @param {ExitReason} reason */
    exited(run, exitCode, reason) {
      note(run, { exit_reason: reason, ...(exitCode === null ? {} : { exit_code: exitCode }) });
      end(run, UNPLANNED.has(reason) ? { code: ERROR, message: reason } : { code: OK });
    },

    /** Nothing will be heard of the run: a span that is still open is that of a start that came to nothing. @param {Run} run */
    over(run) {
      end(run, { code: ERROR, message: 'the process was not started' });
    },

    /** The runtime is gone. */
    close() {
      for (const span of open.values()) guarded(() => span.end());
      open.clear();
    },
  };
}

/** W3C Trace Context. @param {any} context @returns {string | undefined} */
function traceparentOf(context) {
  const { traceId, spanId, traceFlags = 0 } = context ?? {};
  if (!/^(?!0{32})[0-9a-f]{32}$/.test(traceId) || !/^(?!0{16})[0-9a-f]{16}$/.test(spanId)) return undefined;
  return `00-${traceId}-${spanId}-${(traceFlags & 0xff).toString(16).padStart(2, '0')}`;
}

/** @template T @param {() => T} call @returns {T | undefined} */
function guarded(call) {
  try {
    const result = call();
    if (result instanceof Promise) result.catch(() => {});
    return result;
  } catch {
    return undefined;
  }
}

/**
 * A span for each process, from the decision to start it until its end. A tracer that throws
 * breaks nothing.
 */

/** @typedef {import('../tenant/tenants.js').Run} Run */
/** @typedef {import('../../index.js').ExitReason} ExitReason */

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

    /**
     * Puts the span's W3C trace context into the tenant's environment.
     * @param {Run} run
     * @param {Record<string, string>} env
     */
    setTraceparent(run, env) {
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

    /**
     * @param {Run} run
     * @param {number | null} exitCode
     * @param {ExitReason} reason
     * @param {boolean} ranOutOfMemory
     */
    exited(run, exitCode, reason, ranOutOfMemory) {
      note(run, { exit_reason: reason, ...(exitCode === null ? {} : { exit_code: exitCode }) });
      if (ranOutOfMemory) note(run, { limit: 'memory' });
      end(run, UNPLANNED.has(reason) ? { code: ERROR, message: reason } : { code: OK });
    },

    /**
     * The run is over. If its span is still open, the process was not started.
     * @param {Run} run
     */
    release(run) {
      end(run, { code: ERROR, message: 'the process was not started' });
    },

    /** Ends all open spans, when the runtime is disposed. */
    close() {
      for (const span of open.values()) guarded(() => span.end());
      open.clear();
    },
  };
}

/**
 * The span's `traceparent` of W3C Trace Context; undefined for an invalid one.
 * @param {any} context
 * @returns {string | undefined}
 */
export function traceparentOf(context) {
  const { traceId, spanId, traceFlags = 0 } = context ?? {};
  if (typeof traceId !== 'string' || typeof spanId !== 'string') return undefined;
  if (!/^(?!0{32})[0-9a-f]{32}$/.test(traceId) || !/^(?!0{16})[0-9a-f]{16}$/.test(spanId))
    return undefined;
  return `00-${traceId}-${spanId}-${(traceFlags & 0xff).toString(16).padStart(2, '0')}`;
}

/**
 * Calls a function of the user's; undefined if it throws.
 * @template T
 * @param {() => T} call
 * @returns {T | undefined}
 */
export function guarded(call) {
  try {
    const result = call();
    if (result instanceof Promise) result.catch(() => {});
    return result;
  } catch {
    return undefined;
  }
}

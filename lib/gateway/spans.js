/**
 * A span for each request that wakes a tenant, from its coming until it is over. A tracer that
 * throws breaks nothing.
 */
import { guarded, traceparentOf } from '../observe/tracing.js';

/** OpenTelemetry's `SpanKind.SERVER` and `SpanStatusCode.ERROR`. */
const SERVER = 1;
const ERROR = 2;
/** The key by which OpenTelemetry's API finds a context's span. */
const SPAN = Symbol.for('OpenTelemetry Context Key SPAN');

/**
 * @param {any} tracerProvider shaped like OpenTelemetry's API
 * @param {(ticket: number, traceparent: string | undefined) => void} answer what the tenant is sent
 */
export function createSpans(tracerProvider, answer) {
  const tracer = guarded(() => tracerProvider.getTracer('@absolutejs/runtime'));
  /** By the request's number. @type {Map<number, any>} */
  const open = new Map();
  return {
    /** @param {any} notice */
    woken({ ticket, id, key, host, method, path, address, traceparent }) {
      const attributes = {
        'abs.runtime.key': key,
        'client.address': address,
        'http.request.method': method,
        'server.address': host,
        'url.path': path,
      };
      const options = { kind: SERVER, attributes };
      const parent = parentOf(traceparent);
      const span = guarded(() =>
        parent === undefined
          ? tracer.startSpan('gateway.wake', options)
          : tracer.startSpan('gateway.wake', options, contextOf({ [SPAN]: parent })),
      );
      if (span) open.set(id, span);
      answer(ticket, span && guarded(() => traceparentOf(span.spanContext())));
    },

    /** @param {any} notice */
    wokenOver({ id, status, wokeMs }) {
      const span = open.get(id);
      if (span === undefined) return;
      open.delete(id);
      guarded(() => span.setAttribute('http.response.status_code', status));
      if (wokeMs !== undefined) guarded(() => span.setAttribute('abs.runtime.woke_ms', wokeMs));
      if (status >= 500) guarded(() => span.setStatus({ code: ERROR, message: `${status}` }));
      guarded(() => span.end());
    },

    /** Ends all open spans, when the gateway is closed. */
    close() {
      for (const span of open.values()) guarded(() => span.end());
      open.clear();
    },
  };
}

/**
 * The span that a W3C `traceparent` names.
 * @param {string | undefined} traceparent
 */
function parentOf(traceparent) {
  const match = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/.exec(traceparent ?? '');
  if (match === null) return undefined;
  const [, traceId, spanId, flags = '0'] = match;
  const spanContext = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  return { spanContext: () => spanContext, isRecording: () => false };
}

/**
 * A context as OpenTelemetry's API has it.
 * @param {Record<symbol, unknown>} values
 * @returns {any}
 */
function contextOf(values) {
  return {
    getValue: (/** @type {symbol} */ key) => values[key],
    /** @type {(key: symbol, value: unknown) => any} */
    setValue: (key, value) => contextOf({ ...values, [key]: value }),
    /** @type {(key: symbol) => any} */
    deleteValue: (key) => contextOf({ ...values, [key]: undefined }),
  };
}

/** A span for each request that goes through the guard. A tracer that throws breaks nothing. */
import { isDenial } from '../errors.js';
import { guarded } from '../observe/tracing.js';

const OK = 1;
const ERROR = 2;

/** @typedef {<T>(key: string, url: URL, call: () => Promise<T>) => Promise<T>} Traced */

/**
 * @param {any} tracerProvider shaped like OpenTelemetry's API, if there is one
 * @returns {Traced}
 */
export function createTraced(tracerProvider) {
  if (tracerProvider === undefined) return (_key, _url, call) => call();
  const tracer = guarded(() => tracerProvider.getTracer('@absolutejs/runtime'));

  return async (key, url, call) => {
    const attributes = { 'abs.tenant': key, 'abs.egress.host': url.hostname };
    const span = guarded(() => tracer.startSpan('runtime.egress_fetch', { attributes }));
    const note = (/** @type {string} */ name, /** @type {unknown} */ value) =>
      guarded(() => span?.setAttribute(`abs.egress.${name}`, value));
    try {
      const response = await call();
      note('allowed', true);
      guarded(() => span?.setStatus({ code: OK }));
      return response;
    } catch (error) {
      if (isDenial(error)) {
        note('allowed', false);
        note('deny_reason', Reflect.get(/** @type {Error} */ (error), 'reason'));
      }
      guarded(() => span?.setStatus({ code: ERROR }));
      throw error;
    } finally {
      guarded(() => span?.end());
    }
  };
}

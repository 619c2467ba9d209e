/** What the guard does with a request: checks it, sends it, and does the same with every redirect. */
import { abandon, bodyToSend, lengthOf } from './body.js';
import { createBudgets } from './budget.js';
import { addressesOf, connect } from './connect.js';
import { egressFailed } from '../errors.js';
import { exchange, headBytes, headersToSend } from './exchange.js';
import { createLife } from './life.js';
import { createMeter } from './meter.js';
import { createPolicy } from './policy.js';
import { nextStep } from './redirect.js';
import { headBytesOf, responseOf } from './response.js';

/** @typedef {import('./guard.js').EgressRequest} EgressRequest */
/** @typedef {import('./exchange.js').Step} Step */

/** As many as the Fetch standard lets a request follow. */
const MOST_REDIRECTS = 20;

/** @typedef {import('../errors.js').EgressDeniedError} EgressDeniedError */

/**
 * @param {import('./options.js').EgressSettings} settings
 * @param {typeof import('../errors.js').EgressDeniedError} Denied the class that users know: imported here, it would be another
 */
export function createEngine(settings, Denied) {
  const policy = createPolicy(settings);
  const budgets = settings.budget && createBudgets(settings.budget);

  return {
    /**
     * @param {string} key
     * @param {EgressRequest} request
     * @returns {Promise<Response>}
     */
    async fetch(key, request) {
      const { signal, redirect } = request;
      signal?.throwIfAborted();
      assertReachable(key, request.url);
      /** @type {Step} */
      const step = { ...request, body: request.body && (await bodyToSend(request.body)) };
      setContentType(step);
      try {
        return await follow(key, step, redirect, signal);
      } catch (error) {
        abandon(step.body);
        throw error;
      }
    },
    usage: (/** @type {string} */ key) => budgets?.usage(key),
    reset: (/** @type {string} */ key) => budgets?.reset(key),
  };

  /**
   * @param {string} key
   * @param {Step} step
   * @param {EgressRequest['redirect']} mode
   * @param {AbortSignal | undefined} signal
   */
  async function follow(key, step, mode, signal) {
    for (let redirects = 0; ; redirects++) {
      const { message, meter, life } = await sendOne(key, step, signal);
      try {
        const next = mode === 'manual' ? undefined : nextStep(step, message);
        if (!next) return responseOf(message, { ...step, isRedirected: redirects > 0, meter, life });
        if (mode === 'error') throw egressFailed(`redirected to ${next.url.origin}`);
        if (redirects === MOST_REDIRECTS) throw egressFailed(`redirected more than ${MOST_REDIRECTS} times`);
        life.end();
        step = next;
      } catch (error) {
        life.end(error);
        throw error;
      }
    }
  }

  /**
   * One request, without redirects, up to the head of its answer.
   * @param {string} key @param {Step} step @param {AbortSignal | undefined} signal
   */
  async function sendOne(key, step, signal) {
    const { url } = step;
    assertReachable(key, url);
    const overrun = budgets?.takeRequest(key);
    if (overrun) throw denied(key, url, overrun);
    const meter = createMeter(budgets, key, (problem) => denied(key, url, problem));
    const headers = headersToSend(step);
    const head = headBytes(step, headers);
    meter.reserve(head + (lengthOf(step.body) ?? 0));
    const life = createLife(signal);
    try {
      const addresses = await addressesOf(url, settings.lookup, life.signal);
      const problem = policy.problemOfAddresses(addresses);
      if (problem) throw denied(key, url, problem);
      const socket = await connect(url, addresses, life.signal);
      meter.sent(head);
      const message = await exchange(socket, step, headers, meter, life);
      meter.received(headBytesOf(message));
      return { message, meter, life };
    } catch (error) {
      const reason = life.signal.aborted ? life.signal.reason : failure(url, error);
      life.end(reason);
      meter.sentAll();
      throw reason;
    }
  }

  /** @param {string} key @param {URL} url */
  function assertReachable(key, url) {
    const problem = policy.problemOfUrl(url);
    if (problem) throw denied(key, url, problem);
  }

  /**
   * @param {string} key
   * @param {URL} url
   * @param {import('./policy.js').Problem & { retryAfterMs?: number }} problem
   */
  function denied(key, url, problem) {
    const error = new Denied({ key, url, ...problem });
    tell(settings.onDenied, error);
    return error;
  }
}

/** @typedef {ReturnType<typeof createEngine>} Engine */

/**
 * What a callback throws, or rejects with, is its own affair.
 * @param {((error: EgressDeniedError) => unknown) | undefined} onDenied @param {EgressDeniedError} error
 */
async function tell(onDenied, error) {
  try {
    await onDenied?.(error);
  } catch {}
}

/** @param {URL} url @param {unknown} error */
function failure({ host }, error) {
  const isOurs = error instanceof Error && String(Reflect.get(error, 'code')).startsWith('ERR_RUNTIME_');
  return isOurs ? error : egressFailed(`${host}: ${error instanceof Error ? error.message : error}`, error);
}

/** A body brings its media type along, unless the caller said otherwise. @param {Step} step */
function setContentType({ headers, body }) {
  const type = body && 'blob' in body ? body.blob.type : '';
  if (type !== '' && !headers.has('content-type')) headers.set('content-type', type);
}

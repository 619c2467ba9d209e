/** The guard's engine: checks a request, sends it, and does the same with every redirect. */
import { abandon, bodyToSend, lengthOf } from './body.js';
import { createBudgets } from './budget.js';
import { addressesOf, connect } from './connect.js';
import { egressFailed } from '../errors.js';
import { exchange, headBytes, headersToSend } from './exchange.js';
import { createSendThroughImpl } from './fetch-impl.js';
import { createHop } from './hop.js';
import { createMeter } from './meter.js';
import { createPolicy } from './policy.js';
import { nextStep } from './redirect.js';
import { headBytesOf, responseOf } from './response.js';
import { createTraced } from './spans.js';

/** @typedef {import('./guard.js').EgressRequest} EgressRequest */
/** @typedef {import('./exchange.js').Step} Step */

/** @typedef {import('../errors.js').EgressDeniedError} EgressDeniedError */

/**
 * @param {import('./options.js').EgressSettings} settings
 * @param {typeof import('../errors.js').EgressDeniedError} Denied the class that users import:
 * this file is loaded beside the bundle, and importing it here would give another copy
 */
export function createEngine(settings, Denied) {
  const policy = createPolicy(settings);
  const budgets = settings.budget && createBudgets(settings.budget, settings.now);
  const traced = createTraced(settings.tracerProvider);
  const { fetchImpl } = settings;
  const sendThroughImpl = fetchImpl && createSendThroughImpl({ fetchImpl, admit, count });
  const totals = { requests: 0, bytesEgress: 0, denied: noDenials() };

  return {
    /**
     * @param {string} key
     * @param {EgressRequest} request
     * @returns {Promise<Response>}
     */
    fetch: (key, request) =>
      traced(key, request.url, () => (sendThroughImpl ?? send)(key, request)),
    usage: (/** @type {string} */ key) => budgets?.usage(key),
    reset: (/** @type {string | undefined} */ key) => budgets?.reset(key),
    metrics: () => ({ tenants: budgets?.size() ?? 0, ...totals, denied: { ...totals.denied } }),
  };

  /** @param {string} key @param {EgressRequest} request */
  async function send(key, request) {
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
  }

  /**
   * Checks and counts a request that `fetchImpl` is about to make.
   * @param {string} key
   * @param {URL} url
   * @param {AbortSignal | undefined} signal
   */
  async function admit(key, url, signal) {
    signal?.throwIfAborted();
    assertReachable(key, url);
    const overrun = budgets?.wouldOverrun(key, 1) ?? budgets?.takeRequest(key);
    if (overrun) throw denied(key, url, overrun);
    const hop = createHop(key, signal);
    try {
      const addresses = await addressesOf(url, settings.lookup, hop.signal).catch((error) => {
        signal?.throwIfAborted();
        // A name without an address has none to be denied. `fetchImpl` looks it up again anyway.
        if (settings.lookup) throw failure(url, error);
        return [];
      });
      const problem = policy.problemOfAddresses(url, addresses);
      if (problem) throw denied(key, url, problem);
    } finally {
      hop.end();
    }
    totals.requests += 1;
  }

  /** @param {string} key @param {number} bytes */
  function count(key, bytes) {
    totals.bytesEgress += bytes;
    budgets?.takeBytes(key, bytes);
  }

  /**
   * @param {string} key
   * @param {Step} step
   * @param {EgressRequest['redirect']} mode
   * @param {AbortSignal | undefined} signal
   */
  async function follow(key, step, mode, signal) {
    for (let redirects = 0; ; redirects++) {
      const { message, meter, hop } = await sendOne(key, step, signal);
      try {
        const next = nextStep(step, message, mode, redirects);
        if (!next) return responseOf(message, { ...step, isRedirected: redirects > 0, meter, hop });
        hop.end();
        step = next;
      } catch (error) {
        hop.end(error);
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
    const refusal = (/** @type {import('./budget.js').Overrun} */ problem) =>
      denied(key, url, problem);
    const meter = createMeter(budgets, key, refusal, (bytes) => (totals.bytesEgress += bytes));
    const headers = headersToSend(step);
    const head = headBytes(step, headers);
    meter.reserve(head + (lengthOf(step.body) ?? 0));
    const hop = createHop(key, signal);
    try {
      const addresses = await addressesOf(url, settings.lookup, hop.signal);
      const problem = policy.problemOfAddresses(url, addresses);
      if (problem) throw denied(key, url, problem);
      totals.requests += 1;
      const socket = await connect(url, addresses, hop.signal);
      meter.sent(head);
      const message = await exchange(socket, step, headers, meter, hop);
      meter.received(headBytesOf(message));
      return { message, meter, hop };
    } catch (error) {
      const reason = hop.signal.aborted ? hop.signal.reason : failure(url, error);
      hop.end(reason);
      meter.sentAll();
      throw reason;
    }
  }

  /** @param {string} key @param {URL} url */
  function assertReachable(key, url) {
    const problem = policy.problemOfUrl(key, url);
    if (problem) throw denied(key, url, problem);
  }

  /**
   * @param {string} key
   * @param {URL} url
   * @param {import('./policy.js').Problem & { retryAfterMs?: number }} problem
   */
  function denied(key, url, problem) {
    const reason = coarse(problem.reason);
    totals.denied[reason] += 1;
    const told = settings.isCoarse
      ? { ...problem, reason, why: `${problem.why} (${reason})` }
      : problem;
    const error = new Denied({ key, url, ...told });
    tell(settings.onDenied, error);
    tell(settings.onDeny, { tenant: key, url: new URL(url), reason });
    return error;
  }
}

/** @typedef {import('../../index.js').EgressDenyReason} EgressDenyReason */

/** @returns {Record<EgressDenyReason, number>} */
const noDenials = () => ({ 'not-allowed': 0, 'requests-budget': 0, 'bytes-budget': 0 });

/**
 * The reason as the TypeScript package names it.
 * @param {import('../../index.js').EgressDenialReason} reason
 * @returns {EgressDenyReason}
 */
const coarse = (reason) =>
  reason === 'requests-budget' || reason === 'bytes-budget' ? reason : 'not-allowed';

/** @typedef {ReturnType<typeof createEngine>} Engine */

/**
 * Calls a callback of the user's. What it throws, or rejects with, is ignored.
 * @template T
 * @param {((what: T) => unknown) | undefined} callback @param {T} what
 */
async function tell(callback, what) {
  try {
    await callback?.(what);
  } catch {}
}

/**
 * The error that `fetch` rejects with: one of ours as it is, any other wrapped.
 * @param {URL} url
 * @param {unknown} error
 */
function failure({ host }, error) {
  const isOurs =
    error instanceof Error && String(Reflect.get(error, 'code')).startsWith('ERR_RUNTIME_');
  return isOurs
    ? error
    : egressFailed(`${host}: ${error instanceof Error ? error.message : error}`, error);
}

/** Sets the media type of the body, unless the caller has set one. @param {Step} step */
function setContentType({ headers, body }) {
  const type = body && 'blob' in body ? body.blob.type : '';
  if (type !== '' && !headers.has('content-type')) headers.set('content-type', type);
}

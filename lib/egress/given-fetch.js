/**
 * Requests that a `fetch` of the user's carries out. It gets what the caller gave, once that has passed; redirects are
 * followed here, so that they pass as well. What its answers weigh is all that is known of the bytes.
 */
import { nextStep } from './redirect.js';
import { describe } from './response.js';

/** @typedef {import('./guard.js').EgressRequest} EgressRequest */
/** @typedef {import('./exchange.js').Step} Step */
/** @typedef {import('../../index.js').FetchLike} FetchLike */

/**
 * @param {object} guard
 * @param {FetchLike} guard.fetchImpl
 * @param {(key: string, url: URL, signal: AbortSignal | undefined) => Promise<void>} guard.admit rejects what may not be reached
 * @param {(key: string, bytes: number) => void} guard.count what came
 */
export function createGivenFetch({ fetchImpl, admit, count }) {
  /** @param {string} key @param {EgressRequest} request @returns {Promise<Response>} */
  return async (key, request) => {
    const { url, redirect: mode, signal } = request;
    await admit(key, url, signal);
    let response = await fetchImpl(...asGiven(request));
    /** @type {Step | undefined} */
    let step;
    for (let redirects = 0; mode !== 'manual'; redirects++) {
      const next = nextStep((step ??= await stepOf(request)), headOf(response), mode, redirects);
      if (!next) break;
      response.body?.cancel().catch(() => {});
      step = next;
      await admit(key, step.url, signal);
      response = await fetchImpl(step.url.href, initOf(step, signal));
    }
    const { method } = step ?? request;
    const counted = method === 'HEAD' ? response : weighed(response, (bytes) => count(key, bytes));
    return step && step.url !== url ? describe(counted, step.url.href, true) : counted;
  };
}

/** What the caller gave, as it was when it was checked. @param {EgressRequest} request @returns {[string | URL | Request, RequestInit]} */
function asGiven({ given, url }) {
  const { input, init } = /** @type {NonNullable<typeof given>} */ (given);
  // A copy: the `url` of a Request can be made to say something else than where it goes.
  const copied = input instanceof Request ? new Request(url.href, input) : undefined;
  return [copied ?? (input instanceof URL ? new URL(url) : url.href), { ...init, redirect: 'manual' }];
}

/** @param {EgressRequest} request @returns {Promise<Step>} */
async function stepOf({ url, method, headers, body }) {
  if (body === undefined) return { url, method, headers, body };
  // A stream has been read by now, and cannot be sent again.
  return {
    url,
    method,
    headers,
    body: 'whole' in body ? { blob: await body.whole() } : { chunks: nothing() },
  };
}

async function* nothing() {}

/** @param {Step} step @param {AbortSignal | undefined} signal @returns {RequestInit} */
function initOf({ method, headers, body }, signal) {
  const blob = body && 'blob' in body ? body.blob : undefined;
  return { method, headers, body: blob, redirect: 'manual', signal };
}

/** @param {Response} response */
function headOf({ status, headers }) {
  const location = headers?.get?.('location') ?? undefined;
  return /** @type {any} */ ({ statusCode: status, headers: { location } });
}

/**
 * The answer, whose bytes are counted: at once where it says how many there are, and otherwise as they are read.
 * @param {Response} response
 * @param {(bytes: number) => void} count
 * @returns {Response}
 */
function weighed(response, count) {
  // What it says of its length is that of a body that does not come: an answer with 304, say.
  if (response.body === null) return response;
  const length = Number(response.headers?.get?.('content-length') ?? 0);
  if (length > 0) count(length);
  if (length > 0 || !response.body) return response;
  const counting = new TransformStream({
    transform(chunk, controller) {
      count(chunk.byteLength);
      controller.enqueue(chunk);
    },
  });
  const { status, statusText, headers, url, redirected } = response;
  const copy = new Response(response.body.pipeThrough(counting), { status, statusText, headers });
  return describe(copy, url, redirected);
}

/**
 * Requests that the user's `fetchImpl` carries out. It gets what the caller gave, once that has
 * been admitted. Redirects are followed here, so that each is checked, too. Only the bytes of its
 * answers' bodies are known, so only they are counted.
 */
import { nextStep } from './redirect.js';
import { describe } from './response.js';

/** @typedef {import('./guard.js').EgressRequest} EgressRequest */
/** @typedef {import('./exchange.js').Step} Step */
/** @typedef {import('../../index.js').FetchLike} FetchLike */

/**
 * @param {object} guard
 * @param {FetchLike} guard.fetchImpl
 * @param {(key: string, url: URL, signal: AbortSignal | undefined) => Promise<void>} guard.admit
 * rejects what may not be reached
 * @param {(key: string, bytes: number) => void} guard.count counts bytes received
 */
export function createSendThroughImpl({ fetchImpl, admit, count }) {
  /** @param {string} key @param {EgressRequest} request @returns {Promise<Response>} */
  return async (key, request) => {
    const { url, redirect: mode, signal } = request;
    await admit(key, url, signal);
    let response = await fetchImpl(...argumentsFor(request));
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
    const counted =
      method === 'HEAD' ? response : withBytesCounted(response, (bytes) => count(key, bytes));
    return step && step.url !== url ? describe(counted, step.url.href, true) : counted;
  };
}

/**
 * The arguments for `fetchImpl`: what the caller gave, as it was when it was checked.
 * @param {EgressRequest} request
 * @returns {[string | URL | Request, RequestInit]}
 */
function argumentsFor({ given, url }) {
  const { input, init } = /** @type {NonNullable<typeof given>} */ (given);
  // A copy: a Request's `url` property can be redefined to differ from the URL that is fetched.
  const copied = input instanceof Request ? new Request(url.href, input) : undefined;
  return [
    copied ?? (input instanceof URL ? new URL(url) : url.href),
    { ...init, redirect: 'manual' },
  ];
}

/** @param {EgressRequest} request @returns {Promise<Step>} */
async function stepOf({ url, method, headers, body }) {
  if (body === undefined) return { url, method, headers, body };
  // `fetchImpl` has read a stream by now: it cannot be sent again.
  return {
    url,
    method,
    headers,
    body: 'whole' in body ? { blob: await body.whole() } : { chunks: noChunks() },
  };
}

async function* noChunks() {}

/** @param {Step} step @param {AbortSignal | undefined} signal @returns {RequestInit} */
function initOf({ method, headers, body }, signal) {
  const blob = body && 'blob' in body ? body.blob : undefined;
  return { method, headers, body: blob, redirect: 'manual', signal };
}

/** The part of the answer that `nextStep` reads. @param {Response} response */
function headOf({ status, headers }) {
  const location = headers?.get?.('location') ?? undefined;
  return /** @type {any} */ ({ statusCode: status, headers: { location } });
}

/**
 * The answer, with its body's bytes counted: at once if it has a `content-length`, else as they
 * are read.
 * @param {Response} response
 * @param {(bytes: number) => void} count
 * @returns {Response}
 */
function withBytesCounted(response, count) {
  // Without a body, as with status 304, `content-length` is that of a body that is not sent.
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

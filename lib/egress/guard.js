/**
 * The public egress guard. It reads a request and passes it on to `engine.js`, which is loaded
 * with the first request.
 */
import { createPart, EgressDeniedError, egressFailed, egressFailedFor, textOf } from '../errors.js';
import { assertKey } from '../checks.js';
import { readEgressOptions } from './options.js';

/** @typedef {import('../../index.js').EgressGuard} EgressGuard */
/** @typedef {import('./engine.js').Engine} Engine */

/**
 * @typedef {object} EgressRequest
 * @property {URL} url
 * @property {string} method
 * @property {Headers} headers
 * @property {GivenBody | undefined} body
 * @property {'follow' | 'manual' | 'error'} redirect
 * @property {AbortSignal | undefined} signal
 * @property {{ input: unknown, init: RequestInit | undefined } | undefined} given what the caller
 * passed, for the user's `fetchImpl`; undefined without one
 */
/**
 * A body as the caller gave it. `whole` has a length and can be sent again; a `stream` has
 * neither, unless it proves to be short (`mayBeShort`: the body of a Request is a stream even when
 * it was made from a string).
 * @typedef {{ whole: () => Promise<Blob> } | { stream: ReadableStream, mayBeShort: boolean }}
 * GivenBody
 */

const refusedMethods = ['CONNECT', 'TRACE', 'TRACK'];
const redirectModes = ['follow', 'manual', 'error'];

/**
 * @param {import('../../index.js').EgressGuardOptions} [options]
 * @returns {EgressGuard}
 */
export function createEgressGuard(options = {}) {
  const settings = readEgressOptions(options);
  /** @type {Engine | undefined} */
  let engine;
  const part = createPart(() => import('#egress-engine'));
  async function load(/** @type {string} */ key) {
    const { createEngine } = await part(key);
    // Concurrent first calls share one engine.
    return (engine ??= createEngine(settings, EgressDeniedError));
  }

  /** @type {EgressGuard['fetch']} */
  async function guardedFetch(key, input, init) {
    assertKey(key);
    // The request is read before the first await: what the caller changes afterwards has no
    // effect.
    try {
      const given = settings.fetchImpl && { input, init: init && { ...init } };
      const request = { ...readRequest(input, given ? given.init : init), given };
      return await (engine ?? (await load(key))).fetch(key, request);
    } catch (error) {
      throw egressFailedFor(key, error);
    }
  }

  return {
    fetch: guardedFetch,
    fetchFor(key) {
      assertKey(key);
      return (input, init) => guardedFetch(key, input, init);
    },
    usage(key) {
      assertKey(key);
      return engine?.usage(key) ?? { requests: 0, bytes: 0 };
    },
    reset(key) {
      if (key !== undefined) assertKey(key);
      engine?.reset(key);
    },
    metrics() {
      const denied = { 'not-allowed': 0, 'requests-budget': 0, 'bytes-budget': 0 };
      return engine?.metrics() ?? { tenants: 0, requests: 0, denied, bytesEgress: 0 };
    },
  };
}

/**
 * Reads the caller's request, each property once: a getter may give another value the next time.
 * @param {unknown} input
 * @param {RequestInit | undefined} init
 * @returns {Omit<EgressRequest, 'given'>}
 */
function readRequest(input, init) {
  const request = input instanceof Request ? input : undefined;
  const address = request ? request.url : textOf(input);
  if (!URL.canParse(address)) {
    throw egressFailed(`${JSON.stringify(address.slice(0, 200))} is not an absolute URL`);
  }

  const { method, headers, body, redirect, signal, integrity } = init ?? {};
  if (integrity) throw egressFailed('the egress guard does not check `integrity`');
  const read = {
    url: new URL(address),
    method: methodOf(method ?? request?.method ?? 'GET'),
    headers: new Headers(headers ?? request?.headers),
    body: body == null ? bodyOfRequest(request) : readBody(body),
    redirect: redirectOf(redirect ?? request?.redirect ?? 'follow'),
    signal: signalOf(signal === undefined ? request?.signal : signal),
  };
  if (read.body && (read.method === 'GET' || read.method === 'HEAD')) {
    throw egressFailed(`a ${read.method} request cannot have a body`);
  }
  return read;
}

/** @param {unknown} value */
function methodOf(value) {
  const method = textOf(value).toUpperCase();
  const isToken = /^[!#$%&'*+\-.^_`|~\dA-Z]+$/.test(method);
  if (!isToken || refusedMethods.includes(method)) {
    throw egressFailed(`the method ${JSON.stringify(method.slice(0, 80))} is not allowed`);
  }
  return method;
}

/** @param {unknown} value */
function redirectOf(value) {
  const mode = textOf(value);
  if (redirectModes.includes(mode)) return /** @type {'follow' | 'manual' | 'error'} */ (mode);
  throw egressFailed(
    `redirect must be one of ${redirectModes.join(', ')}, got ${JSON.stringify(mode.slice(0, 80))}`,
  );
}

/** @param {unknown} value */
function signalOf(value) {
  if (value == null) return undefined;
  if (value instanceof AbortSignal) return value;
  throw egressFailed('signal must be an AbortSignal');
}

/** @param {Request | undefined} request @returns {GivenBody | undefined} */
function bodyOfRequest(request) {
  if (request?.bodyUsed) throw egressFailed('the body of the Request has already been read');
  const stream = request?.body;
  return stream ? { stream, mayBeShort: true } : undefined;
}

/** Copies a body that the caller could still change. @param {any} body @returns {GivenBody} */
function readBody(body) {
  if (body instanceof ReadableStream) {
    if (body.locked) throw egressFailed('the stream given as body is already being read');
    return { stream: body, mayBeShort: false };
  }
  if (body instanceof FormData) {
    const encoded = new Response(body);
    return { whole: () => encoded.blob() };
  }
  const blob = blobOf(body);
  if (blob) return { whole: async () => blob };
  return { stream: streamOf(body), mayBeShort: false };
}

/** @param {any} body @returns {Blob | undefined} undefined for an async iterable */
function blobOf(body) {
  if (body instanceof Blob) return body;
  if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) {
    return new Blob([/** @type {ArrayBuffer} */ (body)]);
  }
  if (body instanceof URLSearchParams) {
    return new Blob([String(body)], { type: 'application/x-www-form-urlencoded;charset=UTF-8' });
  }
  if (typeof body === 'object' && Symbol.asyncIterator in body) return undefined;
  return new Blob([String(body)], { type: 'text/plain;charset=UTF-8' });
}

/** @param {AsyncIterable<unknown>} iterable */
function streamOf(iterable) {
  const iterator = iterable[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel(reason) {
      await iterator.return?.(reason);
    },
  });
}

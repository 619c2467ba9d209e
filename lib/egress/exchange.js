/** One request and its answer on a connection of their own. */
import { request as httpRequest } from 'node:http';
import { chunksOf, lengthOf } from './body.js';
import { egressFailed } from '../errors.js';
import { unlessAborted } from './hop.js';
import { dialsItself, ParsedRequest } from './parsed-request.js';

/** @typedef {import('node:http').IncomingMessage} IncomingMessage */
/**
 * @typedef {{ url: URL, method: string, headers: Headers, body: import('./body.js').Body |
 * undefined }} Step
 */
/** @typedef {(event: string, listener: (...args: any[]) => void) => Request} Listen */
/**
 * What is used of a `ClientRequest`, or of what stands for it.
 * @typedef {{ destroyed: boolean, write(bytes: Uint8Array): boolean, end(): void, on: Listen, once:
 * Listen, off: Listen }} Request
 */
/** @typedef {import('./meter.js').Meter} Meter */
/** @typedef {import('./hop.js').Hop} Hop */

/** A connection without traffic for this long is closed, also if the answer is merely not read. */
const IDLE_MS = 300_000;
/** Node's own limit; a longer head is taken for an attack. */
const MAX_HEAD_BYTES = 16 * 1024;

/** Headers that the guard sets itself: those that say how a message is sent, and `host`. */
const ownHeaders = [
  'connection',
  'content-length',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

/**
 * The headers that are sent: the caller's, without `ownHeaders`, and the guard's.
 * @param {Step} step
 * @returns {[name: string, value: string][]}
 */
export function headersToSend({ url, method, headers, body }) {
  const sent = new Headers(headers);
  for (const name of ownHeaders) sent.delete(name);
  if (!sent.has('accept')) sent.set('accept', '*/*');
  if (!sent.has('user-agent')) sent.set('user-agent', 'absolutejs-runtime');
  // A range of an encoded answer could not be decoded.
  if (!sent.has('accept-encoding')) {
    sent.set('accept-encoding', sent.has('range') ? 'identity' : 'gzip, deflate, br');
  }
  /** @type {[string, string][]} */
  const list = [['host', url.host], ['connection', 'close'], ...sent];
  const length = lengthOf(body);
  if (length === undefined) list.push(['transfer-encoding', 'chunked']);
  else if (body || method === 'POST' || method === 'PUT')
    list.push(['content-length', String(length)]);
  return list;
}

/** How many bytes the request's head is. @param {Step} step @param {[string, string][]} headers */
export function headBytes({ url, method }, headers) {
  const line =
    method.length + url.pathname.length + url.search.length + ' HTTP/1.1\r\n\r\n'.length + 1;
  return headers.reduce((bytes, [name, value]) => bytes + name.length + value.length + 4, line);
}

/**
 * Sends a request and resolves with the head of its answer. The request's body may still be being
 * sent then.
 * @param {import('node:net').Socket} socket
 * @param {Step} step
 * @param {[string, string][]} headers
 * @param {Meter} meter
 * @param {Hop} hop
 * @returns {Promise<IncomingMessage>}
 */
export function exchange(socket, step, headers, meter, hop) {
  return new Promise((resolve, reject) => {
    const { signal } = hop;
    socket.setTimeout(IDLE_MS, () => hop.end(egressFailed(`nothing moved for ${IDLE_MS} ms`)));
    const onAbort = () => {
      socket.destroy();
      reject(signal.reason);
    };
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });

    const { method } = step;
    const path = step.url.pathname + step.url.search;
    /** @type {Request} */
    const request = dialsItself
      ? new ParsedRequest(socket, { method, path, headers, maxHeadBytes: MAX_HEAD_BYTES })
      : httpRequest({
          createConnection: () => socket,
          method,
          path,
          headers: Object.fromEntries(headers),
          setHost: false,
          insecureHTTPParser: false,
          maxHeaderSize: MAX_HEAD_BYTES,
        });
    // This listener stays: more errors may follow the first.
    request.on('error', reject);
    request.once('response', resolve);
    request.once('upgrade', () => hop.end(egressFailed('the server switched to another protocol')));
    send(request, step.body, meter, signal).catch((error) => hop.end(error));
  });
}

/**
 * Writes the body, and ends the request.
 * @param {Request} request
 * @param {Step['body']} body
 * @param {Meter} meter
 * @param {AbortSignal} signal
 */
async function send(request, body, meter, signal) {
  const chunks = body && chunksOf(body)[Symbol.asyncIterator]();
  try {
    while (chunks) {
      const { done, value } = await unlessAborted(chunks.next(), signal);
      if (done) break;
      meter.sent(value.byteLength);
      if (!request.write(value)) await unlessAborted(drained(request), signal);
      // The server answered, or closed the connection, without reading the whole body. The
      // response event or the error event tells which.
      if (request.destroyed) return;
    }
    request.end();
  } finally {
    meter.sentAll();
    chunks?.return?.().catch(() => {});
  }
}

/**
 * Resolves once the request takes more, or is closed.
 * @param {Request} request
 * @returns {Promise<void>}
 */
function drained(request) {
  return new Promise((resolve) => {
    const done = () => {
      request.off('drain', done).off('close', done);
      resolve();
    };
    if (request.destroyed) return done();
    request.on('drain', done).on('close', done);
  });
}

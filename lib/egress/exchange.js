/** One request and its answer on a connection of their own. */
import { request as httpRequest } from 'node:http';
import { chunksOf, lengthOf } from './body.js';
import { egressFailed } from '../errors.js';
import { unlessAborted } from './life.js';

/** @typedef {import('node:http').IncomingMessage} IncomingMessage */
/** @typedef {{ url: URL, method: string, headers: Headers, body: import('./body.js').Body | undefined }} Step */
/** @typedef {import('./meter.js').Meter} Meter */
/** @typedef {import('./life.js').Life} Life */

/** A connection on which nothing moves for this long is given up, be it that the answer is never read. */
const IDLE_MS = 300_000;
/** As in Node; more than this is not the head of an answer but an attack. */
const MOST_HEAD_BYTES = 16 * 1024;

/** Headers that say how a message is sent, which is not the caller's to decide, and `host`, which is the URL's. */
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
 * The headers as they are sent.
 * @param {Step} step
 * @returns {[name: string, value: string][]}
 */
export function headersToSend({ url, method, headers, body }) {
  const sent = new Headers(headers);
  for (const name of ownHeaders) sent.delete(name);
  if (!sent.has('accept')) sent.set('accept', '*/*');
  if (!sent.has('user-agent')) sent.set('user-agent', 'absolutejs-runtime');
  // A part of an encoded answer could not be decoded.
  if (!sent.has('accept-encoding')) {
    sent.set('accept-encoding', sent.has('range') ? 'identity' : 'gzip, deflate, br');
  }
  /** @type {[string, string][]} */
  const list = [['host', url.host], ['connection', 'close'], ...sent];
  const length = lengthOf(body);
  if (length === undefined) list.push(['transfer-encoding', 'chunked']);
  else if (body || method === 'POST' || method === 'PUT') list.push(['content-length', String(length)]);
  return list;
}

/** @param {Step} step @param {[string, string][]} headers */
export function headBytes({ url, method }, headers) {
  const line = method.length + url.pathname.length + url.search.length + ' HTTP/1.1\r\n\r\n'.length + 1;
  return headers.reduce((bytes, [name, value]) => bytes + name.length + value.length + 4, line);
}

/**
 * Sends a request and waits for the head of its answer. The body of the request may still be on its way then.
 * @param {import('node:net').Socket} socket
 * @param {Step} step
 * @param {[string, string][]} headers
 * @param {Meter} meter
 * @param {Life} life
 * @returns {Promise<IncomingMessage>}
 */
export function exchange(socket, step, headers, meter, life) {
  return new Promise((resolve, reject) => {
    const { signal } = life;
    socket.setTimeout(IDLE_MS, () => life.end(egressFailed(`nothing moved for ${IDLE_MS} ms`)));
    const onAbort = () => {
      socket.destroy();
      reject(signal.reason);
    };
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });

    const request = httpRequest({
      createConnection: () => socket,
      method: step.method,
      path: step.url.pathname + step.url.search,
      headers: Object.fromEntries(headers),
      setHost: false,
      insecureHTTPParser: false,
      maxHeaderSize: MOST_HEAD_BYTES,
    });
    // Stays, as errors may follow the first.
    request.on('error', reject);
    request.once('response', resolve);
    request.once('upgrade', () => life.end(egressFailed('the server switched to another protocol')));
    send(request, step.body, meter, signal).catch((error) => life.end(error));
  });
}

/**
 * @param {import('node:http').ClientRequest} request
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
      // The server may answer, or go away, without reading all of it. The answer says which.
      if (request.destroyed) return;
    }
    request.end();
  } finally {
    meter.sentAll();
    chunks?.return?.().catch(() => {});
  }
}

/** @param {import('node:http').ClientRequest} request @returns {Promise<void>} */
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

/** Makes a Response, as the global fetch does, of a received message. */
import { Readable, pipeline } from 'node:stream';
import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
} from 'node:zlib';
import { egressFailed, isDenial } from '../errors.js';

/** @typedef {import('node:http').IncomingMessage} IncomingMessage */
/** @typedef {AsyncIterable<Uint8Array>} Chunks */
/** @typedef {import('./hop.js').Hop} Hop */
/** @typedef {import('./meter.js').Meter} Meter */

const statusesWithoutBody = [204, 205, 304];
/** No server applies more content codings to a body than this. */
const MAX_CODINGS = 5;
/** How much a decoder buffers ahead of the reader. */
const READ_AHEAD_BYTES = 64 * 1024;

/**
 * @param {IncomingMessage} message
 * @param {{ url: URL, method: string, isRedirected: boolean, meter: Meter, hop: Hop }} about
 */
export function responseOf(message, { url, method, isRedirected, meter, hop }) {
  const status = message.statusCode ?? 0;
  if (status < 200 || status > 599)
    throw egressFailed(`the server answered with the status ${status}`);
  const headers = headersOf(message);
  const hasBody = method !== 'HEAD' && !statusesWithoutBody.includes(status);
  if (hasBody) meter.expect(Number(headers.get('content-length') ?? 0));
  else hop.end();
  const body = hasBody
    ? streamOf(decoded(received(message, meter), codingsOf(headers)), hop)
    : null;
  const href = url.href.replace(/#.*$/, '');
  return describe(
    new Response(body, { status, statusText: message.statusMessage, headers }),
    href,
    isRedirected,
  );
}

/** @param {IncomingMessage} message */
function headersOf({ rawHeaders }) {
  const headers = new Headers();
  for (let i = 0; i < rawHeaders.length; i += 2)
    headers.append(rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '');
  return headers;
}

/** How many bytes the head of the answer was. @param {IncomingMessage} message */
export function headBytesOf({ rawHeaders, statusMessage = '' }) {
  const line = 'HTTP/1.1 200 \r\n\r\n'.length + statusMessage.length;
  return rawHeaders.reduce((bytes, text) => bytes + text.length + 2, line);
}

/**
 * Sets the properties that only the global fetch can set otherwise, also on the Response's clones.
 * @param {Response} response @param {string} url @param {boolean} redirected @returns {Response}
 */
export function describe(response, url, redirected) {
  return Object.defineProperties(response, {
    url: { value: url, configurable: true },
    redirected: { value: redirected, configurable: true },
    type: { value: 'basic', configurable: true },
    clone: {
      value: () => describe(Response.prototype.clone.call(response), url, redirected),
      configurable: true,
    },
  });
}

/**
 * The chunks of the body, counted as they arrive.
 * @param {IncomingMessage} message
 * @param {Meter} meter
 */
async function* received(message, meter) {
  for await (const chunk of message) {
    meter.received(chunk.byteLength);
    yield chunk;
  }
}

/**
 * A stream of the chunks, which are read only as the consumer pulls.
 * @param {Chunks} chunks @param {Hop} hop
 */
function streamOf(chunks, { signal, end }) {
  const iterator = chunks[Symbol.asyncIterator]();
  return new ReadableStream({
    type: 'bytes',
    start(controller) {
      const onEnd = () => {
        try {
          controller.error(signal.reason);
        } catch {
          // The stream is closed: Bun before 1.4 throws then.
        }
      };
      if (signal.aborted) onEnd();
      else signal.addEventListener('abort', onEnd, { once: true });
    },
    async pull(controller) {
      try {
        const { done, value } = await iterator.next();
        // A copy: a byte stream transfers the memory, and Node's chunks share theirs.
        if (!done) return controller.enqueue(new Uint8Array(value));
        controller.close();
        controller.byobRequest?.respond(0);
        end();
      } catch (error) {
        end(bodyFailure(error));
      }
    },
    cancel: end,
  });
}

/** The error that reading a broken body rejects with. @param {unknown} error */
function bodyFailure(error) {
  if (isDenial(error)) return error;
  return egressFailed(
    `the body of the answer broke off: ${error instanceof Error ? error.message : error}`,
    error,
  );
}

/** @param {Headers} headers */
function codingsOf(headers) {
  const codings = (headers.get('content-encoding') ?? '').toLowerCase().split(',');
  return codings
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding !== 'identity');
}

/** @type {Record<string, (chunks: Chunks) => Chunks>} */
const decoders = {
  gzip: (chunks) => through(chunks, createGunzip(untilItsEnd)),
  'x-gzip': (chunks) => through(chunks, createGunzip(untilItsEnd)),
  deflate: inflated,
  br: (chunks) => {
    const { BROTLI_OPERATION_FLUSH: flush } = constants;
    return through(chunks, createBrotliDecompress({ flush, finishFlush: flush }));
  },
};

/** Accepts bodies that lack their last bytes, as browsers do. */
const untilItsEnd = { flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH };

/**
 * The decoded body, or the body as it is if one of its codings is unknown. A small body may decode
 * to an endless one: it is decoded as it is read, never ahead.
 * @param {Chunks} chunks @param {string[]} codings @returns {Chunks}
 */
function decoded(chunks, codings) {
  const known = codings.map((coding) =>
    Object.hasOwn(decoders, coding) ? decoders[coding] : undefined,
  );
  if (known.length > MAX_CODINGS || known.includes(undefined)) return chunks;
  return known.reduceRight((encoded, decoder) => (decoder ? decoder(encoded) : encoded), chunks);
}

/**
 * Decodes `deflate`, which some servers send with a zlib header and others without.
 * @param {Chunks} chunks
 */
async function* inflated(chunks) {
  const iterator = chunks[Symbol.asyncIterator]();
  const { done, value: first } = await iterator.next();
  if (done) return;
  const hasHeader = ((first[0] ?? 0) & 0x0f) === 8;
  const whole = async function* () {
    yield first;
    yield* { [Symbol.asyncIterator]: () => iterator };
  };
  yield* through(whole(), hasHeader ? createInflate(untilItsEnd) : createInflateRaw(untilItsEnd));
}

/**
 * @param {Chunks} chunks @param {import('node:stream').Duplex} decoder
 * @returns {Chunks}
 */
function through(chunks, decoder) {
  const source = Readable.from(chunks, { objectMode: false, highWaterMark: READ_AHEAD_BYTES });
  // The callback is empty: the iterator throws the errors.
  return pipeline(source, decoder, () => {});
}

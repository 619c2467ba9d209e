/** From an answer on the wire to a Response, as the global fetch gives it. */
import { Readable, pipeline } from 'node:stream';
import { constants, createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from 'node:zlib';
import { egressFailed, isDenial } from '../errors.js';

/** @typedef {import('node:http').IncomingMessage} IncomingMessage */
/** @typedef {AsyncIterable<Uint8Array>} Chunks */
/** @typedef {import('./life.js').Life} Life */
/** @typedef {import('./meter.js').Meter} Meter */

const statusesWithoutBody = [204, 205, 304];
/** No server encodes a body more often than this. */
const MOST_CODINGS = 5;
/** What decoders take in ahead of the reader. */
const READ_AHEAD_BYTES = 64 * 1024;

/**
 * @param {IncomingMessage} message
 * @param {{ url: URL, method: string, isRedirected: boolean, meter: Meter, life: Life }} about
 */
export function responseOf(message, { url, method, isRedirected, meter, life }) {
  const status = message.statusCode ?? 0;
  if (status < 200 || status > 599) throw egressFailed(`the server answered with the status ${status}`);
  const headers = headersOf(message);
  const hasBody = method !== 'HEAD' && !statusesWithoutBody.includes(status);
  if (hasBody) meter.expect(Number(headers.get('content-length') ?? 0));
  else life.end();
  const body = hasBody ? streamOf(decoded(received(message, meter), codingsOf(headers)), life) : null;
  const href = url.href.replace(/#.*$/, '');
  return describe(
    new Response(body, { status, statusText: message.statusMessage, headers }),
    href,
    isRedirected,
  );
}

/** @param {IncomingMessage} message */
export function headersOf({ rawHeaders }) {
  const headers = new Headers();
  for (let i = 0; i < rawHeaders.length; i += 2) headers.append(rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '');
  return headers;
}

/** @param {IncomingMessage} message */
export function headBytesOf({ rawHeaders, statusMessage = '' }) {
  const line = 'HTTP/1.1 200 \r\n\r\n'.length + statusMessage.length;
  return rawHeaders.reduce((bytes, text) => bytes + text.length + 2, line);
}

/**
 * A Response that was not made by the global fetch cannot know these, and neither can its copies.
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

/** What comes, counted as it comes. @param {IncomingMessage} message @param {Meter} meter */
async function* received(message, meter) {
  for await (const chunk of message) {
    meter.received(chunk.byteLength);
    yield chunk;
  }
}

/**
 * Nothing is read that nobody asks for.
 * @param {Chunks} chunks @param {Life} life
 */
function streamOf(chunks, { signal, end }) {
  const iterator = chunks[Symbol.asyncIterator]();
  return new ReadableStream({
    type: 'bytes',
    start(controller) {
      // An error of a stream that is already closed is none.
      const onEnd = () => controller.error(signal.reason);
      if (signal.aborted) onEnd();
      else signal.addEventListener('abort', onEnd, { once: true });
    },
    async pull(controller) {
      try {
        const { done, value } = await iterator.next();
        // A copy: the stream hands the memory on, and Node's is shared between chunks.
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

/** @param {unknown} error */
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
  return codings.map((coding) => coding.trim()).filter((coding) => coding !== '' && coding !== 'identity');
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

/** As lenient as browsers are with bodies that lack their last bytes. */
const untilItsEnd = { flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH };

/**
 * The body without its content codings, or as it is if one of them is unknown. A small body can stand for an endless
 * one: it is decoded as it is read, never ahead.
 * @param {Chunks} chunks @param {string[]} codings @returns {Chunks}
 */
function decoded(chunks, codings) {
  const known = codings.map((coding) => (Object.hasOwn(decoders, coding) ? decoders[coding] : undefined));
  if (known.length > MOST_CODINGS || known.includes(undefined)) return chunks;
  return known.reduceRight((encoded, decoder) => (decoder ? decoder(encoded) : encoded), chunks);
}

/** `deflate` is written with a header by some servers and without by others. @param {Chunks} chunks */
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
  // Whoever iterates is told of errors.
  return pipeline(source, decoder, () => {});
}

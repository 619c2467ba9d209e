/** Request bodies: what the guard sends, as a whole or chunk by chunk. */

/**
 * `blob` has a length and can be sent again after a redirect; `chunks` can be read once.
 * @typedef {{ blob: Blob } | { chunks: AsyncIterable<Uint8Array> }} Body
 */

/**
 * The methods that the readers of Bun's and Node's streams share.
 * @typedef {{ read(): Promise<{ done: boolean, value?: unknown }>, cancel(): Promise<void> }}
 * Reader
 */

/** How much of a Request's body is read ahead at most, to find out whether it is short. */
const SHORT_BODY_BYTES = 1 << 20;

/**
 * @param {import('./guard.js').GivenBody} given
 * @returns {Promise<Body>}
 */
export async function bodyToSend(given) {
  if ('whole' in given) return { blob: await given.whole() };
  const reader = given.stream.getReader();
  return given.mayBeShort ? readAhead(reader) : { chunks: chunksFrom(reader) };
}

/**
 * Reads a short body whole. The stream of a Request that was made from a string or the like ends
 * without a wait; a stream that makes the reader wait is passed on as chunks.
 * @param {Reader} reader
 * @returns {Promise<Body>}
 */
async function readAhead(reader) {
  const waited = new Promise((resolve) => void setImmediate(resolve, undefined));
  const chunks = [];
  for (let bytes = 0; bytes <= SHORT_BODY_BYTES;) {
    const reading = reader.read();
    const read = await Promise.race([reading, waited]);
    if (!read) return { chunks: chunksFrom(reader, chunks, reading) };
    if (read.done) return { blob: new Blob(chunks) };
    const chunk = bytesOf(read.value);
    chunks.push(chunk);
    bytes += chunk.byteLength;
  }
  return { chunks: chunksFrom(reader, chunks) };
}

/**
 * @param {Reader} reader
 * @param {Uint8Array<ArrayBuffer>[]} [first] chunks that have been read ahead
 * @param {ReturnType<Reader['read']>} [reading] the read that is under way
 * @returns {AsyncIterable<Uint8Array>}
 */
function chunksFrom(reader, first = [], reading) {
  const next = async () => {
    const ahead = first.shift();
    if (ahead) return { done: /** @type {const} */ (false), value: ahead };
    const read = await (reading ?? reader.read());
    reading = undefined;
    return read.done
      ? { done: /** @type {const} */ (true), value: undefined }
      : { done: /** @type {const} */ (false), value: bytesOf(read.value) };
  };
  const giveUp = async () => {
    await reader.cancel().catch(() => {});
    return { done: /** @type {const} */ (true), value: undefined };
  };
  // Not a generator: a generator's `return` waits for the read under way, which may never end.
  return { [Symbol.asyncIterator]: () => ({ next, return: giveUp }) };
}

/** @param {Body} body @returns {AsyncIterable<Uint8Array>} */
export function chunksOf(body) {
  return 'chunks' in body ? body.chunks : chunksFrom(body.blob.stream().getReader());
}

/** Cancels the body's stream: its rest will not be read. @param {Body | undefined} body */
export function abandon(body) {
  if (body && 'chunks' in body) void body.chunks[Symbol.asyncIterator]().return?.();
}

/**
 * @param {Body | undefined} body
 * @returns {number | undefined} undefined when it cannot be known
 */
export function lengthOf(body) {
  if (body === undefined) return 0;
  return 'blob' in body ? body.blob.size : undefined;
}

/** @param {unknown} chunk @returns {Uint8Array<ArrayBuffer>} */
function bytesOf(chunk) {
  if (typeof chunk === 'string') return new TextEncoder().encode(chunk);
  if (chunk instanceof ArrayBuffer) return new Uint8Array(chunk);
  if (ArrayBuffer.isView(chunk)) {
    const { buffer, byteOffset, byteLength } = /** @type {Uint8Array<ArrayBuffer>} */ (chunk);
    return new Uint8Array(buffer, byteOffset, byteLength);
  }
  throw new TypeError(`a stream given as body must give bytes or strings, got ${typeof chunk}`);
}

/**
 * The last lines of one tenant, as bytes: a string that JavaScript cuts out of a text keeps all of
 * that text. Lines are in chunks, the oldest of which is dropped as a whole.
 */

/** The size of the first chunk; each further one is four times as large, up to the most. */
const FIRST_CHUNK_BYTES = 1 << 10;
const MOST_CHUNK_BYTES = 1 << 14;
/** What a line takes up besides its text. */
export const LINE_BYTES = 32;

/**
 * @typedef {object} Line
 * @property {number} seq
 * @property {number} at
 * @property {string} key
 * @property {number} pid
 * @property {'stdout' | 'stderr'} stream
 * @property {string} line
 */

/**
 * @typedef {object} Chunk
 * @property {Buffer} bytes
 * @property {number[]} seqs
 * @property {number[]} ends where each line ends in `bytes`
 * @property {number[]} times
 * @property {number[]} pids negative for a line of stderr
 */

export class LogRing {
  /** Lines that it has had and has no more. */
  dropped = 0;
  #held = 0;
  #bytes = 0;
  #chunkBytes = FIRST_CHUNK_BYTES / 4;
  /** @type {Chunk[]} */
  #chunks = [];

  /**
   * @param {string} key
   * @param {number} mostLines
   * @param {number} mostBytes
   */
  constructor(key, mostLines, mostBytes) {
    this.key = key;
    this.mostLines = mostLines;
    this.mostBytes = mostBytes;
  }

  /** @param {number} seq @param {import('../../index.js').RuntimeLogEvent} event */
  push(seq, { line, at, pid, stream }) {
    let chunk = this.#chunks.at(-1);
    let start = chunk?.ends.at(-1) ?? 0;
    // A unit of a string is three bytes at most.
    if (chunk === undefined || chunk.bytes.length - start < line.length * 3) {
      const needed = Buffer.byteLength(line);
      if (chunk === undefined || chunk.bytes.length - start < needed) {
        chunk = this.#newChunk(needed);
        start = 0;
      }
    }
    chunk.ends.push(start + chunk.bytes.write(line, start));
    chunk.seqs.push(seq);
    chunk.times.push(at);
    chunk.pids.push(stream === 'stderr' ? -pid : pid);
    this.#held += 1;
    this.#trim();
  }

  /** The lines, from the newest on back. @returns {Generator<Line>} */
  *backwards() {
    let left = Math.min(this.#held, this.mostLines);
    for (let index = this.#chunks.length - 1; index >= 0 && left > 0; index -= 1) {
      const chunk = /** @type {Chunk} */ (this.#chunks[index]);
      for (let place = chunk.seqs.length - 1; place >= 0 && left > 0; place -= 1, left -= 1) {
        yield this.#lineAt(chunk, place);
      }
    }
  }

  /** The line of this number, if it is there. @param {number} seq @returns {Line | undefined} */
  lineOf(seq) {
    const chunk = this.#chunks.findLast(({ seqs }) => (seqs[0] ?? Infinity) <= seq);
    const place = chunk === undefined ? -1 : placeOf(chunk.seqs, seq);
    return place < 0 ? undefined : this.#lineAt(/** @type {Chunk} */ (chunk), place);
  }

  /** What it takes up in memory. */
  get bytes() {
    return this.#bytes + this.#held * LINE_BYTES;
  }

  /** @param {Chunk} chunk @param {number} place @returns {Line} */
  #lineAt({ bytes, seqs, ends, times, pids }, place) {
    const pid = /** @type {number} */ (pids[place]);
    return {
      seq: /** @type {number} */ (seqs[place]),
      at: /** @type {number} */ (times[place]),
      key: this.key,
      pid: Math.abs(pid),
      stream: pid < 0 ? 'stderr' : 'stdout',
      line: bytes.toString('utf8', ends[place - 1] ?? 0, ends[place]),
    };
  }

  /** @param {number} needed @returns {Chunk} */
  #newChunk(needed) {
    this.#chunkBytes = Math.min(this.#chunkBytes * 4, MOST_CHUNK_BYTES, this.mostBytes);
    const bytes = Buffer.allocUnsafeSlow(Math.max(needed, this.#chunkBytes));
    const chunk = { bytes, seqs: [], ends: [], times: [], pids: [] };
    this.#chunks.push(chunk);
    this.#bytes += bytes.length;
    return chunk;
  }

  /** Drops the oldest chunks that are beyond a bound. The newest line always stays. */
  #trim() {
    while (this.#chunks.length > 1) {
      const [oldest] = /** @type {[Chunk]} */ (/** @type {unknown} */ (this.#chunks));
      const its = oldest.seqs.length;
      if (this.#held - its < this.mostLines && this.bytes <= this.mostBytes) break;
      this.#chunks.shift();
      this.#bytes -= oldest.bytes.length;
      this.#held -= its;
      this.dropped += its;
    }
  }
}

/** @param {number[]} seqs in ascending order @param {number} seq */
function placeOf(seqs, seq) {
  let [low, high] = [0, seqs.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (/** @type {number} */ (seqs[middle]) < seq) low = middle + 1;
    else high = middle;
  }
  return seqs[low] === seq ? low : -1;
}

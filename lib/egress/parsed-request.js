/**
 * What `request` of node:http is to the guard, for Bun before 1.4: there it takes no connection,
 * and dials the name itself, without the check. The parser of heads and chunks is the engine's own.
 */
import { EventEmitter } from 'node:events';
import { Readable } from 'node:stream';

const { bun = '' } = process.versions;
/** Whether `createConnection` has no effect in node:http. */
export const dialsItself = /^1\.[0-3]\./.test(bun);

/**
 * Has those events and methods of a `ClientRequest` that `exchange` uses. It ends the connection
 * with the answer, whether or not the request has been sent whole.
 */
export class ParsedRequest extends EventEmitter {
  #socket;
  #parser;
  #isChunked;
  #isHead;
  /** Names and values in turn, of a head that is not complete. @type {string[]} */
  #fields = [];
  /** @type {Readable | undefined} */
  #message;
  #isWhole = false;

  /**
   * @param {import('node:net').Socket} socket
   * @param {{ method: string, path: string, headers: [string, string][], maxHeadBytes: number }} head
   */
  constructor(socket, { method, path, headers, maxHeadBytes }) {
    super();
    this.#socket = socket;
    this.#isHead = method === 'HEAD';
    this.#isChunked = headers.some(([name]) => name === 'transfer-encoding');
    this.#parser = this.#createParser(maxHeadBytes);
    socket.on('data', (/** @type {Buffer} */ bytes) => this.#received(bytes));
    socket.on('end', () => this.#ended());
    socket.on('error', (error) => this.#fail(error));
    socket.on('drain', () => this.emit('drain'));
    socket.on('close', () => {
      this.#fail(new Error('the connection was closed'));
      this.emit('close');
    });
    const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1');
  }

  get destroyed() {
    return this.#socket.destroyed;
  }

  /** @param {Uint8Array} bytes @returns {boolean} whether more may be written at once */
  write(bytes) {
    // A chunk of no bytes would end the body.
    if (bytes.byteLength === 0) return true;
    if (!this.#isChunked) return this.#socket.write(bytes);
    this.#socket.write(`${bytes.byteLength.toString(16)}\r\n`);
    this.#socket.write(bytes);
    return this.#socket.write('\r\n');
  }

  end() {
    if (this.#isChunked) this.#socket.write('0\r\n\r\n');
  }

  /** @param {number} maxHeadBytes */
  #createParser(maxHeadBytes) {
    const { HTTPParser } = /** @type {any} */ (process).binding('http_parser');
    const parser = new HTTPParser();
    parser.initialize(HTTPParser.RESPONSE, {}, maxHeadBytes, 0);
    parser[HTTPParser.kOnHeaders] = (/** @type {string[]} */ fields) =>
      void this.#fields.push(...fields);
    parser[HTTPParser.kOnHeadersComplete] = this.#headReceived.bind(this);
    parser[HTTPParser.kOnBody] = (/** @type {Buffer} */ bytes) => {
      if (this.#message?.push(bytes) === false) this.#socket.pause();
    };
    parser[HTTPParser.kOnMessageComplete] = () => {
      // The end of an interim answer is not that of the answer.
      if (this.#message === undefined) return;
      this.#isWhole = true;
      this.#message.push(null);
    };
    return parser;
  }

  /**
   * @param {number} _major
   * @param {number} _minor
   * @param {string[] | null} fields those that were not reported before
   * @param {unknown} _method
   * @param {unknown} _url
   * @param {number} statusCode
   * @param {string} statusMessage
   * @returns {0 | 1} 1 if no body follows, whatever the head promises
   */
  #headReceived(_major, _minor, fields, _method, _url, statusCode, statusMessage) {
    const rawHeaders = [...this.#fields, ...(fields ?? [])].map(asLatin1);
    this.#fields = [];
    if (statusCode === 101) this.emit('upgrade');
    if (statusCode < 200) return 0;
    const message = new Readable({ read: () => void this.#socket.resume() });
    // A reader that has gone gets no error.
    message.on('error', () => {});
    const headers = Object.fromEntries(new Headers(pairsOf(rawHeaders)));
    this.#message = Object.assign(message, { statusCode, statusMessage, rawHeaders, headers });
    this.emit('response', this.#message);
    return this.#isHead ? 1 : 0;
  }

  /** @param {Buffer} bytes */
  #received(bytes) {
    if (this.#isWhole) return;
    const outcome = this.#parser.execute(bytes);
    // What follows the answer is not read, and so is no error.
    if (outcome instanceof Error) this.#fail(outcome);
    if (this.#isWhole) this.#socket.destroy();
  }

  /** Without a length, a body ends with its connection. */
  #ended() {
    if (this.#isWhole) return;
    const outcome = this.#parser.finish();
    if (outcome instanceof Error) this.#fail(outcome);
    this.#socket.destroy();
  }

  /** @param {Error} error */
  #fail(error) {
    if (this.#isWhole) return;
    this.#isWhole = true;
    this.#socket.destroy();
    if (this.#message) this.#message.destroy(error);
    else this.emit('error', error);
  }
}

/** The bytes of a text one by one, as Node reads heads; this parser takes them for UTF-8. */
const asLatin1 = (/** @type {string} */ text) => Buffer.from(text).toString('latin1');

/** @param {string[]} flat @returns {[string, string][]} */
const pairsOf = (flat) =>
  Array.from({ length: flat.length / 2 }, (_, index) => [
    flat[2 * index] ?? '',
    flat[2 * index + 1] ?? '',
  ]);

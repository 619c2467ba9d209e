// Requests through a gateway, all the time: each over a connection of its own or over kept ones, and
// each counted. A request is lost that has no answer, or a wrong one.
import { connect, type Socket } from 'node:net';

export type Load = {
  /** Answers so far, by pid of the tenant. */
  pids: Map<string, number>;
  answered: number;
  lost: string[];
  /** Kept connections that were closed before a request on them had any answer: asked again. */
  retried: number;
  stop: () => Promise<void>;
};

const HEAD = (key: string) => `GET /pid HTTP/1.1\r\nhost: ${key}.localhost\r\n`;

/**
 * @param lanes how many requests are under way at once; every second one keeps its connection
 */
export function load(port: number, keys: readonly string[], lanes: number): Load {
  let isOver = false;
  const all: Load = { pids: new Map(), answered: 0, lost: [], retried: 0, stop };
  const running = Array.from({ length: lanes }, (_, lane) => run(lane));
  async function stop() {
    isOver = true;
    await Promise.all(running);
  }

  async function run(lane: number) {
    const isKept = lane % 2 === 1;
    let kept: Connection | undefined;
    for (let turn = 0; !isOver; turn += 1) {
      const key = keys[(lane + turn) % keys.length]!;
      try {
        const isOld = kept !== undefined;
        const connection: Connection = kept ?? (await opened(port));
        kept = undefined;
        const keeping = isKept ? 'keep-alive' : 'close';
        const answer = await connection.ask(`${HEAD(key)}connection: ${keeping}\r\n\r\n`);
        if (answer === 'closed') {
          // As every client does that has kept a connection: nothing of an answer has come.
          if (!isOld) throw new Error('a new connection was closed without an answer');
          all.retried += 1;
          continue;
        }
        if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body}`);
        all.answered += 1;
        all.pids.set(answer.body, (all.pids.get(answer.body) ?? 0) + 1);
        if (isKept && !answer.isLast) kept = connection;
        else connection.end();
      } catch (error) {
        all.lost.push((error as Error).message);
      }
    }
    kept?.end();
  }
  return all;
}

type Answer = { status: number; body: string; isLast: boolean };

/** A connection to a gateway, for one request at a time. */
export class Connection {
  #socket: Socket;
  #text = '';
  #isClosed = false;
  #wake = () => {};

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text) => {
      this.#text += text;
      this.#wake();
    });
    const closed = () => {
      this.#isClosed = true;
      this.#wake();
    };
    socket.on('error', closed).on('end', closed).on('close', closed);
  }

  get isClosed() {
    return this.#isClosed;
  }

  /** Sends a request in these parts. `closed`: the connection was, before any answer. */
  async ask(...parts: string[]): Promise<Answer | 'closed'> {
    this.#text = '';
    for (const part of parts) {
      this.#socket.write(part);
      if (parts.length > 1) await new Promise((resolve) => setImmediate(resolve));
    }
    for (;;) {
      const answer = this.#answer();
      if (answer !== undefined) return answer;
      if (this.#isClosed) {
        if (this.#text === '') return 'closed';
        throw new Error(`half an answer: ${this.#text}`);
      }
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #answer(): Answer | undefined {
    const end = this.#text.indexOf('\r\n\r\n');
    if (end < 0) return undefined;
    const head = this.#text.slice(0, end);
    const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? NaN);
    const body = this.#text.slice(end + 4);
    if (Number.isNaN(length) ? !this.#isClosed : body.length < length) return undefined;
    const isLast = /^connection: close/im.test(head);
    return { status: Number(head.slice(9, 12)), body: body.slice(0, length || undefined), isLast };
  }

  end() {
    this.#socket.destroy();
  }
}

export function opened(port: number): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(new Connection(socket));
    });
  });
}

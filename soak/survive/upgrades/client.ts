// The load of the soak of upgrades, in a process of its own: requests at a rate, over kept and over
// new connections, with bodies and without, some slow; and WebSockets that are opened again when they
// are closed. Argument: a `Load` as JSON. It is told `stop`, and tells lines of JSON: `Told`.
import { createInterface } from 'node:readline';
import { type Connection, opened } from '../../../__test__/support/survive/load.ts';
import { Rng } from '../../host/rng.mjs';

export type Load = {
  port: number;
  keys: string[];
  perSecond: number;
  sockets: number;
  seed: string;
};
/** How WebSockets were closed since the last such line. */
export type Closings = {
  count: number;
  codes: Record<string, number>;
  firstAt: number;
  lastAt: number;
};
export type Told =
  /** Each WebSocket is open: for the first time, or again after each was closed. */
  { of: 'open'; closings: Closings | undefined } | { of: 'figures'; figures: Figures };
type Figures = {
  answered: number;
  perSecond: number;
  /** Of what kinds the answered ones were. */
  kinds: Record<string, number>;
  /** Requests that waited for others to be answered, and so were never made. */
  skipped: number;
  lost: string[];
  lostCount: number;
  /** Of the tenants that have answered. */
  pids: Record<string, number[]>;
  echoes: number;
  medianMs: number;
  longestMs: number;
};

const load: Load = JSON.parse(process.argv[2] ?? '');
const rng = new Rng(load.seed);
const TURN_MS = 10;
const UNDER_WAY_MAX = 512;
const IDLE_MAX = 128;
const PATIENCE_MS = 30_000;
const MOST_TOLD = 10;
const BODY = 'x'.repeat(4_096);

const KINDS = [
  { weight: 60, method: 'GET', isKept: true, isSlow: false },
  { weight: 9, method: 'GET', isKept: false, isSlow: false },
  { weight: 24, method: 'POST', isKept: true, isSlow: false },
  { weight: 5, method: 'POST', isKept: false, isSlow: false },
  { weight: 1, method: 'GET', isKept: true, isSlow: true },
  { weight: 1, method: 'POST', isKept: false, isSlow: true },
] as const;
type Kind = (typeof KINDS)[number];

const startedAt = performance.now();
const figures: Figures = {
  ...{ answered: 0, perSecond: 0, kinds: {}, skipped: 0, lost: [], lostCount: 0 },
  ...{ pids: {}, echoes: 0, medianMs: 0, longestMs: 0 },
};
const durations: number[] = [];
const pids: Record<string, Set<number>> = Object.fromEntries(load.keys.map((k) => [k, new Set()]));
const idle: Connection[] = [];
let [due, sent, underWay] = [0, 0, 0];
let isOver = false;

const tell = (told: Told) => console.log(JSON.stringify(told));
const count = (counts: Record<string, number>, name: string | number) =>
  (counts[name] = (counts[name] ?? 0) + 1);
function lose(text: string): void {
  figures.lostCount += 1;
  if (figures.lost.length < MOST_TOLD) figures.lost.push(text);
}

/** One request, and what was wrong with its answer. */
async function ask(kind: Kind, id: number): Promise<void> {
  const { method, isKept, isSlow } = kind;
  const key = rng.pick(load.keys);
  const body = method === 'POST' ? BODY : '';
  const head =
    `${method} /?id=${id}${isSlow ? `&ms=${200 + rng.below(1_300)}` : ''} HTTP/1.1\r\n` +
    `host: ${key}.localhost\r\ncontent-length: ${body.length}\r\n` +
    `connection: ${isKept ? 'keep-alive' : 'close'}\r\n\r\n`;
  const parts = body === '' ? [head] : isKept ? [head + body] : [head, body];
  let kept = isKept ? idle.shift() : undefined;
  while (kept?.isClosed) kept = idle.shift();
  const connection = kept ?? (await opened(load.port));
  const answer = await connection.ask(...parts);
  // Not every client sends a request again, be it over a kept connection.
  if (answer === 'closed')
    throw new Error(`a ${kept ? 'kept' : 'new'} connection was closed without an answer`);
  if (isKept && !answer.isLast && idle.length < IDLE_MAX) idle.push(connection);
  else connection.end();
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body.slice(0, 80)}`);
  const [whose, pid, which, length, isAgain] = answer.body.split(' ');
  if (whose !== key || which !== `${id}` || length !== `${body.length}` || isAgain !== 'once')
    throw new Error(`${answer.body} in place of ${key} ${id} ${body.length} once`);
  pids[key]!.add(Number(pid));
}

async function request(): Promise<void> {
  const kind = rng.weighted(KINDS);
  const name = `${kind.isSlow ? 'slow ' : ''}${kind.method} ${kind.isKept ? 'kept' : 'new'}`;
  const from = performance.now();
  underWay += 1;
  const late = setTimeout(() => lose(`${name}: no answer within ${PATIENCE_MS} ms`), PATIENCE_MS);
  try {
    await ask(kind, (sent += 1));
    const ms = performance.now() - from;
    figures.answered += 1;
    count(figures.kinds, name);
    if (!kind.isSlow) durations.push(ms);
    figures.longestMs = Math.max(figures.longestMs, Math.round(ms));
  } catch (error) {
    lose(`${name}: ${(error as Error).message}`);
  }
  clearTimeout(late);
  underWay -= 1;
}

/** Since all were open; before that there is none. */
let closings: Closings | undefined;
let openCount = 0;

/** A WebSocket to a tenant, opened again whenever it is closed. */
class Talk {
  readonly key: string;
  #socket!: WebSocket;
  #awaitedSince = 0;

  constructor(key: string) {
    this.key = key;
    this.#open();
  }

  #open(): void {
    const headers = { host: `${this.key}.localhost` };
    this.#socket = new WebSocket(`ws://127.0.0.1:${load.port}/`, { headers } as never);
    let isOpen = false;
    this.#awaitedSince = 0;
    this.#socket.onopen = () => {
      isOpen = true;
      openCount += 1;
      if (openCount < load.sockets || (closings && closings.count < load.sockets)) return;
      tell({ of: 'open', closings });
      closings = { count: 0, codes: {}, firstAt: 0, lastAt: 0 };
    };
    this.#socket.onmessage = () => {
      figures.echoes += 1;
      this.#awaitedSince = 0;
    };
    this.#socket.onclose = ({ code }) => {
      if (isOver) return;
      if (isOpen) openCount -= 1;
      else lose(`a WebSocket was not opened: ${code}`);
      if (closings !== undefined) {
        closings.count += 1;
        count(closings.codes, code);
        closings.lastAt = Date.now();
        closings.firstAt ||= closings.lastAt;
      }
      this.#open();
    };
  }

  /** Says something, if what it has said before was answered. */
  say(): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    const now = performance.now();
    if (this.#awaitedSince === 0) {
      this.#awaitedSince = now;
      this.#socket.send('a word');
    } else if (now - this.#awaitedSince > PATIENCE_MS) {
      this.#awaitedSince = Infinity;
      lose(`a WebSocket has no echo within ${PATIENCE_MS} ms`);
    }
  }
}
const talks = Array.from(
  { length: load.sockets },
  (_, n) => new Talk(load.keys[n % load.keys.length]!),
);
let talking = 0;

const turns = setInterval(() => {
  due = ((performance.now() - startedAt) / 1_000) * load.perSecond - sent - figures.skipped;
  for (; due >= 1; due -= 1) {
    if (underWay < UNDER_WAY_MAX) void request();
    else figures.skipped += 1;
  }
  // Each once a second.
  const until = (performance.now() - startedAt) / (1_000 / talks.length);
  for (; talking < until && talks.length > 0; talking += 1) talks[talking % talks.length]!.say();
}, TURN_MS);

createInterface(process.stdin).on('line', async () => {
  const seconds = (performance.now() - startedAt) / 1_000;
  clearInterval(turns);
  while (underWay > 0) await Bun.sleep(TURN_MS);
  isOver = true;
  figures.perSecond = Math.round(figures.answered / seconds);
  durations.sort((a, b) => a - b);
  figures.medianMs = Number((durations[durations.length >> 1] ?? 0).toFixed(1));
  figures.pids = Object.fromEntries(Object.entries(pids).map(([key, set]) => [key, [...set]]));
  tell({ of: 'figures', figures });
  process.exit(0);
});

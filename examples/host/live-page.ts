// The live page and the server-sent events that keep it up to date.
import type { Runtime } from '@absolutejs/runtime';
import type { Board } from './board.ts';

/** The shortest time between two updates of the page. */
const UPDATE_EVERY_MS = 150;
const html = Bun.file(new URL('./live-page.html', import.meta.url));

type Subscriber = ReadableStreamDefaultController<Uint8Array>;

export class LivePage {
  readonly #board: Board;
  readonly #runtime: Runtime;
  readonly #idleAfterMs: number;
  readonly #subscribers = new Set<Subscriber>();
  /** Of the gateway, at which the tenants are. */
  port = 0;
  readonly #stopListening: () => void;
  #updateTimer: Timer | undefined;

  constructor(board: Board, runtime: Runtime, idleAfterMs: number) {
    this.#board = board;
    this.#runtime = runtime;
    this.#idleAfterMs = idleAfterMs;
    this.#stopListening = board.onChange(() => this.#updateSoon());
  }

  respond(request: Request): Response {
    const pathname = URL.parse(request.url)?.pathname;
    if (pathname === '/') return new Response(html, { headers: { 'cache-control': 'no-cache' } });
    if (pathname === '/events') return this.#events();
    return new Response('There is nothing here. The page is at /.\n', { status: 404 });
  }

  dispose(): void {
    this.#stopListening();
    clearTimeout(this.#updateTimer);
    for (const subscriber of this.#subscribers) subscriber.close();
    this.#subscribers.clear();
  }

  #events(): Response {
    let subscriber: Subscriber;
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        subscriber = controller;
        this.#subscribers.add(subscriber);
        subscriber.enqueue(this.#message());
      },
      cancel: () => void this.#subscribers.delete(subscriber),
    });
    return new Response(stream, {
      headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' },
    });
  }

  #updateSoon(): void {
    if (this.#updateTimer || this.#subscribers.size === 0) return;
    this.#updateTimer = setTimeout(() => {
      this.#updateTimer = undefined;
      const message = this.#message();
      for (const subscriber of this.#subscribers) subscriber.enqueue(message);
    }, UPDATE_EVERY_MS);
  }

  #message(): Uint8Array {
    const snapshot = {
      now: Date.now(),
      idleAfterMs: this.#idleAfterMs,
      port: this.port,
      stats: this.#runtime.stats(),
      tenants: this.#board.rows((name) => this.#runtime.inspect(name)?.lastTouchedAt ?? null),
      transitions: this.#board.transitions,
    };
    return new TextEncoder().encode(`data: ${JSON.stringify(snapshot)}\n\n`);
  }
}

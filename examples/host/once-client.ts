// Requests to a tenant as any program can make them: the Host header names the tenant.
import type { Demo } from './demo.ts';
import './no-proxy.ts';

const REQUEST_TIMEOUT_MS = 20_000;

export function request(
  demo: Demo,
  tenant: string,
  path: string,
  init: RequestInit = {},
): Promise<Response> {
  return fetch(`http://127.0.0.1:${demo.port}${path}`, {
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    ...init,
    headers: { ...hostHeader(demo, tenant), ...(init.headers as Record<string, string>) },
  });
}

/** A WebSocket with a promise for its opening, its next message and its end. */
export class Socket {
  readonly #socket: WebSocket;
  readonly #messages: (string | Uint8Array)[] = [];
  #onMessage: (() => void) | undefined;
  readonly closed: Promise<{ code: number; reason: string }>;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.binaryType = 'nodebuffer';
    socket.addEventListener('message', ({ data }) => {
      this.#messages.push(data);
      this.#onMessage?.();
    });
    this.closed = new Promise((resolve) => {
      socket.addEventListener('close', ({ code, reason }) => resolve({ code, reason }));
    });
  }

  static async open(
    demo: Demo,
    tenant: string,
    path: string,
    protocols: string[] = [],
  ): Promise<Socket> {
    const headers = hostHeader(demo, tenant);
    const webSocket = new WebSocket(`ws://127.0.0.1:${demo.port}${path}`, { headers, protocols });
    const socket = new Socket(webSocket);
    const opened = new Promise<void>((resolve) =>
      webSocket.addEventListener('open', () => resolve()),
    );
    const refused = socket.closed.then(({ code }) => {
      throw new Error(`the WebSocket to ${tenant} did not open (${code})`);
    });
    await Promise.race([opened, refused]);
    return socket;
  }

  get protocol(): string {
    return this.#socket.protocol;
  }

  send(message: string | Uint8Array<ArrayBuffer>): void {
    this.#socket.send(message);
  }

  async next(): Promise<string | Uint8Array> {
    if (this.#messages.length === 0)
      await new Promise<void>((resolve) => (this.#onMessage = resolve));
    return this.#messages.shift() ?? '';
  }

  close(): void {
    this.#socket.close();
  }
}

function hostHeader(demo: Demo, tenant: string): { host: string } {
  return { host: `${tenant}.localhost:${demo.port}` };
}

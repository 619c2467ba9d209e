// A WebSocket to a tenant, with a promise for its opening, its next message and its end.
import type { Host } from './host.ts';

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
    host: Host,
    tenant: string,
    path: string,
    protocols: string[] = [],
  ): Promise<Socket> {
    const headers = { host: host.nameOf(tenant) };
    const webSocket = new WebSocket(`ws://127.0.0.1:${host.port}${path}`, { headers, protocols });
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

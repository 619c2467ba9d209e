/** A tenant that serves in many ways, and clients that keep a connection to one open. */
import { connect, type Socket } from 'node:net';
import { within } from './until.ts';

export type Connection = { close: () => void };

const PATIENT = `
const bytes = new Uint8Array(1 << 20);
Bun.serve({
  port: Number(process.env.PORT),
  hostname: process.env.BIND,
  idleTimeout: 0,
  fetch(request, server) {
    switch (new URL(request.url).pathname) {
      case '/socket':
        return server.upgrade(request) ? undefined : new Response('no socket', { status: 400 });
      case '/events':
        return new Response(new ReadableStream({
          type: 'direct',
          async pull(controller) {
            controller.write('data: hello\\n\\n');
            controller.flush();
            await new Promise(() => {});
          },
        }), { headers: { 'content-type': 'text/event-stream' } });
      case '/download':
        return new Response(new ReadableStream({ pull: (controller) => controller.enqueue(bytes) }));
      case '/reach-out':
        globalThis.out = Bun.connect({ hostname: '127.0.0.1', port: Number(process.env.OTHER), socket: { data() {} } });
        return globalThis.out.then(() => new Response('connected'));
    }
    return new Response('hello');
  },
  websocket: { idleTimeout: 0, message: (socket, message) => socket.send(message) },
});`;

/**
 * The files of that tenant. It listens on the address in BIND, and may connect to the port in
 * OTHER.
 */
export const patientServer = { 'server.ts': PATIENT };

export async function openWebSocket(port: number): Promise<Connection> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/socket`);
  const opened = new Promise<void>((resolve, reject) => {
    socket.onopen = () => resolve();
    socket.onerror = () => reject(new Error('no WebSocket'));
  });
  await within('a WebSocket opens', opened);
  return socket;
}

export async function openEvents(port: number): Promise<Connection> {
  const caller = new AbortController();
  const response = await fetch(`http://127.0.0.1:${port}/events`, { signal: caller.signal });
  await within('the first event', response.body!.getReader().read());
  return { close: () => caller.abort() };
}

/**
 * A bare TCP connection with one request, whose answer has begun and is read no further. Bun's
 * server accepts a connection only at its first byte, so a request is needed.
 */
export async function openTcp(port: number, path = '/', host = '127.0.0.1'): Promise<Connection> {
  const socket = connect({ port, host });
  // It may be cut off when its tenant is stopped.
  socket.on('error', () => {});
  const answered = once(socket, 'data');
  socket.write(`GET ${path} HTTP/1.1\r\nhost: tenant\r\n\r\n`);
  await within('an answer', answered);
  socket.pause();
  return { close: () => socket.destroy() };
}

const once = (socket: Socket, event: string) =>
  new Promise<void>((resolve, reject) => {
    socket.once(event, () => resolve());
    socket.once('error', reject);
  });

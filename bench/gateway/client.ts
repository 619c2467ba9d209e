// A client of the gateway's benchmarks, in a process of its own: `bun client.ts JOB PORT COUNT [tls]`.
// Prints one line of JSON.
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { watchLoop } from '../lib/probes.ts';

const [job = '', portText, countText, security] = process.argv.slice(2);
const [port, count] = [Number(portText), Number(countText)];
const SOCKETS_AT_ONCE = 50;
const ECHO_SOCKETS = 8;

const JOBS: Record<string, () => Promise<object>> = {
  idle: () => hold(count, openIdle),
  'idle-websockets': () => hold(count, openWebSocket),
  echo,
  events: () => timed(`/events?count=${count}`),
  download: () => timed(`/download?count=${count}`),
  upload,
  storm,
  loop,
};

console.log(JSON.stringify(await JOBS[job]?.()));
process.exit();

/** Opens connections a few at a time, says so, and holds them until its input ends. */
async function hold(connections: number, open: () => Promise<unknown>): Promise<object> {
  const held: unknown[] = [];
  while (held.length < connections) {
    const batch = Math.min(SOCKETS_AT_ONCE, connections - held.length);
    held.push(...(await Promise.all(Array.from({ length: batch }, open))));
  }
  console.log(JSON.stringify({ open: held.length }));
  for await (const _ of Bun.stdin.stream());
  return { held: held.length };
}

/** A connection that has been used once. */
async function openIdle(): Promise<Socket> {
  const options = { port, host: '127.0.0.1' };
  const socket: Socket | TLSSocket =
    security === 'tls'
      ? connectTls({ ...options, servername: 'localhost', rejectUnauthorized: false })
      : connect(options);
  await once(socket, security === 'tls' ? 'secureConnect' : 'connect');
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await once(socket, 'data');
  return socket;
}

async function openWebSocket(): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/echo`);
  await once(socket as unknown as NodeJS.EventEmitter & EventTarget, 'open');
  return socket;
}

/** `count` messages, each sent when the one before it has come back, on a few sockets. */
async function echo(): Promise<object> {
  const sockets = await Promise.all(Array.from({ length: ECHO_SOCKETS }, openWebSocket));
  const startedAt = performance.now();
  let sent = ECHO_SOCKETS;
  await Promise.all(
    sockets.map(
      (socket) =>
        new Promise<void>((resolve) => {
          socket.onmessage = () => (sent++ < count ? socket.send('a message') : resolve());
          socket.send('a message');
        }),
    ),
  );
  return { ms: performance.now() - startedAt };
}

/** Watches a loop that has nothing to do until its input ends. */
async function loop(): Promise<object> {
  const { stop } = watchLoop();
  console.log(JSON.stringify({ watches: true }));
  for await (const _ of Bun.stdin.stream());
  return stop();
}

async function timed(path: string): Promise<object> {
  const startedAt = performance.now();
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  let bytes = 0;
  for await (const chunk of response.body ?? []) bytes += chunk.length;
  return { ms: performance.now() - startedAt, bytes };
}

async function upload(): Promise<object> {
  const block = new Uint8Array(64 * 1024);
  const startedAt = performance.now();
  const socket = connect(port, '127.0.0.1');
  socket.write(`POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${count}\r\n\r\n`);
  for (let left = count; left > 0; left -= block.length) {
    if (!socket.write(block.subarray(0, Math.min(left, block.length)))) await once(socket, 'drain');
  }
  const [answer] = await once(socket, 'data');
  return { ms: performance.now() - startedAt, isWhole: String(answer).endsWith(`\n${count}`) };
}

/** `count` requests at once to the tenants `t0.localhost` … `t199.localhost`. */
async function storm(): Promise<object> {
  const tenants = 200;
  const startedAt = performance.now();
  const statuses: Record<string, number> = {};
  await Promise.all(
    Array.from({ length: count }, (_, index) => ask(`t${index % tenants}.localhost`)),
  );
  return { ms: performance.now() - startedAt, statuses };

  async function ask(host: string): Promise<void> {
    const status = await statusOf(host).catch(() => 'none');
    statuses[status] = (statuses[status] ?? 0) + 1;
  }
}

function statusOf(host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () =>
      socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
    );
    socket.once('data', (bytes) => {
      resolve(bytes.toString('latin1').slice(9, 12));
      socket.destroy();
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed')));
  });
}

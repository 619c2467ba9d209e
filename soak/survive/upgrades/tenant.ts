// A tenant of the soak of upgrades: it says who answers what, and whether it has had that before.
import { basename } from 'node:path';

const key = basename(process.cwd());
/** The numbers of all requests that have bodies: to be had twice is worse than to be lost. */
const taken = new Set<string>();

Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.env.PORT),
  idleTimeout: 0,
  async fetch(request, server) {
    if (request.headers.get('upgrade')) {
      return server.upgrade(request) ? undefined : new Response('no', { status: 400 });
    }
    const { searchParams } = new URL(request.url);
    const id = searchParams.get('id') ?? '';
    const isAgain = request.method === 'POST' && taken.has(id);
    if (request.method === 'POST') taken.add(id);
    const { length } = await request.text();
    const ms = Number(searchParams.get('ms'));
    if (ms > 0) await Bun.sleep(ms);
    return new Response([key, process.pid, id, length, isAgain ? 'again' : 'once'].join(' '));
  },
  websocket: { message: (socket, text) => void socket.send(text) },
});

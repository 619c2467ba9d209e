// A tenant of the fleet's test bed. It writes down each request that it begins with, in a file that
// all tenants of all hosts share: one short line, written at once, so that no two of them mix.
import { appendFileSync } from 'node:fs';
import { basename } from 'node:path';

const key = basename(process.cwd());
const epoch = process.env.ABSOLUTE_EPOCH ?? 'none';
const witness = process.env.WITNESS ?? '';

/** The machine's clock, in microseconds since the epoch: the same in all namespaces and engines. */
const now = () => Math.round((performance.timeOrigin + performance.now()) * 1000);

/** @param {string} what @param {string} [detail] */
function tell(what, detail = '') {
  appendFileSync(witness, `${now()} ${what} ${key} ${epoch} ${process.pid} ${detail}\n`);
}

Bun.serve({
  port: Number(process.env.PORT),
  hostname: '127.0.0.1',
  async fetch(request) {
    const url = new URL(request.url);
    if (url.pathname !== '/visit') return new Response('up');
    tell('serve', url.search.slice(1));
    const slowMs = Number(url.searchParams.get('slow') ?? 0);
    if (slowMs > 0) await Bun.sleep(slowMs);
    const body = request.method === 'POST' ? (await request.text()).length : 0;
    return Response.json({ key, epoch, pid: process.pid, body });
  },
});
tell('begin', process.env.HOST_ID ?? '');
process.on('SIGTERM', () => {
  tell('end');
  process.exit(0);
});

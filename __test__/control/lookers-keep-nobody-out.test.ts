// Streams of clients that may only look have a bound of their own: over TCP anybody on the machine
// can open some.
import { createServer, request } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'bun:test';
import { createApi } from '../../lib/control/api.js';
import { within } from '../support/processes/until.ts';

test('a hundred that look leave room for those that act', async () => {
  const view: any = {
    streams: new Set(),
    events: { find: () => [], follow: () => () => {} },
  };
  const api = createApi(view);
  const server = createServer((asked, answer) =>
    api(asked, answer, { mayAct: asked.headers.authorization !== undefined }),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const follow = async (headers: Record<string, string>) => {
    const asked = request({ port, path: '/events', agent: false, headers }).end();
    asked.on('error', () => {});
    const [answer] = await within('an answer', once(asked, 'response'));
    answer.resume();
    return answer.statusCode;
  };
  try {
    const accept = 'text/event-stream';
    const looking = await Promise.all(Array.from({ length: 101 }, () => follow({ accept })));
    expect(looking.filter((status) => status === 200)).toHaveLength(100);
    expect(looking.filter((status) => status === 503)).toHaveLength(1);
    expect(await follow({ accept, authorization: 'yes' })).toBe(200);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

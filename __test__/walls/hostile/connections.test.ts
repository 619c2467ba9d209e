// A tenant that may connect to some ports connects to no other, and sends nothing there.
import { expect, test } from 'bun:test';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { landlock, SINCE, WALLS } from '../../support/walls/kernel.ts';
import { createHostilePool } from '../../support/walls/ask.ts';

async function listener() {
  const server = createServer((socket) => socket.on('error', () => {}).resume());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  return { port, [Symbol.dispose]: () => void server.close() };
}

test.skipIf(landlock < SINCE.ports)(
  'of TCP ports only those that are named can be connected to',
  async () => {
    using allowed = await listener();
    using other = await listener();
    await using pool = createHostilePool(['attacker', 'control'], {
      isolation: (key) => (key === 'control' ? 'none' : { ...WALLS, connect: [allowed.port] }),
    });
    for (const [key, attempt, port, outcome] of [
      ['attacker', 'connectTo', allowed.port, 'ok'],
      ['attacker', 'connectTo', other.port, 'EACCES'],
      ['control', 'connectTo', other.port, 'ok'],
    ] as const) {
      const tried = await pool.try(key, attempt, '127.0.0.1', port);
      expect([key, attempt, port, tried.outcome]).toEqual([key, attempt, port, outcome]);
    }
    await pool.dispose();
  },
);

test('nothing can be sent to others along with the connection', async () => {
  using other = await listener();
  await using pool = createHostilePool(['attacker', 'control'], {
    isolation: (key) => (key === 'control' ? 'none' : { ...WALLS, connect: [] }),
  });
  const sent = await pool.try('attacker', 'sendWithFastOpen', '127.0.0.1', other.port);
  expect(['EACCES', 'EPERM', 'EOPNOTSUPP']).toContain(sent.outcome);
  const control = await pool.try('control', 'sendWithFastOpen', '127.0.0.1', other.port);
  expect(control.outcome).toBe('ok');
  await pool.dispose();
});

test('with no port named its own server is still reached', async () => {
  await using pool = createHostilePool(['app'], { isolation: { ...WALLS, connect: [] } });
  expect((await pool.try('app', 'signalsSeen')).outcome).toBe('ok');
  await pool.dispose();
});

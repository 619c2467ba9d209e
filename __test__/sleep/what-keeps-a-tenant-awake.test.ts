// Each of these is started beside a tenant that has nothing to do: when that sleeps, they do not.
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'bun:test';
import type { RuntimeSleep } from '@absolutejs/runtime';
import { openWebSocket, type Pool, until } from '../support/processes/index.ts';
import { ask, asleep, createSleepyPool, started, TICKER, woken } from '../support/sleep/pool.ts';

const UDP = `${TICKER}
const { createSocket } = require('node:dgram');
createSocket('udp4').bind(0, '127.0.0.1');`;
/** Times are whole milliseconds. */
const ROUNDED_MS = 2;

/** Some 10 % of a core. */
const BUSY = `${TICKER}
setInterval(() => { for (const until = performance.now() + 5; performance.now() < until; ); }, 50);`;
const OUTGOING = `${TICKER}
await Bun.connect({ hostname: '127.0.0.1', port: Number(process.env.OTHER), socket: { data() {} } });`;

/** A server that connections are made to; they are closed with it. */
async function otherServer() {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => {});
    sockets.push(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return {
    port,
    hangUp: () => sockets.forEach((socket) => socket.destroy()),
    async [Symbol.asyncDispose]() {
      sockets.forEach((socket) => socket.destroy());
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const sleepyWith = (port: number, outgoing?: RuntimeSleep['outgoing']): Pool =>
  createSleepyPool({
    env: { PATH: process.env.PATH, OTHER: String(port) },
    sleep: { outgoing },
  });

/** The one that has nothing to do sleeps, wakes, and sleeps again; the other has not slept. */
async function staysAwake(pool: Pool, key: string): Promise<void> {
  await started(pool, ['nothing']);
  await asleep(pool, 'nothing');
  await pool.runtime.ensure('nothing');
  await asleep(pool, 'nothing', 2);
  expect(pool.events.of('sleep', key)).toEqual([]);
  expect(pool.runtime.inspect(key)?.state).toBe('ready');
}

test('an open WebSocket, for as long as it is open', async () => {
  await using pool = createSleepyPool();
  const [tenant] = await started(pool, ['a']);
  const socket = await openWebSocket(tenant!.port);
  await staysAwake(pool, 'a');
  socket.close();
  await asleep(pool, 'a');
  await pool.dispose();
});

test('a connection at another port than its own, whose visitors wake it', async () => {
  await using pool = createSleepyPool();
  pool.tenants.add('a', {
    'server.ts': `${TICKER}
const beside = Bun.serve({ hostname: '127.0.0.1', port: 0, idleTimeout: 0, fetch: () => new Response('beside') });
console.log('beside', beside.port);`,
  });
  await pool.runtime.ensure('a');
  const line = await until('its port', () =>
    pool.events.lines('a').find((text) => text.startsWith('beside ')),
  );
  const port = Number(line.split(' ')[1]);
  const socket = connect(port, '127.0.0.1');
  // Its server takes a connection in when there is something to read.
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await once(socket, 'data');
  await staysAwake(pool, 'a');
  socket.destroy();
  await asleep(pool, 'a');
  expect(await ask({ port })).toBe('beside');
  await woken(pool, 'a');
  await pool.dispose();
});

test('a socket for UDP', async () => {
  await using pool = createSleepyPool();
  pool.tenants.add('a', { 'server.ts': UDP });
  await pool.runtime.ensure('a');
  await staysAwake(pool, 'a');
  await pool.dispose();
});

test('work of its own', async () => {
  // It is looked at for half of this at least; the kernel counts it in steps of 10 ms.
  await using pool = createSleepyPool({ sleep: { afterMs: 2_000 } });
  pool.tenants.add('a', { 'server.ts': BUSY });
  await pool.runtime.ensure('a');
  await staysAwake(pool, 'a');
  await pool.dispose();
});

test('a connection to elsewhere, until it is closed', async () => {
  await using other = await otherServer();
  await using pool = sleepyWith(other.port);
  pool.tenants.add('a', { 'server.ts': OUTGOING });
  await pool.runtime.ensure('a');
  await staysAwake(pool, 'a');
  other.hangUp();
  await asleep(pool, 'a');
  await pool.dispose();
});

for (const outgoing of ['sleep', 'breathe'] as const) {
  test(`not a connection to elsewhere with outgoing "${outgoing}"`, async () => {
    await using other = await otherServer();
    await using pool = sleepyWith(other.port, outgoing);
    pool.tenants.add('a', { 'server.ts': OUTGOING });
    await pool.runtime.ensure('a');
    await asleep(pool, 'a');
    await pool.dispose();
  });
}

test('shouldSleep, until it says true; anything else, a throw among it, keeps it awake', async () => {
  const answers: unknown[] = [false, 'yes', undefined, new Error('who knows'), true];
  const questions: { key: string; idleMs: number; tenant: unknown }[] = [];
  await using pool = createSleepyPool({
    sleep: {
      shouldSleep: async (question) => {
        questions.push(question);
        expect(pool.events.of('sleep')).toEqual([]);
        const answer = answers[questions.length - 1];
        if (answer instanceof Error) throw answer;
        return answer as boolean;
      },
    },
  });
  const [tenant] = await started(pool, ['a']);
  await asleep(pool, 'a');
  expect(questions).toHaveLength(answers.length);
  for (const question of questions) {
    expect(question).toEqual({ key: 'a', idleMs: question.idleMs, tenant: tenant! });
    expect(question.idleMs).toBeGreaterThanOrEqual(150);
  }
  await pool.dispose();
});

test('minAwakeMs, after its start and after each waking', async () => {
  const minAwakeMs = 1_000;
  await using pool = createSleepyPool({ sleep: { minAwakeMs } });
  // What is measured from here began before: so it is no shorter, however late this hears of it.
  const startedAt = performance.now();
  await started(pool, ['a']);
  await asleep(pool, 'a');
  const [ready] = pool.events.of('ready', 'a');
  const leastMs = ready!.durationMs + minAwakeMs - ROUNDED_MS;
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(leastMs);
  const touchedAt = performance.now();
  pool.runtime.touch('a');
  await asleep(pool, 'a', 2);
  expect(performance.now() - touchedAt).toBeGreaterThanOrEqual(minAwakeMs - ROUNDED_MS);
  await pool.dispose();
});

import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'bun:test';
import type { RuntimeOptions } from '@absolutejs/runtime';
import {
  answerOf,
  type Connection,
  createPool,
  openEvents,
  openTcp,
  openWebSocket,
  patientServer,
  pause,
  type Pool,
  until,
  within,
} from '../support/processes/index.ts';

const idleAfterMs = 150;
/** Several times as long as a tenant without activity is kept. */
const LONG_MS = 4 * idleAfterMs;
const hasIPv6 =
  existsSync('/proc/net/if_inet6') && readFileSync('/proc/net/if_inet6', 'utf8').includes('lo');

function createWatchfulPool(options: Partial<RuntimeOptions> = {}): Pool {
  return createPool({
    idle: 'connections',
    idleAfterMs,
    sweepIntervalMs: 20,
    env: (key) => ({
      PATH: process.env.PATH ?? '',
      BIND: key.startsWith('on ') ? key.split(' ')[1]! : '127.0.0.1',
    }),
    ...options,
  });
}

/** Starts the tenants and connects to them. They are touched until all connections are open. */
async function connected(
  pool: Pool,
  keys: readonly string[],
  open: (key: string, port: number) => Promise<Connection>,
) {
  const busy = setInterval(() => keys.forEach((key) => pool.runtime.touch(key)), 5);
  try {
    for (const key of keys) pool.tenants.add(key, patientServer);
    const opened = keys.map(async (key) => {
      const { port } = await pool.runtime.ensure(key);
      return [key, await open(key, port)] as const;
    });
    return new Map(await Promise.all(opened));
  } finally {
    clearInterval(busy);
  }
}

const running = (pool: Pool) =>
  pool.runtime.list().flatMap(({ key, state }) => (state === 'ready' ? [key] : []));

const CLIENTS: Record<string, (port: number) => Promise<Connection>> = {
  'a WebSocket': openWebSocket,
  'an event stream': openEvents,
  'a slow download': (port) => openTcp(port, '/download'),
  'HTTP kept alive': (port) => openTcp(port, '/'),
};

test('a tenant is idle from the end of its connection on, not from the last sweep that saw it', async () => {
  await using pool = createWatchfulPool({ idleAfterMs: 400, sweepIntervalMs: 200 });
  for (const key of ['a', 'b', 'c']) {
    const connection = (await connected(pool, [key], (_, port) => openTcp(port, '/download'))).get(
      key,
    );
    // Ends at a random time between two sweeps.
    await pause(450 + Math.random() * 200);
    const closedAt = Date.now();
    connection!.close();
    await pool.events.exit(key);
    const told = pool.events.of('idle-kill', key)[0]!;
    expect(told.idleMs).toBeGreaterThanOrEqual(400);
    // Both clocks are whole milliseconds.
    expect(Date.now() - closedAt).toBeGreaterThanOrEqual(400 - 2);
  }
  await pool.dispose();
});

test('a connection of any kind keeps the tenant, which is stopped once it is closed', async () => {
  await using pool = createWatchfulPool();
  const keys = Object.keys(CLIENTS);
  const connections = await connected(pool, keys, (key, port) => CLIENTS[key]!(port));
  await pause(LONG_MS);
  expect(running(pool)).toEqual(keys.toSorted());
  expect(pool.events.of('idle-kill')).toEqual([]);
  for (const [key, connection] of connections) {
    connection.close();
    expect((await pool.events.exit(key)).reason).toBe('idle-killed');
    expect(pool.events.of('idle-kill', key)[0]!.idleMs).toBeGreaterThanOrEqual(idleAfterMs);
  }
  await pool.dispose();
});

test('a connection keeps a tenant that listens on any address', async () => {
  await using pool = createWatchfulPool();
  const hosts = ['127.0.0.1', '0.0.0.0', ...(hasIPv6 ? ['::'] : [])];
  const keys = hosts.flatMap((host) =>
    host === '::' ? [`on ${host}`, `on ${host} by IPv6`] : [`on ${host}`],
  );
  const connections = await connected(pool, keys, (key, port) =>
    openTcp(port, '/', key.endsWith('6') ? '::1' : '127.0.0.1'),
  );
  await pause(LONG_MS);
  expect(running(pool)).toEqual(keys.toSorted());
  for (const connection of connections.values()) connection.close();
  await Promise.all(keys.map((key) => pool.events.exit(key)));
  await pool.dispose();
});

test('a tenant is kept as long as one of several connections is open', async () => {
  await using pool = createWatchfulPool();
  const connections = await connected(pool, ['app'], async (_, port) => {
    const all = await Promise.all([openTcp(port), openTcp(port), openTcp(port)]);
    const last = all.pop()!;
    all.forEach((connection) => connection.close());
    return last;
  });
  await pause(LONG_MS);
  expect(running(pool)).toEqual(['app']);
  connections.get('app')!.close();
  await pool.events.exit('app');
  await pool.dispose();
});

test('short connections one after the other keep a tenant', async () => {
  await using pool = createWatchfulPool({ idleAfterMs: 600 });
  await connected(pool, ['app'], async (_, port) => {
    const connection = await openTcp(port);
    setTimeout(() => connection.close(), 0);
    return connection;
  });
  const { port } = pool.runtime.inspect('app')! as { port: number };
  for (let round = 0; round < 8; round++) {
    const connection = await openTcp(port);
    await pause(150);
    connection.close();
  }
  expect(running(pool)).toEqual(['app']);
  await pool.events.exit('app');
  await pool.dispose();
});

test('a connection to one tenant keeps no other', async () => {
  await using pool = createWatchfulPool();
  const connections = await connected(pool, ['used', 'unused'], async (key, port) =>
    key === 'used' ? openTcp(port) : { close() {} },
  );
  await pool.events.exit('unused');
  expect(running(pool)).toEqual(['used']);
  connections.get('used')!.close();
  await pool.events.exit('used');
  await pool.dispose();
});

test('a connection that the tenant itself has opened does not keep it', async () => {
  let accepted = 0;
  const other = Bun.listen({
    hostname: '127.0.0.1',
    port: 0,
    socket: { open: () => void accepted++, data() {} },
  });
  try {
    await using pool = createWatchfulPool({
      env: { PATH: process.env.PATH ?? '', OTHER: String(other.port), BIND: '127.0.0.1' },
    });
    await connected(pool, ['app'], async (_, port) => {
      const answer = await fetch(`http://127.0.0.1:${port}/reach-out`, {
        headers: { connection: 'close' },
      });
      expect(await answer.text()).toBe('connected');
      return { close() {} };
    });
    await until('it is accepted', () => accepted === 1);
    expect((await pool.events.exit('app')).reason).toBe('idle-killed');
    await pool.dispose();
  } finally {
    other.stop(true);
  }
});

test('without idle: "connections" a tenant with an open connection is stopped', async () => {
  await using pool = createWatchfulPool({ idle: undefined });
  const keys = ['a WebSocket', 'a slow download'];
  const connections = await connected(pool, keys, (key, port) => CLIENTS[key]!(port));
  for (const key of keys) expect((await pool.events.exit(key)).reason).toBe('idle-killed');
  for (const connection of connections.values()) connection.close();
  await pool.dispose();
});

test('kill, eviction and dispose stop a tenant with an open connection', async () => {
  await using pool = createWatchfulPool({ maxConcurrent: 1 });
  const connections = await connected(pool, ['one'], (_, port) => openTcp(port));
  pool.tenants.add('two', patientServer);
  await pool.runtime.ensure('two');
  expect((await pool.events.exit('one')).reason).toBe('lru-evicted');
  connections.get('one')!.close();
  await pool.dispose();
});

test('shouldIdleKill is called only when there is no connection', async () => {
  const asked: string[] = [];
  await using pool = createWatchfulPool({ shouldIdleKill: ({ key }) => asked.push(key) > 2 });
  const connections = await connected(pool, ['app'], (_, port) => openTcp(port));
  await pause(LONG_MS);
  expect(asked).toEqual([]);
  connections.get('app')!.close();
  await pool.events.exit('app');
  expect(asked).toEqual(['app', 'app', 'app']);
  await pool.dispose();
});

test('a connection that is opened while shouldIdleKill is pending keeps the tenant, whatever it answers', async () => {
  const { promise: answer, resolve } = Promise.withResolvers<boolean>();
  const { promise: asked, resolve: isAsked } = Promise.withResolvers<number>();
  let questions = 0;
  // So long that no sweep happens in between.
  await using pool = createWatchfulPool({
    idleAfterMs: 700,
    sweepIntervalMs: 60_000,
    shouldIdleKill: ({ tenant }) => {
      isAsked(tenant.port);
      return ++questions === 1 ? answer : true;
    },
  });
  pool.tenants.add('app', patientServer);
  await pool.runtime.ensure('app');
  const connection = await openTcp(await within('the question', asked));
  resolve(true);
  await pause(300);
  expect(running(pool)).toEqual(['app']);
  connection.close();
  await pool.events.exit('app');
  expect(questions).toBe(2);
  await pool.dispose();
});

test('a connection keeps a tenant of your own spawn', async () => {
  const unused = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
  const { port } = unused;
  unused.stop(true);
  await using pool = createWatchfulPool({
    spawn: async ({ cwd, env }) => {
      const child = Bun.spawn([process.execPath, 'server.ts'], {
        cwd,
        env: { ...env, PORT: String(port) },
        stdio: ['ignore', 'ignore', 'ignore'],
      });
      return Object.assign(child, { port });
    },
  });
  const connections = await connected(pool, ['app'], (_, own) => {
    expect(own).toBe(port);
    return openTcp(own);
  });
  await pause(LONG_MS);
  expect(running(pool)).toEqual(['app']);
  connections.get('app')!.close();
  await pool.events.exit('app');
  await pool.dispose();
});

test('a connection keeps an adopted process', async () => {
  await using pool = createWatchfulPool();
  pool.tenants.add('app', patientServer);
  const first = await pool.runtime.ensure('app');
  const { port } = first;
  await pool.events.exit('app');
  const child = Bun.spawn([process.execPath, 'server.ts'], {
    cwd: `${pool.tenants.root}/app`,
    env: { PORT: String(port), BIND: '127.0.0.1' },
    stdio: ['ignore', 'ignore', 'ignore'],
  });
  await pool.runtime.adopt('app', { pid: child.pid }, { port });
  const busy = setInterval(() => pool.runtime.touch('app'), 5);
  const connection = await connectedAtLast(port);
  clearInterval(busy);
  await pause(LONG_MS);
  expect(running(pool)).toEqual(['app']);
  connection.close();
  expect((await pool.events.exit('app', 2)).reason).toBe('idle-killed');
  await child.exited;
  await pool.dispose();
});

async function connectedAtLast(port: number): Promise<Connection> {
  for (;;) {
    try {
      return await openTcp(port);
    } catch {
      await pause(5);
    }
  }
}

test('of many tenants only those with a connection are kept', async () => {
  await using pool = createWatchfulPool({ idleAfterMs: 400 });
  const keys = Array.from({ length: 12 }, (_, index) => `t${String(index).padStart(2, '0')}`);
  const used = keys.filter((_, index) => index % 3 === 0);
  const connections = await connected(pool, keys, async (key, port) =>
    used.includes(key) ? openTcp(port, '/') : { close() {} },
  );
  const others = keys.filter((key) => !used.includes(key));
  await Promise.all(others.map((key) => pool.events.exit(key)));
  await pause(800);
  expect(running(pool)).toEqual(used);
  for (const connection of connections.values()) connection.close();
  await Promise.all(used.map((key) => pool.events.exit(key)));
  await pool.dispose();
});

test('touch and ensure count as before', async () => {
  await using pool = createWatchfulPool({ idleAfterMs: 500 });
  pool.tenants.add('app', patientServer);
  const tenant = await pool.runtime.ensure('app');
  expect(await answerOf(tenant)).toBe('hello');
  const { idleMs } = (await pool.events.exit('app'), pool.events.of('idle-kill')[0]!);
  expect(idleMs).toBeGreaterThanOrEqual(500);
  await pool.dispose();
});

test('a tenant without a connection is evicted first, although it was used later', async () => {
  await using pool = createWatchfulPool({
    idleAfterMs: 60_000,
    sweepIntervalMs: 60_000,
    maxConcurrent: 2,
  });
  const connection = (
    await connected(pool, ['download'], (_, port) => openTcp(port, '/download'))
  ).get('download')!;
  pool.tenants.add('unused', patientServer);
  await pool.runtime.ensure('unused');
  pool.tenants.add('third', patientServer);
  await pool.runtime.ensure('third');
  expect(pool.events.of('lru-evict').map(({ key }) => key)).toEqual(['unused']);
  expect(running(pool)).toEqual(['download', 'third']);
  connection.close();
  await pool.dispose();
});

test('a connection between processes of one tenant does not keep it', async () => {
  const talksToItself = {
    'server.ts': `
import { connect } from 'node:net';
const port = Number(process.env.PORT);
const dial = \`require('node:net').connect(\${port}, '127.0.0.1').write('GET / HTTP/1.1\\\\r\\\\nhost: x\\\\r\\\\n\\\\r\\\\n'); setInterval(() => {}, 1000)\`;
Bun.serve({ port, hostname: '127.0.0.1', idleTimeout: 0, fetch: () => new Response('hello') });
connect(port, '127.0.0.1').write('GET / HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n');
Bun.spawn([process.execPath, '-e', dial]);`,
  };
  await using pool = createWatchfulPool();
  pool.tenants.add('alone', talksToItself);
  pool.tenants.add('visited', talksToItself);
  await pool.runtime.ensure('alone');
  const { port } = await pool.runtime.ensure('visited');
  const connection = await openTcp(port, '/');
  await pool.events.exit('alone');
  expect(running(pool)).toEqual(['visited']);
  connection.close();
  await pool.events.exit('visited');
  await pool.dispose();
});

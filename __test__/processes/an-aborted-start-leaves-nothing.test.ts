// The last caller of a start aborts: the whole tree that was being started is ended, no failure is
// counted, and the next `ensure` starts afresh.
import { expect, test } from 'bun:test';
import {
  assertGone,
  createPool,
  engineNames,
  type Pool,
  slowToAnswer,
  slowToListen,
  startHost,
  Tenants,
  textOf,
  until,
  untilGone,
  within,
} from '../support/processes/index.ts';

/** A helper in a session of its own belongs to the tree, too. */
const START = 'setsid sleep 1000 & bun server.ts';
const addSlow = (pool: Pool, server = slowToListen(60_000)) =>
  pool.tenants.add('app', { start: START, 'server.ts': server });

const rejectionOf = (promise: Promise<unknown>) =>
  within(
    'a rejection',
    promise.then(
      () => undefined,
      (error) => error,
    ),
  );

const moments: Record<string, (pool: Pool) => unknown> = {
  'in the same tick': () => undefined,
  'a microtask later': () => Promise.resolve(),
  'once there is a process': ({ events }) => until('spawn', () => events.of('spawn')[0]),
  'before it listens': ({ events }) => events.line('app', 'booting'),
  'while its answer is on its way': ({ events }) => events.line('app', 'asked'),
};

for (const [moment, reached] of Object.entries(moments)) {
  test(`aborted ${moment}`, async () => {
    await using pool = createPool();
    addSlow(pool, moment.includes('answer') ? slowToAnswer(60_000) : undefined);
    const controller = new AbortController();
    const pending = pool.runtime.ensure('app', { signal: controller.signal });
    pending.catch(() => {});
    const waited = reached(pool);
    if (waited !== undefined) await waited;
    controller.abort('no longer needed');
    const error = await rejectionOf(pending);
    expect([error?.name, error?.code, error?.cause]).toEqual([
      'AbortError',
      'ERR_RUNTIME_ABORTED',
      'no longer needed',
    ]);
    await until('nothing is left', () => pool.runtime.stats().total === 0);
    const spawns = pool.events.of('spawn');
    for (const { pid } of spawns) {
      expect(await pool.events.exit('app')).toMatchObject({ pid, reason: 'killed' });
    }
    assertGone('when its exit was told', pool.tenants.processes());
    expect(pool.runtime.inspect('app')?.pid ?? null).toBeNull();
    expect(pool.runtime.metrics()).toMatchObject({ backoff: 0, totalBackoffEntries: 0 });

    pool.tenants.add('app');
    expect(await textOf(await pool.runtime.ensure('app'))).toBe('hello');
    await pool.dispose();
  });
}

test('with another caller waiting, the start goes on', async () => {
  await using pool = createPool();
  addSlow(pool, slowToListen(200));
  const controller = new AbortController();
  const aborted = pool.runtime.ensure('app', { signal: controller.signal });
  const patient = pool.runtime.ensure('app');
  await pool.events.line('app', 'booting');
  controller.abort();
  expect((await rejectionOf(aborted))?.code).toBe('ERR_RUNTIME_ABORTED');
  expect(await textOf(await patient)).toBe('hello');
  expect(pool.events.of('exit')).toEqual([]);
  await pool.dispose();
});

test('AbortSignal.timeout: a tenant that takes too long', async () => {
  await using pool = createPool();
  addSlow(pool);
  const error = await rejectionOf(pool.runtime.ensure('app', { signal: AbortSignal.timeout(100) }));
  expect([error?.code, error?.cause?.name]).toEqual(['ERR_RUNTIME_ABORTED', 'TimeoutError']);
  await until('nothing is left', () => pool.runtime.stats().total === 0);
  assertGone('afterwards', pool.tenants.processes());
  await pool.dispose();
});

test('a restart, while the old process is being stopped: it is gone, and nothing follows', async () => {
  await using pool = createPool({ stopTimeoutMs: 200 });
  pool.tenants.add('app', {
    start: START,
    'server.ts': `process.on('SIGTERM', () => console.log('asked'));\nBun.serve({ port: process.env.PORT, fetch: () => new Response() });`,
  });
  await pool.runtime.ensure('app');
  const tree = pool.tenants.processes();
  const controller = new AbortController();
  const restarted = pool.runtime.restart('app', { signal: controller.signal });
  await pool.events.line('app', 'asked');
  controller.abort();
  expect((await rejectionOf(restarted))?.code).toBe('ERR_RUNTIME_ABORTED');
  await pool.events.exit('app');
  assertGone('when its exit was told', tree);
  expect(pool.runtime.inspect('app')?.pid ?? null).toBeNull();
  expect(pool.events.of('exit')).toMatchObject([{ reason: 'restarted' }]);
  expect(pool.events.of('spawn').length).toBe(1);
  await pool.dispose();
});

test('a restart, while the new process is being started', async () => {
  await using pool = createPool();
  pool.tenants.add('app');
  await pool.runtime.ensure('app');
  addSlow(pool);
  const controller = new AbortController();
  const restarted = pool.runtime.restart('app', { signal: controller.signal });
  await pool.events.line('app', 'booting');
  const tree = pool.tenants.processes();
  controller.abort();
  expect((await rejectionOf(restarted))?.code).toBe('ERR_RUNTIME_ABORTED');
  await pool.events.exit('app', 2);
  await untilGone('the new tree', tree);
  expect(pool.events.of('exit').map(({ reason }) => reason)).toEqual(['restarted', 'killed']);
  expect(pool.runtime.metrics().totalBackoffEntries).toBe(0);
  await pool.dispose();
});

for (const engine of engineNames) {
  test(`${engine}: a host whose call is aborted ends by itself`, async () => {
    await using tenants = new Tenants().add('app', {
      start: START,
      'server.ts': slowToListen(60_000),
    });
    await using host = startHost(engine, 'alive.mjs', [tenants.root, 'app', 'aborted ensure']);
    expect(await host.said('aborted')).toBe('"ERR_RUNTIME_ABORTED"');
    expect(await host.end()).toEqual({ code: 0, signal: null });
    expect(host.errors).toBe('');
    await until('nothing is left', () => tenants.processes().length === 0);
  });
}

// `adopt` of a `RuntimeProcess`, with `exited` and `kill`.
import { expect, test } from 'bun:test';
import { manualReadiness, never, setUp } from '../support/surface/bench.ts';
import { handedOver, ignoresKill, obeysWith } from '../support/surface/fleet.ts';
import { nextMillisecond, rejectionOf, within } from '../support/surface/wait.ts';

test('the process becomes the tenant: one adopt event, no spawn, and one exit in the end', async () => {
  await using bench = setUp();
  const { runtime, events } = bench;
  const process = handedOver();
  const before = Date.now();
  const tenant = await runtime.adopt('a', process, { port: 4000 });
  const { pid } = process;
  expect(tenant).toEqual({
    ...{ key: 'a', port: 4000, pid },
    startedAt: expect.any(Number),
    lastTouchedAt: expect.any(Number),
  });
  expect(tenant.startedAt).toBeWithin(before, Date.now() + 1);
  expect(tenant.lastTouchedAt).toBeWithin(before, Date.now() + 1);
  expect(runtime.stats()).toEqual({ running: 1, total: 1, draining: false, backoff: 0 });

  await runtime.kill('a');
  expect(process.kills).toEqual([undefined]);
  expect(events.story).toEqual(['adopt a', 'exit a']);
  expect(events.transitions).toStrictEqual([
    { type: 'adopt', key: 'a', pid, port: 4000 },
    { type: 'exit', key: 'a', pid, exitCode: null, reason: 'killed' },
  ]);
  expect(bench.fleet.processes).toEqual([]);
});

test('the adopt event comes before the promise resolves', async () => {
  await using bench = setUp();
  const adopted = bench.runtime
    .adopt('a', handedOver(), { port: 4000 })
    .then(() => bench.events.story[0]);
  expect(await adopted).toBe('adopt a');
});

test('port, startedAt, lastTouchedAt and resourceId are those that were passed', async () => {
  await using bench = setUp();
  const now = Date.now();
  const process = handedOver({ port: 4001, resourceId: 'container-7' });
  const times = { startedAt: now - 90_000, lastTouchedAt: now - 30_000 };
  const tenant = await bench.runtime.adopt('a', process, times);
  const { pid } = process;
  expect(tenant).toEqual({ key: 'a', port: 4001, pid, ...times, resourceId: 'container-7' });
  await bench.runtime.kill('a');
  const event = { key: 'a', pid, resourceId: 'container-7' };
  expect(bench.events.transitions).toStrictEqual([
    { type: 'adopt', port: 4001, ...event },
    { type: 'exit', exitCode: null, reason: 'killed', ...event },
  ]);
});

test('a port in the options takes precedence over the process’s', async () => {
  await using bench = setUp();
  const tenant = await bench.runtime.adopt('a', handedOver({ port: 4001 }), { port: 4002 });
  expect(tenant.port).toBe(4002);
});

test('a lastTouchedAt in the future becomes now', async () => {
  await using bench = setUp();
  const { lastTouchedAt } = await bench.runtime.adopt('a', handedOver(), {
    ...{ port: 4000, lastTouchedAt: Date.now() + 1_000_000 },
  });
  expect(lastTouchedAt).toBeLessThanOrEqual(Date.now());
});

test('readiness is not called', async () => {
  const { readiness, calls } = manualReadiness();
  await using bench = setUp({ readiness });
  await bench.runtime.adopt('a', handedOver(), { port: 4000 });
  expect(calls).toEqual([]);
});

test('ensure resolves to the same live tenant, and touch moves it', async () => {
  // No idle stops: lastTouchedAt is long ago.
  await using bench = setUp({ idleAfterMs: 0 });
  const tenant = await bench.runtime.adopt('a', handedOver(), { port: 4000, lastTouchedAt: 1 });
  expect(tenant.lastTouchedAt).toBe(1);
  expect(await bench.runtime.ensure('a')).toBe(tenant);
  const { lastTouchedAt } = tenant;
  expect(lastTouchedAt).toBeGreaterThan(1);
  await nextMillisecond();
  bench.runtime.touch('a');
  expect(tenant.lastTouchedAt).toBeGreaterThan(lastTouchedAt);
});

test('inspect, list, stats and metrics know it', async () => {
  await using bench = setUp();
  const { pid } = await bench.runtime.adopt('a', handedOver(), { port: 4000, startedAt: 1 });
  expect(bench.runtime.inspect('a')).toMatchObject({
    state: 'ready',
    pid,
    port: 4000,
    startedAt: 1,
  });
  expect(bench.runtime.list().map(({ key }) => key)).toEqual(['a']);
  expect(bench.runtime.metrics()).toMatchObject({
    running: 1,
    total: 1,
    totalSpawns: 0,
    lastSpawnMs: 0,
  });
  await bench.runtime.dispose();
  expect(bench.runtime.metrics().totalExits).toMatchObject({ disposed: 1 });
});

test.each([
  [0, 'exited-clean'],
  [3, 'crashed'],
  [null, 'crashed'],
] as const)('one that ends by itself with %p is told as %s', async (exitCode, reason) => {
  await using bench = setUp();
  const process = handedOver();
  const tenant = await bench.runtime.adopt('a', process, { port: 4000 });
  process.exit(exitCode);
  const exit = await bench.events.seen('exit', 'a');
  expect(exit).toEqual({ type: 'exit', key: 'a', pid: process.pid, exitCode, reason });
  // No failed start: the next ensure starts one of the pool's own.
  const fresh = await bench.runtime.ensure('a');
  expect(fresh).not.toBe(tenant);
  expect(fresh.pid).toBe(bench.fleet.the('a').pid);
});

test('restart ends it and starts one of the pool’s own', async () => {
  await using bench = setUp();
  const process = handedOver();
  await bench.runtime.adopt('a', process, { port: 4000 });
  const fresh = await bench.runtime.restart('a');
  expect(fresh.pid).toBe(bench.fleet.the('a').pid);
  expect(bench.events.story).toEqual(['adopt a', 'exit a', 'spawn a', 'metric spawn a', 'ready a']);
  expect(bench.events.all('exit')[0]!.reason).toBe('restarted');
});

test('an idle adopted process is stopped', async () => {
  await using bench = setUp({ idleAfterMs: 20, sweepIntervalMs: 1 });
  await bench.runtime.adopt('a', handedOver(), { port: 4000 });
  const { idleMs } = await bench.events.seen('idle-kill', 'a');
  expect(idleMs).toBeGreaterThanOrEqual(20);
  expect((await bench.events.seen('exit', 'a')).reason).toBe('idle-killed');
});

test('idleness counts from the given lastTouchedAt', async () => {
  await using bench = setUp({ idleAfterMs: 600_000 });
  const now = Date.now();
  await bench.runtime.adopt('fresh', handedOver(), { port: 4000 });
  await bench.runtime.adopt('old', handedOver(), { port: 4001, lastTouchedAt: now - 700_000 });
  const { idleMs } = await bench.events.seen('idle-kill', 'old');
  expect(idleMs).toBeGreaterThanOrEqual(700_000);
  expect(bench.events.all('idle-kill', 'fresh')).toEqual([]);
});

test('the least recently active tenant is evicted, adopted or not', async () => {
  await using bench = setUp({ maxConcurrent: 3 });
  const now = Date.now();
  await bench.runtime.adopt('older', handedOver(), { port: 4000, lastTouchedAt: now - 2_000 });
  await bench.runtime.adopt('old', handedOver(), { port: 4001, lastTouchedAt: now - 1_000 });
  await bench.runtime.ensure('a');
  for (const key of ['b', 'c']) await bench.runtime.ensure(key);
  expect(bench.events.all('lru-evict').map(({ key }) => key)).toEqual(['older', 'old']);
});

test('an adoption does not wait at the gate for starts', async () => {
  const { readiness } = manualReadiness();
  await using bench = setUp({ spawnConcurrency: 1, readiness });
  const starting = bench.runtime.ensure('a');
  starting.catch(() => {});
  await bench.events.seen('spawn', 'a');
  await within('adopt', bench.runtime.adopt('b', handedOver(), { port: 4000 }));
});

test('a process that ignores kill() gets SIGKILL after stopTimeoutMs; one that does not end stays tracked', async () => {
  await using bench = setUp({ stopTimeoutMs: 10 });
  const process = handedOver();
  process.onKill = (self, signal) => void (signal === 'SIGKILL' && self.exit(null));
  await bench.runtime.adopt('a', process, { port: 4000 });
  await bench.runtime.kill('a');
  expect(process.kills).toEqual([undefined, 'SIGKILL']);

  const stays = handedOver();
  stays.onKill = ignoresKill;
  const tenant = await bench.runtime.adopt('b', stays, { port: 4000 });
  expect((await rejectionOf(bench.runtime.kill('b'))).code).toBe('ERR_RUNTIME_STOP_TIMEOUT');
  expect(await bench.runtime.ensure('b')).toBe(tenant);
  stays.onKill = obeysWith(0);
  await bench.runtime.kill('b');
  expect(bench.events.all('exit', 'b').length).toBe(1);
});

test('a kill that rejects reaches the caller as the same object', async () => {
  await using bench = setUp();
  const own = new Error('no');
  const process = handedOver();
  process.onKill = () => Promise.reject(own);
  await bench.runtime.adopt('a', process, { port: 4000 });
  expect(await rejectionOf(bench.runtime.kill('a'))).toBe(own);
  process.onKill = obeysWith(null);
});

test('a key in back-off can adopt, which ends the back-off', async () => {
  let isBad = true;
  await using bench = setUp({ readiness: async () => !isBad, backoff: { maxFailures: 1 } });
  await rejectionOf(bench.runtime.ensure('a'));
  expect(bench.runtime.inspect('a')!.state).toBe('failed');
  isBad = false;
  await bench.runtime.adopt('a', handedOver(), { port: 4000 });
  expect(bench.runtime.inspect('a')).toMatchObject({ state: 'ready', attempt: 0 });
  await bench.runtime.kill('a');
  await bench.runtime.ensure('a');
});

test('a process whose exited rejects, or never settles, is a tenant all the same', async () => {
  await using bench = setUp();
  const lost = Promise.withResolvers<number | null>();
  const process = Object.assign(handedOver(), { exited: lost.promise });
  await bench.runtime.adopt('a', process, { port: 4000 });
  lost.reject(new Error('lost sight of it'));
  expect(await bench.events.seen('exit', 'a')).toMatchObject({ exitCode: null, reason: 'crashed' });

  const endless = Object.assign(handedOver(), { exited: never<number | null>() });
  await bench.runtime.adopt('b', endless, { port: 4000 });
  endless.onKill = () => Promise.reject(new Error('no'));
  expect(bench.runtime.inspect('b')!.state).toBe('ready');
});

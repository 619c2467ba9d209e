// `inspect` and `list`: every state, each actually reached, and the fields known in it.
import { expect, test } from 'bun:test';
import type { TenantStatus } from '@absolutejs/runtime';
import { manualReadiness, never, setUp } from '../support/surface/bench.ts';
import { ignoresKill, obeysWith } from '../support/surface/fleet.ts';
import { aFewTurns, nextMillisecond, rejectionOf, within } from '../support/surface/wait.ts';

/** A status with these fields, and defaults for all others. */
const status = (key: string, known: Partial<TenantStatus>): TenantStatus => ({
  key,
  state: 'queued',
  pid: null,
  port: null,
  startedAt: null,
  lastTouchedAt: null,
  attempt: 0,
  retryAt: null,
  lastError: null,
  starts: 0,
  crashes: 0,
  lastExit: null,
  cpuMs: null,
  rssBytes: null,
  limits: {},
  isolation: null,
  ...known,
});

const FIELDS = Object.keys(status('a', {}));

test('inspect of an unknown key is null', async () => {
  await using bench = setUp();
  const { runtime } = bench;
  expect(runtime.list()).toEqual([]);
  for (const key of ['a', '', '..', undefined, null, 7, {}, ['a'], Symbol('a')]) {
    expect(runtime.inspect(key as any)).toBeNull();
  }
  await runtime.ensure('a');
  expect(runtime.inspect('b')).toBeNull();
  expect(runtime.list()).toHaveLength(1);
});

test('what has ended is remembered: how, when and why, with its last lines, and how often it was started', async () => {
  await using bench = setUp();
  const { runtime, fleet } = bench;
  await runtime.ensure('a');
  for (let line = 1; line <= 30; line++) fleet.the('a').log(`line ${line}`);
  const before = Date.now();
  fleet.the('a').exit(7);
  await bench.events.seen('exit', 'a');
  const lines = Array.from({ length: 20 }, (_, index) => `line ${index + 11}`);
  const crash = {
    exitCode: 7,
    signal: null,
    reason: 'crashed' as const,
    at: expect.any(Number),
    lines,
  };
  const stopped = status('a', { state: 'stopped', starts: 1, crashes: 1, lastExit: crash });
  expect(runtime.inspect('a')).toStrictEqual(stopped);
  expect(runtime.inspect('a')!.lastExit!.at).toBeWithin(before - 1, Date.now() + 1);
  expect(runtime.list()).toStrictEqual([stopped]);

  await runtime.ensure('a');
  expect(runtime.inspect('a')).toMatchObject({
    state: 'ready',
    starts: 2,
    crashes: 1,
    lastExit: crash,
  });
  await runtime.kill('a');
  runtime.clearBackoff('a');
  const killed = { exitCode: null, signal: null, reason: 'killed' as const, lines: [] };
  expect(runtime.inspect('a')).toMatchObject({
    state: 'stopped',
    starts: 2,
    crashes: 1,
    lastExit: killed,
  });
  await runtime.dispose();
  expect(runtime.list()).toMatchObject([{ key: 'a', starts: 2 }]);
});

test('a failed start is told with the last lines of its output', async () => {
  await using bench = setUp({ readiness: never });
  bench.fleet.prepare = (process) => process.log('no database');
  const failed = rejectionOf(bench.runtime.ensure('a'));
  await bench.events.seen('spawn', 'a');
  bench.fleet.the('a').exit(3);
  await failed;
  expect(bench.runtime.inspect('a')!.lastError).toBe(
    'Runtime process for "a" exited with code 3 before it was ready\nno database',
  );
});

test('a crash sooner than backoff.minUptimeMs is a failed start', async () => {
  await using bench = setUp({ backoff: { minUptimeMs: 600_000 } });
  await bench.runtime.ensure('a');
  bench.fleet.the('a').log('segfault at 0');
  bench.fleet.the('a').exit(1);
  await bench.events.seen('exit', 'a');
  expect((await rejectionOf(bench.runtime.ensure('a'))).code).toBe('ERR_RUNTIME_BACKOFF');
  const { state, attempt, lastError } = bench.runtime.inspect('a')!;
  expect([state, attempt]).toEqual(['backing-off', 1]);
  expect(lastError).toMatch(
    /^Runtime process for "a" exited with code 1 \d+ ms after it was ready\nsegfault at 0$/,
  );
});

test('ready: everything about the process', async () => {
  await using bench = setUp();
  const tenant = await bench.runtime.ensure('a');
  const { pid, port, startedAt, lastTouchedAt } = tenant;
  const seen = bench.runtime.inspect('a')!;
  expect(seen).toStrictEqual(
    status('a', { state: 'ready', pid, port, startedAt, lastTouchedAt, starts: 1 }),
  );
  expect(Object.keys(seen)).toEqual(FIELDS);

  await nextMillisecond();
  bench.runtime.touch('a');
  expect(bench.runtime.inspect('a')!.lastTouchedAt).toBe(tenant.lastTouchedAt);
  expect(tenant.lastTouchedAt).toBeGreaterThan(seen.lastTouchedAt!);
  // Looking is not touching, and the objects are the caller's own.
  const { lastTouchedAt: touchedAt } = tenant;
  await nextMillisecond();
  Object.assign(bench.runtime.inspect('a')!, { pid: 7 });
  Object.assign(bench.runtime.list()[0]!, { pid: 7 });
  expect(bench.runtime.inspect('a')!.pid).toBe(pid);
  expect(tenant.lastTouchedAt).toBe(touchedAt);
});

test('the resource is there when the process has one', async () => {
  await using bench = setUp();
  bench.fleet.prepare = (process) => void (process.resourceId = 'container-7');
  await bench.runtime.ensure('a');
  const seen = bench.runtime.inspect('a')!;
  expect(seen.resourceId).toBe('container-7');
  expect(Object.keys(seen)).toEqual([...FIELDS, 'resourceId']);
});

test('queued for room, and spawning: before and after the process is known', async () => {
  const { readiness, answer } = manualReadiness();
  const spawned = Promise.withResolvers<void>();
  await using bench = setUp({ maxConcurrent: 1, readiness });
  bench.releases.push(() => spawned.resolve());
  bench.fleet.prepare = () => spawned.promise;
  const { runtime } = bench;

  const first = runtime.ensure('a');
  const second = runtime.ensure('b');
  await bench.fleet.called('a');
  expect(runtime.list()).toStrictEqual([status('a', { state: 'spawning' }), status('b', {})]);

  spawned.resolve();
  const { pid, port } = await bench.events.seen('spawn', 'a');
  const spawning = runtime.inspect('a')!;
  expect(spawning).toStrictEqual(
    status('a', { state: 'spawning', pid, port, startedAt: expect.any(Number), starts: 1 }),
  );
  expect(spawning.startedAt).toBeWithin(Date.now() - 60_000, Date.now() + 1);
  expect(runtime.inspect('b')!.state).toBe('queued');

  answer('a', true);
  answer('b', true);
  expect((await first).startedAt).toBe(spawning.startedAt!);
  await second;
  expect(runtime.inspect('a')!.state).toBe('stopped');
  expect(runtime.inspect('b')!.state).toBe('ready');
});

test('queued behind the gate', async () => {
  const { readiness, answer } = manualReadiness();
  await using bench = setUp({ spawnConcurrency: 1, readiness });
  const all = ['a', 'b'].map((key) => bench.runtime.ensure(key));
  await bench.events.seen('spawn', 'a');
  expect(bench.runtime.inspect('b')).toStrictEqual(status('b', {}));
  answer('a', true);
  await bench.events.seen('spawn', 'b');
  expect(bench.runtime.inspect('b')!.state).toBe('spawning');
  answer('b', true);
  await Promise.all(all);
});

test('stopping: the process is still known, also while its successor is waited for', async () => {
  await using bench = setUp();
  const { pid, port, startedAt, lastTouchedAt } = await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = ignoresKill;
  const restarted = bench.runtime.restart('a');
  const stopping = status('a', {
    state: 'stopping',
    pid,
    port,
    startedAt,
    lastTouchedAt,
    starts: 1,
  });
  expect(bench.runtime.inspect('a')).toStrictEqual(stopping);
  await aFewTurns();
  expect(bench.runtime.inspect('a')).toStrictEqual(stopping);
  bench.fleet.the('a').exit(0);
  const fresh = await restarted;
  expect(bench.runtime.inspect('a')).toMatchObject({ state: 'ready', pid: fresh.pid });
});

test('stuck: it was never ready, and refuses to be killed', async () => {
  await using bench = setUp({ readiness: async () => false });
  bench.fleet.prepare = (process) =>
    void (process.onKill = () => Promise.reject(new Error('I stay')));
  await rejectionOf(bench.runtime.ensure('a'));
  const { pid, port } = await bench.events.seen('spawn', 'a');
  const stuck = bench.runtime.inspect('a')!;
  expect(stuck).toStrictEqual(
    status('a', {
      ...{ state: 'stuck', pid, port, startedAt: expect.any(Number), attempt: 1, starts: 1 },
      retryAt: expect.any(Number),
      lastError: 'Tenant "a" is not ready: its readiness check said no',
    }),
  );
  bench.fleet.the('a').onKill = obeysWith(0);
  await bench.runtime.kill('a');
  expect(bench.runtime.inspect('a')).toStrictEqual(
    status('a', {
      ...{ state: 'backing-off', attempt: 1, lastError: stuck.lastError, starts: 1 },
      lastExit: expect.objectContaining({ exitCode: 0, reason: 'readiness-timeout' }),
      retryAt: expect.any(Number),
    }),
  );
});

test('stuck without a process: a spawn that never settles', async () => {
  const called = Promise.withResolvers<void>();
  await using bench = setUp({ spawn: () => (called.resolve(), never()), stopTimeoutMs: 1 });
  const pending = rejectionOf(bench.runtime.ensure('a'));
  await called.promise;
  const killed = rejectionOf(bench.runtime.kill('a'));
  expect((await killed).code).toBe('ERR_RUNTIME_STOP_TIMEOUT');
  await pending;
  expect(bench.runtime.inspect('a')).toStrictEqual(status('a', { state: 'stuck' }));
});

test('backing off: attempt, retryAt and lastError say how often, until when and why', async () => {
  const baseMs = 1_000_000;
  let why = 'the database is down';
  await using bench = setUp({
    backoff: { baseMs, maxMs: Infinity },
    readiness: () => Promise.reject(new Error(why)),
  });
  const before = Date.now();
  await rejectionOf(bench.runtime.ensure('a'));
  const after = Date.now();
  const seen = bench.runtime.inspect('a')!;
  expect(seen).toStrictEqual(
    status('a', {
      ...{ state: 'backing-off', attempt: 1, retryAt: expect.any(Number), lastError: why },
      ...{ starts: 1, lastExit: expect.any(Object) },
    }),
  );
  // The clock that counts is another one: the two may differ by a millisecond.
  expect(seen.retryAt).toBeWithin(before + baseMs - 2, after + baseMs + 3);
  const { retryAfterMs } = await rejectionOf(bench.runtime.ensure('a'));
  expect(Math.abs(Date.now() + retryAfterMs - seen.retryAt!)).toBeLessThan(5_000);

  why = 'still';
  await rejectionOf(bench.runtime.restart('a'));
  const again = bench.runtime.inspect('a')!;
  expect(again).toMatchObject({ state: 'backing-off', attempt: 2, lastError: 'still' });
  expect(again.retryAt! - Date.now()).toBeWithin(2 * baseMs - 60_000, 2 * baseMs + 3);

  bench.runtime.clearBackoff('a');
  expect(bench.runtime.inspect('a')).toMatchObject({
    state: 'stopped',
    attempt: 0,
    lastError: null,
  });
});

test('stopped: its last start has failed, and ensure would try again', async () => {
  await using bench = setUp({ backoff: { baseMs: 1 }, readiness: async () => false });
  await rejectionOf(bench.runtime.ensure('a'));
  while (bench.runtime.inspect('a')!.state === 'backing-off') await nextMillisecond();
  const seen = bench.runtime.inspect('a')!;
  expect(seen).toMatchObject({ state: 'stopped', attempt: 1, lastError: expect.any(String) });
  expect(seen.retryAt).toBeLessThanOrEqual(Date.now() + 1);
  expect((await rejectionOf(bench.runtime.ensure('a'))).code).toBe('ERR_RUNTIME_READINESS_TIMEOUT');
  expect(bench.runtime.inspect('a')!.attempt).toBe(2);
});

test('failed: nothing but clearBackoff helps, so there is no retryAt', async () => {
  await using bench = setUp({
    backoff: { baseMs: 0, maxFailures: 1 },
    readiness: async () => false,
  });
  await rejectionOf(bench.runtime.ensure('a'));
  await nextMillisecond();
  expect(bench.runtime.inspect('a')).toStrictEqual(
    status('a', {
      ...{ state: 'failed', attempt: 1, retryAt: null, starts: 1, lastExit: expect.any(Object) },
      lastError: 'Tenant "a" is not ready: its readiness check said no',
    }),
  );
  expect((await rejectionOf(bench.runtime.ensure('a'))).code).toBe('ERR_RUNTIME_MAX_FAILURES');
});

test('what is being tried again still has its failures, and becoming ready forgets them', async () => {
  const { readiness, answer, forget } = manualReadiness();
  await using bench = setUp({ backoff: { baseMs: 0 }, readiness });
  answer('a', false);
  await rejectionOf(bench.runtime.ensure('a'));
  forget('a');
  const retried = bench.runtime.ensure('a');
  await bench.events.seen('spawn', 'a', 2);
  expect(bench.runtime.inspect('a')).toMatchObject({ state: 'spawning', attempt: 1 });
  answer('a', true);
  await retried;
  expect(bench.runtime.inspect('a')).toMatchObject({
    ...{ state: 'ready', attempt: 0, retryAt: null, lastError: null },
  });
});

test('checkpointed: no process, but a snapshot; and list stays in the order of the keys', async () => {
  const images = new Set<string>();
  const within: unknown[] = [];
  await using bench = setUp({
    onTransition(event) {
      bench.events.callbacks.onTransition(event);
      if (event.type !== 'exit' || event.key !== 'b') return;
      within.push(bench.runtime.inspect('b'), bench.runtime.metrics().checkpoints.checkpoints);
    },
    idleAfterMs: 1,
    sweepIntervalMs: 1,
    shouldIdleKill: ({ key }) => key === 'b',
    checkpoint: {
      driver: {
        checkpoint: async ({ key }) => Boolean(images.add(key)),
        restore: async () => null,
        drop: async (key) => void images.delete(key),
        has: async (key) => images.has(key),
      },
    },
  });
  for (const key of ['c', 'a', 'b']) await bench.runtime.ensure(key);
  await bench.events.seen('exit', 'b');
  const lastExit = expect.objectContaining({ reason: 'checkpointed' });
  const checkpointed = status('b', { state: 'checkpointed', starts: 1, lastExit });
  expect(within).toStrictEqual([checkpointed, 1]);
  expect(bench.runtime.inspect('b')).toStrictEqual(checkpointed);
  expect(bench.runtime.list().map(({ key, state }) => [key, state])).toEqual([
    ['a', 'ready'],
    ['b', 'checkpointed'],
    ['c', 'ready'],
  ]);
});

test('list has every key, in the order of the keys, whatever their state', async () => {
  await using bench = setUp({ readiness: async ({ key }) => !key.startsWith('bad') });
  const keys = ['org/b', 'bad-z', 'a', 'ä', 'org', 'Z', 'bad-a', '10', '9'];
  for (const key of keys) await bench.runtime.ensure(key).catch(() => {});
  bench.fleet.the('a').onKill = ignoresKill;
  const killed = bench.runtime.kill('a');
  const seen = bench.runtime.list();
  expect(seen.map(({ key }) => key)).toEqual(keys.toSorted());
  expect(seen.map(({ state }) => state)).toEqual([
    ...(['ready', 'ready', 'ready', 'stopping', 'backing-off', 'backing-off'] as const),
    ...(['ready', 'ready', 'ready'] as const),
  ]);
  for (const one of seen) expect(bench.runtime.inspect(one.key)!.state).toBe(one.state);
  bench.fleet.the('a').exit(0);
  await within('kill', killed);
});

test('it can be called in every callback, and never names a process that has ended', async () => {
  const seen: [string, string | undefined, number | null | undefined][] = [];
  await using bench = setUp({
    onTransition(event) {
      if (event.type === 'drain' || event.type === 'detach') return;
      const { state, pid } = bench.runtime.inspect(event.key) ?? {};
      seen.push([event.type, state, pid]);
    },
  });
  const { pid } = await bench.runtime.ensure('a');
  await bench.runtime.kill('a');
  expect(seen).toEqual([
    ['spawn', 'spawning', pid],
    ['ready', 'ready', pid],
    ['exit', 'stopped', null],
  ]);
});

test('after dispose there is only what is remembered', async () => {
  await using bench = setUp({ readiness: async ({ key }) => key !== 'bad' });
  await bench.runtime.ensure('a');
  await rejectionOf(bench.runtime.ensure('bad'));
  await bench.runtime.dispose();
  expect(bench.runtime.list()).toMatchObject([
    { key: 'a', state: 'stopped', pid: null },
    { key: 'bad', state: 'backing-off', pid: null, attempt: 1 },
  ]);
});

// `metrics()`: its fields, and that they agree with the events delivered so far.
import { expect, test } from 'bun:test';
import type { ExitReason, RuntimeMetrics } from '@absolutejs/runtime';
import { manualReadiness, setUp } from '../support/surface/bench.ts';
import { handedOver, ignoresKill } from '../support/surface/fleet.ts';
import { aFewTurns, nextMillisecond, rejectionOf } from '../support/surface/wait.ts';

const noExits: Record<ExitReason, number> = {
  crashed: 0,
  'exited-clean': 0,
  'idle-killed': 0,
  'lru-evicted': 0,
  killed: 0,
  'readiness-timeout': 0,
  disposed: 0,
  restarted: 0,
  checkpointed: 0,
  replaced: 0,
  moved: 0,
  fenced: 0,
};

/** All but `uptimeMs`, which never stands still. */
const counted = ({ uptimeMs, ...rest }: RuntimeMetrics) => rest;

const atFirst = {
  running: 0,
  total: 0,
  draining: false,
  backoff: 0,
  totalSpawns: 0,
  totalExits: noExits,
  totalBackoffEntries: 0,
  lastSpawnMs: 0,
  checkpoints: { checkpoints: 0, restores: 0, restoreFailures: 0, lastRestoreMs: 0 },
  sleep: { asleep: 0, sleeps: 0, wakes: 0, lastWakeMs: 0 },
};

test('a new runtime has every field, in order, and every exit reason at 0', async () => {
  await using bench = setUp();
  const metrics = bench.runtime.metrics();
  expect(counted(metrics)).toStrictEqual(atFirst);
  expect(Object.keys(metrics)).toEqual([
    ...(['running', 'total', 'draining', 'backoff', 'totalSpawns', 'totalExits'] as const),
    ...(['totalBackoffEntries', 'lastSpawnMs', 'uptimeMs', 'checkpoints', 'sleep'] as const),
  ]);
  expect(Object.keys(metrics.totalExits)).toEqual(Object.keys(noExits));
  expect(Object.keys(metrics.checkpoints)).toEqual(Object.keys(atFirst.checkpoints));
  expect(metrics.uptimeMs).toBeWithin(0, 60_000);
  expect(metrics.uptimeMs).toBeInteger();
});

test('the objects are the caller’s own: changing them changes nothing', async () => {
  await using bench = setUp();
  const metrics = bench.runtime.metrics();
  metrics.running = 7;
  metrics.totalExits.crashed = 7;
  metrics.checkpoints.restores = 7;
  metrics.sleep.wakes = 7;
  expect(counted(bench.runtime.metrics())).toStrictEqual(atFirst);
  await bench.runtime.ensure('a');
  expect(metrics.totalSpawns).toBe(0);
});

test('its first four fields are those of stats', async () => {
  await using bench = setUp({ readiness: async ({ key }) => key !== 'bad' });
  await bench.runtime.ensure('a');
  await rejectionOf(bench.runtime.ensure('bad'));
  bench.runtime.drain();
  expect(bench.runtime.metrics()).toMatchObject({
    running: 1,
    total: 1,
    draining: true,
    backoff: 1,
  });
  expect(bench.runtime.metrics()).toMatchObject(bench.runtime.stats());
});

test('within every callback the counters agree with the events told so far', async () => {
  let spawns = 0;
  const exits = { ...noExits };
  const disagreements: unknown[] = [];
  function compare(where: string): void {
    const { totalSpawns, totalExits } = bench.runtime.metrics();
    if (totalSpawns !== spawns || !Bun.deepEquals(totalExits, exits)) {
      disagreements.push({ where, totalSpawns, spawns, totalExits, exits: { ...exits } });
    }
  }
  await using bench = setUp({
    maxConcurrent: 2,
    readiness: async ({ key }) => key !== 'bad',
    onTransition(event) {
      if (event.type === 'spawn') spawns += 1;
      if (event.type === 'exit') exits[event.reason] += 1;
      compare(event.type);
    },
    onMetrics: (event) => compare(`metric ${event.type}`),
    onLog: () => compare('log'),
  });
  const { runtime, fleet } = bench;
  fleet.prepare = (process) => process.log('hello');

  await runtime.ensure('crashes');
  fleet.the('crashes').exit(3);
  await runtime.ensure('ends');
  fleet.the('ends').exit(0);
  await rejectionOf(runtime.ensure('bad'));
  await Promise.all(['a', 'b', 'c'].map((key) => runtime.ensure(key)));
  await runtime.restart('c');
  await runtime.kill('c');
  await runtime.ensure('d');
  await runtime.dispose();

  expect(disagreements).toEqual([]);
  const expected = { crashed: 1, 'exited-clean': 1, 'readiness-timeout': 1, 'lru-evicted': 1 };
  expect(exits).toEqual({ ...noExits, ...expected, restarted: 1, killed: 1, disposed: 2 });
  expect(spawns).toBe(8);
  compare('at the end');
  expect(disagreements).toEqual([]);
});

test('idle stops are counted', async () => {
  await using bench = setUp({ idleAfterMs: 1, sweepIntervalMs: 1 });
  await bench.runtime.ensure('a');
  await bench.events.seen('exit', 'a');
  expect(bench.runtime.metrics().totalExits).toEqual({ ...noExits, 'idle-killed': 1 });
});

test('totalBackoffEntries counts failed starts, of whatever kind, and is not taken back', async () => {
  const readiness = manualReadiness();
  const thrown = new Error('no');
  await using bench = setUp({
    backoff: { baseMs: 0 },
    readiness: ({ key, ...rest }) => {
      if (key === 'denied') return Promise.resolve(false);
      if (key === 'throws') throw thrown;
      return readiness.readiness({ key, ...rest });
    },
    spawn: (args) => (args.key === 'no process' ? Promise.reject(thrown) : bench.fleet.spawn(args)),
  });
  const { runtime, fleet } = bench;
  const entries = () => runtime.metrics().totalBackoffEntries;

  let expected = 0;
  for (const key of ['denied', 'denied', 'throws', 'no process']) {
    await rejectionOf(runtime.ensure(key));
    expect([key, entries()]).toEqual([key, ++expected]);
  }
  const early = runtime.ensure('early');
  await bench.events.seen('spawn', 'early');
  fleet.the('early').exit(1);
  await rejectionOf(early);
  expect(entries()).toBe(5);

  runtime.clearBackoff('denied');
  expect(entries()).toBe(5);
  // Neither a kill nor a crash after ready is a failed start.
  const killed = runtime.ensure('killed');
  await bench.events.seen('spawn', 'killed');
  await runtime.kill('killed');
  await rejectionOf(killed);
  readiness.answer('crashes', true);
  await runtime.ensure('crashes');
  fleet.the('crashes').exit(1);
  await bench.events.seen('exit', 'crashes');
  expect(entries()).toBe(5);
});

test('a refused ensure is no new entry', async () => {
  await using bench = setUp({ readiness: async () => false });
  await rejectionOf(bench.runtime.ensure('a'));
  for (let n = 0; n < 3; n++) {
    expect((await rejectionOf(bench.runtime.ensure('a'))).code).toBe('ERR_RUNTIME_BACKOFF');
  }
  expect(bench.events.all('backoff').length).toBe(3);
  expect(bench.runtime.metrics().totalBackoffEntries).toBe(1);
});

test('lastSpawnMs is 0 until something was ready, then what the latest ready event says', async () => {
  const { readiness, answer, forget } = manualReadiness();
  const within: number[] = [];
  await using bench = setUp({
    readiness,
    onTransition(event) {
      bench.events.callbacks.onTransition(event);
      if (event.type === 'spawn' || event.type === 'ready')
        within.push(bench.runtime.metrics().lastSpawnMs);
    },
  });
  const first = bench.runtime.ensure('a');
  await bench.events.seen('spawn', 'a');
  await nextMillisecond();
  await nextMillisecond();
  answer('a', true);
  await first;
  const { durationMs } = await bench.events.seen('ready', 'a');
  expect(durationMs).toBeGreaterThanOrEqual(1);
  expect(within).toEqual([0, durationMs]);

  forget('a');
  answer('a', true);
  await bench.runtime.restart('a');
  expect(bench.runtime.metrics().lastSpawnMs).toBe(bench.events.all('ready', 'a')[1]!.durationMs);
  // An adopted process was not started by us.
  const before = bench.runtime.metrics();
  await bench.runtime.adopt('b', handedOver(), { port: 4000 });
  expect(bench.runtime.metrics()).toMatchObject({
    lastSpawnMs: before.lastSpawnMs,
    totalSpawns: before.totalSpawns,
    running: 2,
  });
});

test('uptimeMs runs until dispose has resolved, and then stands still; the counters survive', async () => {
  const bench = setUp({ readiness: async ({ key }) => key !== 'bad' });
  const { runtime } = bench;
  await runtime.ensure('a');
  await rejectionOf(runtime.ensure('bad'));
  const before = runtime.metrics();
  for (let n = 0; n < 3; n++) await nextMillisecond();
  expect(runtime.metrics().uptimeMs).toBeGreaterThan(before.uptimeMs);

  bench.fleet.the('a').onKill = ignoresKill;
  const disposed = runtime.dispose();
  await aFewTurns();
  const disposing = runtime.metrics();
  for (let n = 0; n < 3; n++) await nextMillisecond();
  expect(runtime.metrics().uptimeMs).toBeGreaterThan(disposing.uptimeMs);
  bench.fleet.the('a').exit(0);
  await disposed;

  const after = runtime.metrics();
  for (let n = 0; n < 3; n++) await nextMillisecond();
  expect(runtime.metrics()).toStrictEqual(after);
  expect(counted(after)).toStrictEqual({
    ...atFirst,
    backoff: 1,
    totalSpawns: 2,
    totalExits: { ...noExits, 'readiness-timeout': 1, disposed: 1 },
    totalBackoffEntries: 1,
    lastSpawnMs: expect.any(Number),
  });
});

test('a runtime that never started anything can be disposed and read', async () => {
  const { runtime } = setUp();
  await runtime.dispose();
  const metrics = runtime.metrics();
  expect(counted(metrics)).toStrictEqual(atFirst);
  await nextMillisecond();
  await nextMillisecond();
  expect(runtime.metrics().uptimeMs).toBe(metrics.uptimeMs);
});

import { expect, test } from 'bun:test';
import type { ExitReason } from '@absolutejs/runtime';
import { setUp, type Bench } from '../support/surface/bench.ts';
import { aFewTurns, nextMillisecond, rejectionOf } from '../support/surface/wait.ts';

/** Keys in the order in which they are documented. */
const keysOf = (events: object[]): string[] => events.map((event) => Object.keys(event).join(' '));

for (const resourceId of [undefined, 'container-1']) {
  const tail = resourceId === undefined ? '' : ' resourceId';
  test(`events ${resourceId ? 'with' : 'without'} a resourceId have exactly the documented keys`, async () => {
    await using bench = setUp();
    bench.fleet.prepare = (process) => void (resourceId && (process.resourceId = resourceId));
    const { pid, port } = await bench.runtime.ensure('a');
    await bench.runtime.kill('a');

    const { transitions, metrics } = bench.events;
    const { durationMs } = bench.events.all('ready')[0]!;
    const last = resourceId === undefined ? {} : { resourceId };
    expect(transitions).toStrictEqual([
      { type: 'spawn', key: 'a', pid, port, ...last },
      { type: 'ready', key: 'a', pid, port, durationMs, ...last },
      { type: 'exit', key: 'a', pid, exitCode: null, reason: 'killed', ...last },
    ]);
    expect(metrics).toStrictEqual([{ type: 'spawn', key: 'a', pid, port, durationMs, ...last }]);
    expect(keysOf(transitions)).toEqual([
      `type key pid port${tail}`,
      `type key pid port durationMs${tail}`,
      `type key pid exitCode reason${tail}`,
    ]);
  });
}

test('idle-kill, lru-evict, backoff and drain have exactly the documented keys, also with a resourceId', async () => {
  await using bench = setUp({ maxConcurrent: 1, readiness: async ({ key }) => key !== 'bad' });
  bench.fleet.prepare = (process) => void (process.resourceId = 'container-1');
  await bench.runtime.ensure('a');
  await rejectionOf(bench.runtime.ensure('bad'));
  await rejectionOf(bench.runtime.ensure('bad'));
  bench.runtime.drain();
  await using idle = setUp({ idleAfterMs: 5, sweepIntervalMs: 1 });
  idle.fleet.prepare = (process) => void (process.resourceId = 'container-1');
  await idle.runtime.ensure('a');
  await idle.events.seen('idle-kill', 'a');

  const drain = await bench.events.seen('drain');
  const events = [bench.events.all('lru-evict')[0]!, bench.events.all('backoff')[0]!, drain];
  expect(keysOf([...events, idle.events.all('idle-kill')[0]!])).toEqual([
    'type key pid reason',
    'type key attempt retryAfterMs',
    'type reason',
    'type key pid reason idleMs',
  ]);
});

test('per key: spawn, the metric, ready, exit, and only then the next spawn', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  await bench.runtime.restart('a');
  await bench.runtime.kill('a');
  const start = ['spawn a', 'metric spawn a', 'ready a'];
  expect(bench.events.story).toEqual([...start, 'exit a', ...start, 'exit a']);
});

test('durationMs is from spawn to ready, in whole milliseconds', async () => {
  const readyAfterMs = 40;
  await using bench = setUp({
    readiness: async ({ startedAt }) => {
      while (Date.now() < startedAt + readyAfterMs) await nextMillisecond();
      return true;
    },
  });
  await bench.runtime.ensure('a');
  const { durationMs } = bench.events.all('ready')[0]!;
  expect(Number.isInteger(durationMs)).toBeTrue();
  // Two clocks in whole milliseconds.
  expect(durationMs).toBeGreaterThanOrEqual(readyAfterMs - 1);
  expect(bench.events.metrics[0]).toMatchObject({ type: 'spawn', durationMs });
});

const endings: [ExitReason, number | null, (bench: Bench) => unknown][] = [
  ['crashed', 1, ({ fleet }) => fleet.the('a').exit(1)],
  ['crashed', -1, ({ fleet }) => fleet.the('a').exit(-1)],
  ['crashed', null, ({ fleet }) => fleet.the('a').exit(null)],
  ['exited-clean', 0, ({ fleet }) => fleet.the('a').exit(0)],
  ['killed', null, ({ runtime }) => runtime.kill('a')],
  ['restarted', null, ({ runtime }) => runtime.restart('a')],
  ['disposed', null, ({ runtime }) => runtime.dispose()],
  ['lru-evicted', null, ({ runtime }) => runtime.ensure('b')],
];
test.each(endings)('the exit reason %s with exit code %p', async (reason, exitCode, end) => {
  await using bench = setUp({ maxConcurrent: 1 });
  const { pid } = await bench.runtime.ensure('a');
  await end(bench);
  const exit = await bench.events.seen('exit', 'a');
  expect(exit).toEqual({ type: 'exit', key: 'a', pid, exitCode, reason });
});

test('the exit reason idle-killed', async () => {
  await using bench = setUp({ idleAfterMs: 5, sweepIntervalMs: 1 });
  await bench.runtime.ensure('a');
  expect((await bench.events.seen('exit', 'a')).reason).toBe('idle-killed');
});

test('the exit reason readiness-timeout: whatever way readiness fails', async () => {
  const ways = {
    no: async () => false,
    rejects: () => Promise.reject(new Error('no')),
    throws: () => {
      throw new Error('no');
    },
  };
  for (const readiness of Object.values(ways)) {
    await using bench = setUp({ readiness });
    await rejectionOf(bench.runtime.ensure('a'));
    expect(bench.events.story).toEqual(['spawn a', 'exit a']);
    expect(bench.events.all('exit')[0]!.reason).toBe('readiness-timeout');
    expect(bench.fleet.the('a').kills).toEqual([undefined]);
  }
});

test('a process that ends by itself before it is ready has the reason of its exit code', async () => {
  for (const [code, reason] of [
    [0, 'exited-clean'],
    [1, 'crashed'],
    [null, 'crashed'],
  ] as const) {
    await using bench = setUp({ readiness: () => new Promise(() => {}) });
    const pending = bench.runtime.ensure('a');
    await bench.events.seen('spawn', 'a');
    bench.fleet.the('a').exit(code);
    await rejectionOf(pending);
    expect(bench.events.all('exit')).toMatchObject([{ exitCode: code, reason }]);
  }
});

test('one exit for each spawn, whatever comes together', async () => {
  await using bench = setUp({ maxConcurrent: 3, idleAfterMs: 20, sweepIntervalMs: 1 });
  const { runtime, fleet } = bench;
  const keys = ['a', 'b', 'c', 'd', 'e'];
  for (let round = 0; round < 40; round++) {
    const key = keys[round % keys.length]!;
    const calls = [
      runtime.ensure(key),
      runtime.restart(keys[(round * 3) % keys.length]!),
      runtime.kill(key),
    ];
    if (round % 4 === 0) fleet.processes.at(-1)?.exit(1);
    await Promise.allSettled(calls);
  }
  await runtime.dispose();
  const spawned = bench.events.all('spawn').map(({ pid }) => pid);
  const ended = bench.events.all('exit').map(({ pid }) => pid);
  expect(ended.toSorted()).toEqual(spawned.toSorted());
  expect(new Set(ended).size).toBe(ended.length);
  for (const key of keys) {
    const types = bench.events.transitions.filter((event) => 'key' in event && event.key === key);
    const lives = types
      .map(({ type }) => type)
      .filter((type) => type === 'spawn' || type === 'exit');
    expect(lives).toEqual(lives.map((_, index) => (index % 2 === 0 ? 'spawn' : 'exit')));
  }
});

test('events are delivered before the promise that they lead to settles', async () => {
  await using bench = setUp({ maxConcurrent: 1 });
  const { runtime, events } = bench;
  const seenAt = async (promise: Promise<unknown>): Promise<string[]> => {
    await promise.catch(() => {});
    return events.story.splice(0);
  };
  expect(await seenAt(runtime.ensure('a'))).toEqual(['spawn a', 'metric spawn a', 'ready a']);
  expect(await seenAt(runtime.ensure('b'))).toEqual([
    ...['lru-evict a', 'exit a'],
    ...['spawn b', 'metric spawn b', 'ready b'],
  ]);
  expect(await seenAt(runtime.kill('b'))).toEqual(['exit b']);
  await runtime.ensure('c');
  events.story.length = 0;
  expect(await seenAt(runtime.dispose())).toEqual(['exit c']);
});

test('a rejected ensure comes after the exit, and after the backoff event', async () => {
  await using bench = setUp({ readiness: async () => false });
  await rejectionOf(bench.runtime.ensure('a'));
  expect(bench.events.story.splice(0)).toEqual(['spawn a', 'exit a']);
  await rejectionOf(bench.runtime.ensure('a'));
  expect(bench.events.story).toEqual(['backoff a']);
});

test('a spawn that fails emits nothing', async () => {
  await using bench = setUp({ spawn: () => Promise.reject(new Error('no')) });
  await rejectionOf(bench.runtime.ensure('a'));
  await aFewTurns();
  expect(bench.events.story).toEqual([]);
});

test('no callback at all is fine', async () => {
  await using bench = setUp({ onTransition: undefined, onMetrics: undefined, onLog: undefined });
  await bench.runtime.ensure('a');
  bench.fleet.the('a').log('hello');
  await bench.runtime.kill('a');
  expect(bench.runtime.stats().total).toBe(0);
});

test('observations of a process of the user’s own carry exactly the documented keys', async () => {
  await using bench = setUp({ observeIntervalMs: 5 });
  bench.fleet.prepare = (fake) => void Object.defineProperty(fake, 'pid', { value: process.pid });
  await bench.runtime.ensure('a');
  const observations = () => bench.events.metrics.filter((event) => event.type === 'observation');
  await bench.events.until('two observations', () => observations().length >= 2);
  const [first, second] = observations();
  expect(Object.keys(first!)).toEqual(['type', 'key', 'pid', 'cpuMs', 'rssBytes', 'at']);
  expect([first!.key, first!.pid]).toEqual(['a', process.pid]);
  expect(first!.rssBytes).toBeGreaterThan(1_000_000);
  expect(second!.cpuMs).toBeGreaterThanOrEqual(first!.cpuMs);
  expect(second!.at).toBeGreaterThanOrEqual(first!.at);
});

test.each([0, -1])('observeIntervalMs %p: no observations', async (observeIntervalMs) => {
  await using bench = setUp({ observeIntervalMs });
  bench.fleet.prepare = (fake) => void Object.defineProperty(fake, 'pid', { value: process.pid });
  await bench.runtime.ensure('a');
  await Bun.sleep(30);
  await bench.runtime.kill('a');
  expect(bench.events.metrics.map(({ type }) => type)).toEqual(['spawn']);
});

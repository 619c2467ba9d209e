import { expect, test } from 'bun:test';
import { RuntimeExitedBeforeReadyError } from '@absolutejs/runtime';
import { manualReadiness, setUp } from '../support/surface/bench.ts';
import { ignoresKill } from '../support/surface/fleet.ts';
import {
  aFewTurns,
  isPending,
  nextMillisecond,
  rejectionOf,
  within,
} from '../support/surface/wait.ts';

test('the least recently touched tenant is evicted, and lru-evict comes before its exit', async () => {
  await using bench = setUp({ maxConcurrent: 2 });
  await bench.runtime.ensure('a');
  await nextMillisecond();
  await bench.runtime.ensure('b');
  await bench.tenuresEnd();
  await bench.runtime.ensure('c');
  const { pid } = bench.fleet.the('a');
  expect(bench.events.transitions.slice(4)).toEqual([
    { type: 'lru-evict', key: 'a', pid, reason: 'max-concurrent' },
    { type: 'exit', key: 'a', pid, exitCode: null, reason: 'lru-evicted' },
    { type: 'spawn', key: 'c', pid: expect.any(Number), port: expect.any(Number) },
    expect.objectContaining({ type: 'ready', key: 'c' }),
  ]);
  expect(bench.runtime.stats()).toEqual({ running: 2, total: 2, draining: false, backoff: 0 });
});

test('touch and ensure keep a tenant from being the victim', async () => {
  await using bench = setUp({ maxConcurrent: 3 });
  for (const key of ['a', 'b', 'c']) await bench.runtime.ensure(key);
  await nextMillisecond();
  bench.runtime.touch('a');
  await nextMillisecond();
  await bench.runtime.ensure('b');
  await bench.tenuresEnd();
  await bench.runtime.ensure('d');
  await bench.runtime.ensure('e');
  expect(bench.events.all('lru-evict').map(({ key }) => key)).toEqual(['c', 'a']);
});

test('touches within the same millisecond keep their order', async () => {
  await using bench = setUp({ maxConcurrent: 4 });
  const tenants = await Promise.all(['a', 'b', 'c', 'd'].map((key) => bench.runtime.ensure(key)));
  const areSame = (): boolean =>
    new Set(tenants.map(({ lastTouchedAt }) => lastTouchedAt)).size === 1;
  await nextMillisecond();
  do {
    for (const key of ['c', 'a', 'd', 'b']) bench.runtime.touch(key);
  } while (!areSame());
  await bench.tenuresEnd();
  for (const key of ['e', 'f', 'g', 'h']) await bench.runtime.ensure(key);
  expect(bench.events.all('lru-evict').map(({ key }) => key)).toEqual(['c', 'a', 'd', 'b']);
});

test('a tenant that becomes ready in the millisecond of a touch counts as the later one', async () => {
  // Repeated until both happen to fall into one millisecond.
  for (let tries = 0; tries < 200; tries++) {
    const { readiness, answer } = manualReadiness();
    answer('touched', true);
    answer('third', true);
    await using bench = setUp({ maxConcurrent: 2, readiness });
    const touched = await bench.runtime.ensure('touched');
    const pending = bench.runtime.ensure('fresh');
    await bench.events.seen('spawn', 'fresh');
    await nextMillisecond();
    bench.runtime.touch('touched');
    answer('fresh', true);
    const fresh = await pending;
    if (fresh.lastTouchedAt !== touched.lastTouchedAt) continue;
    await bench.tenuresEnd();
    await bench.runtime.ensure('third');
    expect(bench.events.all('lru-evict').map(({ key }) => key)).toEqual(['touched']);
    return;
  }
  throw new Error('never happened within one millisecond');
});

test('a waiting key gets the room of a tenant that has been ready for as long as its start took', async () => {
  const { readiness, answer } = manualReadiness();
  answer('b', true);
  await using bench = setUp({ maxConcurrent: 1, readiness });
  const first = bench.runtime.ensure('a');
  const second = bench.runtime.ensure('b');
  await bench.events.seen('spawn', 'a');
  // Longer than the few turns that follow take.
  await Bun.sleep(500);
  answer('a', true);
  await first;
  await aFewTurns();
  expect(bench.events.all('lru-evict')).toEqual([]);
  expect(bench.fleet.the('a').kills).toEqual([]);
  expect((await second).key).toBe('b');
  expect(bench.events.all('lru-evict').map(({ key }) => key)).toEqual(['a']);
});

test('the newcomer waits until its victim has really ended', async () => {
  await using bench = setUp({ maxConcurrent: 1 });
  await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = ignoresKill;
  const pending = bench.runtime.ensure('b');
  await bench.events.seen('lru-evict', 'a');
  expect(await isPending(pending)).toBeTrue();
  expect(bench.fleet.of('b')).toHaveLength(0);
  expect(bench.runtime.stats()).toEqual({ running: 1, total: 1, draining: false, backoff: 0 });
  bench.fleet.the('a').exit(0);
  await pending;
  const order = bench.events.transitions.map(({ type }) => type);
  expect(order).toEqual(['spawn', 'ready', 'lru-evict', 'exit', 'spawn', 'ready']);
});

test('tenants that are being started take room, and are not evicted', async () => {
  const { readiness, answer } = manualReadiness();
  answer('b', true);
  await using bench = setUp({ maxConcurrent: 1, readiness });
  const first = bench.runtime.ensure('a');
  await bench.events.seen('spawn', 'a');
  const second = bench.runtime.ensure('b');
  expect(await isPending(second)).toBeTrue();
  expect(bench.fleet.of('b')).toHaveLength(0);
  expect(bench.fleet.the('a').kills).toEqual([]);
  answer('a', true);
  await first;
  expect((await second).key).toBe('b');
  expect(bench.events.all('lru-evict').map(({ key }) => key)).toEqual(['a']);
});

test('a start that fails leaves its room to the next in the queue', async () => {
  const { readiness, answer } = manualReadiness();
  answer('b', true);
  await using bench = setUp({ maxConcurrent: 1, readiness });
  const first = bench.runtime.ensure('a');
  const second = bench.runtime.ensure('b');
  await bench.events.seen('spawn', 'a');
  answer('a', false);
  await rejectionOf(first);
  expect((await second).key).toBe('b');
  expect(bench.events.all('lru-evict')).toEqual([]);
});

test('the queue is first come, first served', async () => {
  const { readiness, answer } = manualReadiness();
  await using bench = setUp({ maxConcurrent: 1, readiness });
  const keys = ['a', 'b', 'c', 'd', 'e'];
  const pending = keys.map((key) => bench.runtime.ensure(key));
  for (const key of keys) {
    await bench.fleet.called(key);
    answer(key, true);
  }
  await within('all of them', Promise.all(pending));
  expect(bench.fleet.processes.map(({ key }) => key)).toEqual(keys);
});

test('each victim is asked once, and as many leave as come', async () => {
  await using bench = setUp({ maxConcurrent: 4 });
  for (const key of ['a', 'b', 'c', 'd']) {
    await bench.runtime.ensure(key);
    bench.fleet.the(key).onKill = ignoresKill;
    await nextMillisecond();
  }
  await bench.tenuresEnd();
  const pending = ['e', 'f', 'g'].map((key) => bench.runtime.ensure(key));
  await bench.events.seen('lru-evict', undefined, 3);
  expect(await isPending(Promise.race(pending))).toBeTrue();
  expect(bench.events.all('lru-evict').map(({ key }) => key)).toEqual(['a', 'b', 'c']);
  for (const key of ['a', 'b', 'c']) {
    expect(bench.fleet.the(key).kills).toEqual([undefined]);
    bench.fleet.the(key).exit(0);
  }
  await Promise.all(pending);
  expect(bench.fleet.the('d').kills).toEqual([]);
  expect(bench.runtime.stats().running).toBe(4);
});

test('a tenant that ends by itself while others are being evicted spares one of them', async () => {
  await using bench = setUp({ maxConcurrent: 2 });
  for (const key of ['a', 'b']) await bench.runtime.ensure(key);
  await bench.tenuresEnd();
  bench.fleet.the('a').onKill = ignoresKill;
  const pending = bench.runtime.ensure('c');
  await bench.events.seen('lru-evict', 'a');
  bench.fleet.the('b').exit(0);
  expect((await pending).key).toBe('c');
  expect(bench.fleet.the('b').kills).toEqual([]);
});

test('a refused eviction is not taken as room: the next one is asked', async () => {
  await using bench = setUp({ maxConcurrent: 2 });
  for (const key of ['a', 'b']) {
    await bench.runtime.ensure(key);
    await nextMillisecond();
  }
  await bench.tenuresEnd();
  bench.fleet.the('a').onKill = () => Promise.reject(new Error('a stays'));
  expect((await bench.runtime.ensure('c')).key).toBe('c');
  expect(bench.events.all('lru-evict').map(({ key }) => key)).toEqual(['a', 'b']);
  expect(bench.events.all('exit').map(({ key }) => key)).toEqual(['b']);
  expect(bench.runtime.stats()).toEqual({ running: 2, total: 2, draining: false, backoff: 0 });
});

test('when no tenant can be evicted, ensure rejects with the last refusal', async () => {
  const refusal = new Error('a stays');
  await using bench = setUp({ maxConcurrent: 1 });
  const tenant = await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = () => Promise.reject(refusal);
  expect(await rejectionOf(bench.runtime.ensure('b'))).toBe(refusal);
  expect(bench.fleet.of('b')).toHaveLength(0);
  expect(bench.fleet.the('a').kills).toEqual([undefined]);
  expect(await bench.runtime.ensure('a')).toBe(tenant);
  expect(bench.runtime.stats()).toEqual({ running: 1, total: 1, draining: false, backoff: 0 });
});

test('one that refused is asked again for the next newcomer', async () => {
  await using bench = setUp({ maxConcurrent: 1 });
  await bench.runtime.ensure('a');
  const process = bench.fleet.the('a');
  process.onKill = () => Promise.reject(new Error('not yet'));
  await rejectionOf(bench.runtime.ensure('b'));
  process.onKill = () => process.exit(0);
  expect((await bench.runtime.ensure('b')).key).toBe('b');
  expect(process.kills).toEqual([undefined, undefined]);
});

test('a hanging eviction that is given up is a refusal too', async () => {
  await using bench = setUp({ maxConcurrent: 1, stopTimeoutMs: 20 });
  await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = ignoresKill;
  const error = await rejectionOf(bench.runtime.ensure('b'));
  expect(error.code).toBe('ERR_RUNTIME_STOP_TIMEOUT');
  expect(bench.fleet.the('a').kills).toEqual([undefined, 'SIGKILL']);
  expect(bench.fleet.of('b')).toHaveLength(0);
});

test('a running key needs no room', async () => {
  await using bench = setUp({ maxConcurrent: 1 });
  const tenant = await bench.runtime.ensure('a');
  expect(await bench.runtime.ensure('a')).toBe(tenant);
  expect((await bench.runtime.restart('a')).key).toBe('a');
  expect(bench.events.all('lru-evict')).toEqual([]);
});

test('a restart in a full pool evicts no tenant', async () => {
  await using bench = setUp({ maxConcurrent: 2 });
  for (const key of ['a', 'b']) await bench.runtime.ensure(key);
  await bench.runtime.restart('b');
  expect(bench.events.all('lru-evict')).toEqual([]);
  expect(bench.runtime.stats().running).toBe(2);
});

test('a key that is still waiting for room can be killed: nothing was started, its callers are told', async () => {
  await using bench = setUp({ maxConcurrent: 1 });
  await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = ignoresKill;
  const pending = bench.runtime.ensure('b');
  await bench.events.seen('lru-evict', 'a');
  await bench.runtime.kill('b');
  const error = await rejectionOf(pending);
  expect(error).toBeInstanceOf(RuntimeExitedBeforeReadyError);
  expect(error).toMatchObject({ key: 'b', exitCode: null, code: 'ERR_RUNTIME_EXITED_EARLY' });
  expect(error.message).toBe(
    'Runtime process for "b" exited with no exit code before it was ready: it was stopped before it was started',
  );
  bench.fleet.the('a').exit(0);
  await bench.events.seen('exit', 'a');
  expect(bench.fleet.of('b')).toHaveLength(0);
  expect(bench.events.transitions.filter((event) => 'key' in event && event.key === 'b')).toEqual(
    [],
  );
});

test('the evicted key can be asked for again, and waits for its turn', async () => {
  await using bench = setUp({ maxConcurrent: 1 });
  const first = await bench.runtime.ensure('a');
  await bench.tenuresEnd();
  const [b, a] = await Promise.all([bench.runtime.ensure('b'), bench.runtime.ensure('a')]);
  expect([b.key, a.key]).toEqual(['b', 'a']);
  expect(a).not.toBe(first);
  expect(bench.fleet.processes.map(({ key }) => key)).toEqual(['a', 'b', 'a']);
});

test('never more than maxConcurrent live at once', async () => {
  await using bench = setUp({ maxConcurrent: 3 });
  let alive = 0;
  let most = 0;
  bench.fleet.prepare = (process) => {
    most = Math.max(most, ++alive);
    void process.exited.then(() => alive--);
  };
  const keys = Array.from({ length: 30 }, (_, index) => `t${index}`);
  await within('all of them', Promise.all(keys.map((key) => bench.runtime.ensure(key))));
  expect(most).toBe(3);
  expect(bench.runtime.stats()).toEqual({ running: 3, total: 3, draining: false, backoff: 0 });
});

test('a start that never becomes ready does not block the others, whatever spawnConcurrency is', async () => {
  const { readiness, answer } = manualReadiness();
  await using bench = setUp({ spawnConcurrency: 1, readiness });
  const stuck = rejectionOf(bench.runtime.ensure('stuck'));
  answer('b', true);
  expect((await bench.runtime.ensure('b')).key).toBe('b');
  expect(bench.runtime.inspect('stuck')!.state).toBe('spawning');
  answer('stuck', false);
  await stuck;
});

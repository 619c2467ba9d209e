import { expect, test } from 'bun:test';
import { manualReadiness, setUp } from '../support/surface/bench.ts';
import { ignoresKill } from '../support/surface/fleet.ts';
import { rejectionOf } from '../support/surface/wait.ts';

const empty = { running: 0, total: 0, draining: false, backoff: 0 };

test('stats has exactly four fields, in order, and is a new object each time', async () => {
  await using bench = setUp();
  const stats = bench.runtime.stats();
  expect(stats).toStrictEqual(empty);
  expect(Object.keys(stats)).toEqual(['running', 'total', 'draining', 'backoff']);
  Object.assign(stats, { running: 7 });
  expect(bench.runtime.stats()).toStrictEqual(empty);
});

test('a tenant counts in total from ensure on, in running from ready on, until its exit', async () => {
  const { readiness, answer } = manualReadiness();
  await using bench = setUp({ readiness });
  const { ensure, stats, kill } = bench.runtime;

  const pending = ensure('a');
  expect(stats()).toStrictEqual({ ...empty, total: 1 });
  await bench.events.seen('spawn', 'a');
  expect(stats()).toStrictEqual({ ...empty, total: 1 });
  answer('a', true);
  await pending;
  expect(stats()).toStrictEqual({ ...empty, running: 1, total: 1 });

  bench.fleet.the('a').onKill = ignoresKill;
  const killed = kill('a');
  expect(stats()).toStrictEqual({ ...empty, running: 1, total: 1 });
  bench.fleet.the('a').exit(0);
  await killed;
  expect(stats()).toStrictEqual(empty);
});

test('several callers of one key count once', async () => {
  await using bench = setUp();
  const pending = [bench.runtime.ensure('a'), bench.runtime.ensure('a'), bench.runtime.ensure('b')];
  expect(bench.runtime.stats().total).toBe(2);
  await Promise.all(pending);
  expect(bench.runtime.stats()).toStrictEqual({ ...empty, running: 2, total: 2 });
});

test('a tenant that was ready no longer counts when its exit event is delivered', async () => {
  await using bench = setUp({
    onTransition: (event) => void (event.type === 'exit' && seen.push(bench.runtime.stats())),
  });
  const seen: unknown[] = [];
  await bench.runtime.ensure('a');
  await bench.runtime.kill('a');
  expect(seen).toEqual([empty]);
});

test('during a restart the tenant goes on counting', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  const restarted = bench.runtime.restart('a');
  expect(bench.runtime.stats()).toStrictEqual({ ...empty, running: 1, total: 1 });
  await restarted;
  expect(bench.runtime.stats()).toStrictEqual({ ...empty, running: 1, total: 1 });
});

test('a tenant that is stopped before it became ready counts in total only', async () => {
  const { readiness } = manualReadiness();
  await using bench = setUp({ readiness });
  const pending = bench.runtime.ensure('a');
  await bench.events.seen('spawn', 'a');
  bench.fleet.the('a').onKill = ignoresKill;
  const killed = bench.runtime.kill('a');
  expect(bench.runtime.stats()).toStrictEqual({ ...empty, total: 1 });
  bench.fleet.the('a').exit(0);
  await killed;
  await rejectionOf(pending);
  expect(bench.runtime.stats()).toStrictEqual(empty);
});

test('a tenant whose kill fails goes on counting', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = () => Promise.reject(new Error('no'));
  await rejectionOf(bench.runtime.kill('a'));
  expect(bench.runtime.stats()).toStrictEqual({ ...empty, running: 1, total: 1 });
});

test('draining is true from drain on, in the same tick', async () => {
  await using bench = setUp();
  bench.runtime.drain();
  expect(bench.runtime.stats()).toStrictEqual({ ...empty, draining: true });
  bench.runtime.drain();
  expect(bench.runtime.stats()).toStrictEqual({ ...empty, draining: true });
});

test('backoff counts the keys that ensure would refuse, and clearBackoff takes one away at once', async () => {
  await using bench = setUp({ readiness: async ({ key }) => !key.startsWith('bad') });
  for (const key of ['bad-1', 'bad-2', 'good']) await bench.runtime.ensure(key).catch(() => {});
  expect(bench.runtime.stats()).toStrictEqual({ ...empty, running: 1, total: 1, backoff: 2 });
  bench.runtime.clearBackoff('bad-1');
  bench.runtime.clearBackoff('unknown');
  expect(bench.runtime.stats().backoff).toBe(1);
});

test('a key no longer counts in backoff when its window is over', async () => {
  await using bench = setUp({ readiness: async () => false, backoff: { baseMs: 1 } });
  const error = await rejectionOf(bench.runtime.ensure('a'));
  expect(error.code).toBe('ERR_RUNTIME_READINESS_TIMEOUT');
  while (bench.runtime.stats().backoff > 0) await Bun.sleep(1);
  expect(bench.runtime.stats()).toStrictEqual(empty);
});

test('a key past maxFailures counts in backoff although its window is over', async () => {
  await using bench = setUp({
    readiness: async () => false,
    backoff: { baseMs: 0, maxFailures: 1 },
  });
  await rejectionOf(bench.runtime.ensure('a'));
  await Bun.sleep(2);
  expect(bench.runtime.stats()).toStrictEqual({ ...empty, backoff: 1 });
});

test('a key that is being started in spite of its back-off does not count in it', async () => {
  const failing = manualReadiness();
  let isFirst = true;
  await using bench = setUp({
    readiness: (args) => {
      if (!isFirst) return failing.readiness(args);
      isFirst = false;
      return Promise.resolve(false);
    },
  });
  await rejectionOf(bench.runtime.ensure('a'));
  expect(bench.runtime.stats().backoff).toBe(1);
  const restarted = bench.runtime.restart('a');
  expect(bench.runtime.stats()).toStrictEqual({ ...empty, total: 1 });
  failing.answer('a', true);
  await restarted;
  expect(bench.runtime.stats()).toStrictEqual({ ...empty, running: 1, total: 1 });
});

test('after dispose the figures can still be read', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  await bench.runtime.dispose();
  expect(bench.runtime.stats()).toStrictEqual(empty);
});

test('counts of checkpoints are in metrics, not in stats', async () => {
  await using bench = setUp();
  const stats = bench.runtime.stats();
  expect(Reflect.ownKeys(stats)).toEqual(['running', 'total', 'draining', 'backoff']);
  expect(Object.getPrototypeOf(stats)).toBe(Object.prototype);
});

test('with a snapshot driver they can be read in stats, too, and are no key of it', async () => {
  const driver = { checkpoint: async () => false, restore: async () => null };
  await using bench = setUp({
    checkpoint: { driver: { ...driver, has: async () => false, drop: async () => {} } },
  });
  await bench.runtime.ensure('a');
  const stats = bench.runtime.stats();
  expect((stats as any).checkpoints).toEqual(bench.runtime.metrics().checkpoints);
  expect(Object.keys(stats)).toEqual(['running', 'total', 'draining', 'backoff']);
  for (const copy of [{ ...stats }, structuredClone(stats), JSON.parse(JSON.stringify(stats))]) {
    expect(copy).not.toHaveProperty('checkpoints');
  }
  expect(stats).toStrictEqual({ ...empty, running: 1, total: 1 });
});

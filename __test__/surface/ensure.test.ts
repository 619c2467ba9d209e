import { expect, test } from 'bun:test';
import { RuntimeExitedBeforeReadyError } from '@absolutejs/runtime';
import { manualReadiness, setUp } from '../support/surface/bench.ts';
import { ignoresKill } from '../support/surface/fleet.ts';
import { isPending, rejectionOf } from '../support/surface/wait.ts';

test('spawn and readiness are called once for any number of callers', async () => {
  const { readiness, answer, calls } = manualReadiness();
  await using bench = setUp({ readiness });
  const early = [bench.runtime.ensure('a'), bench.runtime.ensure('a')];
  await bench.events.seen('spawn', 'a');
  const late = bench.runtime.ensure('a');
  expect(await isPending(late)).toBeTrue();
  answer('a', true);
  const tenants = await Promise.all([...early, late]);
  expect(new Set(tenants).size).toBe(1);
  expect(bench.fleet.processes).toHaveLength(1);
  expect(calls).toHaveLength(1);
});

test('a running tenant is reused without an event', async () => {
  await using bench = setUp();
  const tenant = await bench.runtime.ensure('a');
  const before = [...bench.events.story];
  expect(await bench.runtime.ensure('a')).toBe(tenant);
  expect(bench.fleet.processes).toHaveLength(1);
  expect(bench.events.story).toEqual(before);
});

test('spawn is not called before ensure has returned', async () => {
  await using bench = setUp();
  const pending = bench.runtime.ensure('a');
  expect(bench.fleet.processes).toHaveLength(0);
  await pending;
});

test('spawn gets exactly its documented arguments', async () => {
  await using bench = setUp({ env: { GREETING: 'hello', PORT: '1', NODE_ENV: 'test' } });
  const tenant = await bench.runtime.ensure('org/app');
  const { args } = bench.fleet.the('org/app');
  expect(Object.keys(args).sort()).toEqual(['cwd', 'env', 'key', 'onLogLine']);
  expect(args.key).toBe('org/app');
  expect(args.cwd).toEndWith('/tenants/org/app');
  expect(args.onLogLine).toBeFunction();
  expect(args.env).toEqual({
    GREETING: 'hello',
    NODE_ENV: 'production',
    PORT: String(tenant.port),
  });
});

test('readiness gets exactly its documented arguments', async () => {
  const { readiness, answer, calls } = manualReadiness();
  answer('a', true);
  await using bench = setUp({ readiness });
  const { key, port, startedAt } = await bench.runtime.ensure('a');
  expect(calls).toStrictEqual([{ key, port, startedAt }]);
});

test('after a crash the key is spawned again', async () => {
  await using bench = setUp();
  const first = await bench.runtime.ensure('a');
  bench.fleet.the('a').exit(1);
  await bench.events.seen('exit', 'a');
  const second = await bench.runtime.ensure('a');
  expect(second).not.toBe(first);
  expect(second.pid).not.toBe(first.pid);
  expect(bench.runtime.stats()).toEqual({ running: 1, total: 1, draining: false, backoff: 0 });
});

test('while the key is being stopped ensure waits for its exit, then spawns', async () => {
  await using bench = setUp();
  const first = await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = ignoresKill;
  const killed = bench.runtime.kill('a');
  const next = bench.runtime.ensure('a');
  expect(await isPending(next)).toBeTrue();
  expect(bench.fleet.of('a')).toHaveLength(1);

  bench.fleet.the('a').exit(0);
  await killed;
  const second = await next;
  expect(second.pid).not.toBe(first.pid);
  const types = bench.events.transitions.map(({ type }) => type);
  expect(types).toEqual(['spawn', 'ready', 'exit', 'spawn', 'ready']);
});

test('callers that come while the key is being stopped share the next process', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  const killed = bench.runtime.kill('a');
  const [one, other] = await Promise.all([bench.runtime.ensure('a'), bench.runtime.ensure('a')]);
  await killed;
  expect(one).toBe(other);
  expect(bench.fleet.of('a')).toHaveLength(2);
});

test('all callers of a failed start get the same error object', async () => {
  const failure = new Error('not today');
  const { readiness, fail } = manualReadiness();
  await using bench = setUp({ readiness });
  const pending = [bench.runtime.ensure('a'), bench.runtime.ensure('a')];
  await bench.events.seen('spawn', 'a');
  pending.push(bench.runtime.ensure('a'));
  fail('a', failure);
  for (const promise of pending) expect(await rejectionOf(promise)).toBe(failure);
});

test('a caller that comes while the process of a failed start is stopped gets that failure, and no second spawn', async () => {
  const failure = new Error('not today');
  const { readiness, fail } = manualReadiness();
  await using bench = setUp({ readiness });
  const first = bench.runtime.ensure('a');
  const process = await bench.fleet.called('a');
  process.onKill = ignoresKill;
  fail('a', failure);
  await bench.events.seen('spawn', 'a');
  while (process.kills.length === 0) expect(await isPending(first)).toBeTrue();
  const second = bench.runtime.ensure('a');
  process.exit(0);
  expect(await rejectionOf(first)).toBe(failure);
  expect((await rejectionOf(second)).message).toContain('not today');
  expect(bench.fleet.processes).toHaveLength(1);
});

test('different keys do not wait for each other', async () => {
  const { readiness, answer } = manualReadiness();
  answer('quick', true);
  await using bench = setUp({ readiness });
  const slow = bench.runtime.ensure('slow');
  expect((await bench.runtime.ensure('quick')).key).toBe('quick');
  expect(await isPending(slow)).toBeTrue();
  answer('slow', true);
  await slow;
});

test('a process that ends before it is ready rejects with RuntimeExitedBeforeReadyError', async () => {
  const { readiness } = manualReadiness();
  await using bench = setUp({ readiness });
  const pending = bench.runtime.ensure('a');
  await bench.events.seen('spawn', 'a');
  bench.fleet.the('a').exit(3);
  const error = await rejectionOf(pending);
  expect(error).toBeInstanceOf(RuntimeExitedBeforeReadyError);
  expect(error.message).toBe('Runtime process for "a" exited with code 3 before it was ready');
});

test('ensure of a key that is being started can be called from the spawn event', async () => {
  let joined: Promise<unknown> | undefined;
  await using bench = setUp({
    onTransition: (event) =>
      void (event.type === 'spawn' && (joined = bench.runtime.ensure(event.key))),
  });
  const tenant = await bench.runtime.ensure('a');
  expect(await joined).toBe(tenant);
  expect(bench.fleet.processes).toHaveLength(1);
});

test('ensure called from the exit event starts the next process', async () => {
  let next: Promise<{ pid: number }> | undefined;
  await using bench = setUp({
    onTransition: (event) => void (event.type === 'exit' && (next ??= bench.runtime.ensure('a'))),
  });
  const first = await bench.runtime.ensure('a');
  await bench.runtime.kill('a');
  expect((await next)?.pid).not.toBe(first.pid);
});

test('the error for disposed comes before draining, and draining before back-off', async () => {
  await using bench = setUp({ readiness: async () => false });
  await rejectionOf(bench.runtime.ensure('a'));
  expect((await rejectionOf(bench.runtime.ensure('a'))).code).toBe('ERR_RUNTIME_BACKOFF');
  bench.runtime.drain();
  expect((await rejectionOf(bench.runtime.ensure('a'))).code).toBe('ERR_RUNTIME_DRAINING');
  const disposed = bench.runtime.dispose();
  expect((await rejectionOf(bench.runtime.ensure('a'))).code).toBe('ERR_RUNTIME_DISPOSED');
  await disposed;
  expect((await rejectionOf(bench.runtime.ensure('a'))).code).toBe('ERR_RUNTIME_DISPOSED');
  expect(bench.fleet.processes).toHaveLength(1);
});

import { expect, test } from 'bun:test';
import { setUp } from '../support/surface/bench.ts';

const MEMBERS = [
  ...(['ensure', 'touch', 'stats', 'kill', 'restart', 'clearBackoff', 'drain', 'dispose'] as const),
  ...(['metrics', 'inspect', 'list', 'adopt'] as const),
] as const;

test('a runtime has exactly the documented members, and all are functions', async () => {
  await using bench = setUp();
  expect(Object.keys(bench.runtime).sort()).toEqual([...MEMBERS].sort());
  for (const member of MEMBERS) expect(bench.runtime[member]).toBeFunction();
});

test('a runtime is a plain object', async () => {
  await using bench = setUp();
  expect(Object.getPrototypeOf(bench.runtime)).toBe(Object.prototype);
});

test('warm is no enumerable member', async () => {
  await using bench = setUp();
  expect(bench.runtime.warm).toBeFunction();
  expect(Object.getOwnPropertyDescriptor(bench.runtime, 'warm')?.enumerable).toBeFalse();
});

test('Symbol.asyncDispose is dispose, and no enumerable member', async () => {
  await using bench = setUp();
  expect(bench.runtime[Symbol.asyncDispose]).toBe(bench.runtime.dispose);
  expect(
    Object.getOwnPropertyDescriptor(bench.runtime, Symbol.asyncDispose)?.enumerable,
  ).toBeFalse();
});

test('every method works detached from its object', async () => {
  await using bench = setUp();
  const { ensure, touch, stats, kill, restart, clearBackoff, drain, dispose } = bench.runtime;

  const first = await ensure('a');
  expect(await ensure('a')).toBe(first);
  touch('a');
  expect(stats()).toEqual({ running: 1, total: 1, draining: false, backoff: 0 });
  const second = await restart('a');
  expect(second).not.toBe(first);
  await kill('a');
  clearBackoff('a');
  drain();
  expect(stats()).toEqual({ running: 0, total: 0, draining: true, backoff: 0 });
  await dispose();
});

test('methods called with another this do the same', async () => {
  await using bench = setUp();
  const { ensure, stats } = bench.runtime;
  await Reflect.apply(ensure, { ensure: null }, ['a']);
  expect(Reflect.apply(stats, undefined, []).running).toBe(1);
});

test('methods that return nothing return undefined', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  const { touch, clearBackoff, drain, kill, dispose } = bench.runtime;
  expect([touch('a'), clearBackoff('a'), drain()] as unknown[]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect([await kill('a'), await dispose()] as unknown[]).toEqual([undefined, undefined]);
});

test('creating a runtime calls none of its functions', async () => {
  let calls = 0;
  const count = (): never => {
    calls++;
    throw new Error('called');
  };
  await using bench = setUp({
    spawn: count,
    readiness: count,
    onTransition: count,
    onMetrics: count,
  });
  expect(bench.runtime.stats()).toEqual({ running: 0, total: 0, draining: false, backoff: 0 });
  expect(calls).toBe(0);
});

test('two runtimes do not share keys', async () => {
  await using one = setUp();
  await using other = setUp();
  await one.runtime.ensure('a');
  expect(other.runtime.stats().total).toBe(0);
  await other.runtime.kill('a');
  await other.runtime.dispose();
  expect(one.runtime.stats().running).toBe(1);
  expect(other.events.transitions).toEqual([]);
});

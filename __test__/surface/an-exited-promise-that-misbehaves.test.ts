import { afterAll, beforeAll, expect, test } from 'bun:test';
import { RuntimeExitedBeforeReadyError } from '@absolutejs/runtime';
import { never, setUp, type Bench } from '../support/surface/bench.ts';
import { aFewTurns, rejectionOf } from '../support/surface/wait.ts';

const unhandled: unknown[] = [];
const note = (error: unknown): void => void unhandled.push(error);
beforeAll(() => void process.on('unhandledRejection', note));
afterAll(() => void process.off('unhandledRejection', note));

const withExited = (bench: Bench, exited: unknown): void => {
  bench.fleet.prepare = (process) =>
    void Object.defineProperty(process, 'exited', { value: exited });
};

test('an exited that rejects is an exit without a code', async () => {
  const { promise, reject } = Promise.withResolvers<number>();
  await using bench = setUp();
  withExited(bench, promise);
  const { pid } = await bench.runtime.ensure('a');
  reject(new Error('lost sight of it'));
  expect(await bench.events.seen('exit', 'a')).toEqual({
    ...{ type: 'exit', key: 'a', pid, exitCode: null, reason: 'crashed' },
  });
  await aFewTurns();
  expect(bench.events.all('exit')).toHaveLength(1);
  expect(bench.runtime.stats().total).toBe(0);
  expect(unhandled).toEqual([]);
});

test.each(['0', undefined, 'SIGTERM', {}, true, NaN, 0.5, Infinity, 2 ** 32, 0n])(
  'an exited that resolves to %p is an exit without a code',
  async (value) => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    await using bench = setUp();
    withExited(bench, promise);
    await bench.runtime.ensure('a');
    resolve(value);
    expect(await bench.events.seen('exit', 'a')).toMatchObject({
      exitCode: null,
      reason: 'crashed',
    });
  },
);

test.each([0, 1, 137, 255, -1, 2 ** 31 - 1])(
  'an exited that resolves to %p is that exit code',
  async (code) => {
    await using bench = setUp();
    await bench.runtime.ensure('a');
    bench.fleet.the('a').exit(code);
    expect((await bench.events.seen('exit', 'a')).exitCode).toBe(code);
  },
);

test('an exited that has already resolved: the process ended before it was ready', async () => {
  await using bench = setUp({ readiness: () => never() });
  withExited(bench, Promise.resolve(3));
  const error = await rejectionOf(bench.runtime.ensure('a'));
  expect(error).toBeInstanceOf(RuntimeExitedBeforeReadyError);
  expect(error.exitCode).toBe(3);
  expect(bench.events.story).toEqual(['spawn a', 'exit a']);
  expect(bench.runtime.stats()).toEqual({ running: 0, total: 0, draining: false, backoff: 1 });
});

test('an exited that has already rejected: no exit code', async () => {
  await using bench = setUp({ readiness: () => never() });
  bench.fleet.prepare = (process) =>
    void Object.defineProperty(process, 'exited', { value: Promise.reject(new Error('gone')) });
  const error = await rejectionOf(bench.runtime.ensure('a'));
  expect(error.message).toBe(
    'Runtime process for "a" exited with no exit code before it was ready',
  );
  expect(error.exitCode).toBeNull();
  expect(unhandled).toEqual([]);
});

test('of a thenable only the first answer counts', async () => {
  let answer: ((code: number) => void) | undefined;
  await using bench = setUp();
  withExited(bench, { then: (resolve: (code: number) => void) => void (answer = resolve) });
  await bench.runtime.ensure('a');
  for (const code of [4, 5, 6]) answer!(code);
  expect((await bench.events.seen('exit', 'a')).exitCode).toBe(4);
  await aFewTurns();
  expect(bench.events.all('exit')).toHaveLength(1);
});

test('a thenable that throws is an exit without a code', async () => {
  await using bench = setUp({ readiness: () => never() });
  withExited(bench, {
    then() {
      throw new Error('from then');
    },
  });
  expect((await rejectionOf(bench.runtime.ensure('a'))).exitCode).toBeNull();
  expect(unhandled).toEqual([]);
});

test('an exit after a kill that rejected is still reported, once', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  const process = bench.fleet.the('a');
  process.onKill = () => {
    setImmediate(() => process.exit(0));
    return Promise.reject(new Error('it went anyway'));
  };
  await rejectionOf(bench.runtime.kill('a'));
  await bench.events.seen('exit', 'a');
  await aFewTurns();
  expect(bench.events.all('exit')).toHaveLength(1);
  expect(bench.runtime.stats().total).toBe(0);
});

// `memory`: with less free than that, tenants that nobody uses go down the ladder by themselves.
import { expect, test } from 'bun:test';
import { createPool, until } from '../support/processes/index.ts';
import { ask, createSleepyPool, started } from '../support/sleep/pool.ts';

/** More than any machine has: memory is always short. */
const memory = { keepFreeBytes: Number.MAX_SAFE_INTEGER };
const PATIENCE_MS = 60_000;

const told = (pool: ReturnType<typeof createPool>, key: string): string[] =>
  pool.events.told.flatMap(({ of, event }) =>
    of === 'transition' && 'key' in event && event.key === key ? [event.type] : [],
  );

test('a tenant that would never sleep sleeps, and is then stopped', async () => {
  await using pool = createSleepyPool({ memory, sleep: { afterMs: Infinity } });
  await started(pool, ['a']);
  const exit = await until('exit of a', () => pool.events.of('exit', 'a')[0], PATIENCE_MS);
  expect(exit.reason).toBe('lru-evicted');
  // Where its memory can be paged out it is told to sleep once more.
  const types = told(pool, 'a').filter((type, index, all) => type !== all[index - 1]);
  expect(types).toEqual(['spawn', 'ready', 'sleep', 'wake', 'lru-evict', 'exit']);
  await pool.dispose();
});

test('without sleep it is stopped', async () => {
  await using pool = createPool({ memory, sweepIntervalMs: 50 });
  await started(pool, ['a']);
  const exit = await until('exit of a', () => pool.events.of('exit', 'a')[0], PATIENCE_MS);
  expect(exit.reason).toBe('lru-evicted');
  await pool.dispose();
});

test('with memory enough nobody is touched', async () => {
  await using pool = createPool({ memory: { keepFreeBytes: 1 }, sweepIntervalMs: 20 });
  await using other = createPool({ memory, sweepIntervalMs: 20 });
  const [tenant] = await started(pool, ['a']);
  await started(other, ['a']);
  await until('exit of the other', () => other.events.of('exit', 'a')[0], PATIENCE_MS);
  expect(await ask(tenant!)).toBe('hello');
  expect(told(pool, 'a')).toEqual(['spawn', 'ready']);
  await pool.dispose();
});

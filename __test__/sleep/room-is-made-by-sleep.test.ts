import { expect, test } from 'bun:test';
import { until } from '../support/processes/index.ts';
import { ask, asleep, createSleepyPool, started, woken } from '../support/sleep/pool.ts';

test('a sleeper takes no room, and waking it puts another one to sleep', async () => {
  await using pool = createSleepyPool({ maxConcurrent: 1, sleep: { maxAsleep: 5 } });
  const [a] = await started(pool, ['a']);
  await asleep(pool, 'a');
  const [b] = await started(pool, ['b']);
  expect(pool.runtime.stats()).toMatchObject({ running: 2, total: 2 });
  // Whether b sleeps by now or has to make room: it is not stopped.
  expect((await pool.runtime.ensure('a')).pid).toBe(a!.pid);
  expect((await asleep(pool, 'b')).pid).toBe(b!.pid);
  expect(await ask(a!)).toBe('hello');
  expect(pool.events.of('exit')).toEqual([]);
  await pool.dispose();
});

test('beyond maxAsleep the least recently active sleeper is stopped', async () => {
  let maySleep = false;
  await using pool = createSleepyPool({ sleep: { maxAsleep: 2, shouldSleep: () => maySleep } });
  const keys = ['a', 'b', 'c'];
  await started(pool, keys);
  for (const key of keys) {
    pool.runtime.touch(key);
    await Bun.sleep(20);
  }
  maySleep = true;
  const evicted = await until('a sleeper is stopped', () => pool.events.of('lru-evict')[0], 60_000);
  expect((await pool.events.exit(evicted.key)).reason).toBe('lru-evicted');
  await until('the others sleep', () => pool.runtime.metrics().sleep.asleep === 2, 60_000);
  expect(evicted.key).toBe('a');
  expect(pool.events.of('wake', 'a')).toHaveLength(1);
  await pool.dispose();
});

test('a sleeper that is asked for waits for room only as long as nobody can sleep', async () => {
  await using pool = createSleepyPool({ maxConcurrent: 2 });
  await started(pool, ['a', 'b']);
  await Promise.all([asleep(pool, 'a'), asleep(pool, 'b')]);
  await started(pool, ['c', 'd']);
  await Promise.all(['a', 'b'].map((key) => pool.runtime.ensure(key)));
  await Promise.all([woken(pool, 'a'), woken(pool, 'b')]);
  expect(pool.events.of('exit')).toEqual([]);
  await pool.dispose();
});

import { expect, test } from 'bun:test';
import { createPool, treeOf, within } from '../support/processes/index.ts';
import {
  ask,
  asleep,
  createSleepyPool,
  expectStandsStill,
  started,
  woken,
} from '../support/sleep/pool.ts';

test('it falls asleep, stands still, and ensure finds the same tenant at the same port', async () => {
  let maySleep = true;
  await using pool = createSleepyPool({ sleep: { shouldSleep: () => maySleep } });
  const [tenant] = (await started(pool, ['a'])) as [any];
  const { key, pid, depth, rssBytes, ...others } = await asleep(pool, 'a');
  expect({ key, pid, depth, others }).toEqual({
    ...{ key: 'a', pid: tenant.pid, depth: 'frozen', others: { type: 'sleep' } },
  });
  expect(rssBytes).toBeGreaterThan(1e6);
  expect(pool.runtime.inspect('a')).toMatchObject({
    state: 'asleep',
    depth: 'frozen',
    pid,
    rssBytes,
  });
  expect(pool.runtime.stats()).toMatchObject({ running: 1, total: 1 });
  expect(pool.runtime.metrics().sleep).toMatchObject({ asleep: 1, sleeps: 1, wakes: 0 });
  await expectStandsStill(tenant);

  // Else it might sleep once more before what follows has been looked at.
  maySleep = false;
  const before = Date.now();
  expect(await within('ensure', pool.runtime.ensure('a'))).toBe(tenant);
  expect(tenant.lastTouchedAt).toBeGreaterThanOrEqual(before);
  const wake = await woken(pool, 'a');
  expect(wake).toEqual({
    type: 'wake',
    key: 'a',
    pid,
    durationMs: wake.durationMs,
    depth: 'frozen',
  });
  expect(await ask(tenant)).toBe('hello');
  expect(pool.runtime.inspect('a')).not.toHaveProperty('depth');
  const { asleep: now, sleeps, wakes, lastWakeMs } = pool.runtime.metrics().sleep;
  expect({ now, sleeps, wakes }).toEqual({ now: 0, sleeps: 1, wakes: 1 });
  expect(lastWakeMs).toBe(wake.durationMs);
  await pool.dispose();
});

test('its events come in order: asleep and awake in turn, and awake before its end', async () => {
  await using pool = createSleepyPool();
  await started(pool, ['a']);
  await asleep(pool, 'a');
  await pool.runtime.ensure('a');
  await asleep(pool, 'a', 2);
  await pool.runtime.kill('a');
  const types = pool.events.told.flatMap(({ of, event }) =>
    of === 'transition' ? [event.type] : [],
  );
  expect(types).toEqual(['spawn', 'ready', 'sleep', 'wake', 'sleep', 'wake', 'exit']);
  await pool.dispose();
});

test('a touch wakes it', async () => {
  await using pool = createSleepyPool();
  const [tenant] = (await started(pool, ['a'])) as [any];
  await asleep(pool, 'a');
  const before = Date.now();
  pool.runtime.touch('a');
  await woken(pool, 'a');
  expect(tenant.lastTouchedAt).toBeGreaterThanOrEqual(before);
  expect(await ask(tenant)).toBe('hello');
  await pool.dispose();
});

test('many callers wake it once', async () => {
  await using pool = createSleepyPool();
  const [tenant] = (await started(pool, ['a'])) as [any];
  await asleep(pool, 'a');
  const all = await Promise.all(Array.from({ length: 50 }, () => pool.runtime.ensure('a')));
  expect(new Set(all)).toEqual(new Set([tenant]));
  expect(pool.events.of('wake')).toHaveLength(1);
  await pool.dispose();
});

test('a tree of several processes sleeps as a whole, and the wrapper is one of them', async () => {
  await using pool = createSleepyPool({
    command: ['sh', '-c', 'sleep 1000 & bun server.ts & wait'],
  });
  const [tenant] = (await started(pool, ['a'])) as [any];
  await asleep(pool, 'a');
  const names = treeOf(tenant.pid).map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(['abs-keeper', 'sh', 'sleep', 'bun']));
  await expectStandsStill(tenant);
  await pool.runtime.ensure('a');
  expect(await ask(tenant)).toBe('hello');
  await pool.dispose();
});

test('without the option nobody sleeps', async () => {
  await using pool = createSleepyPool();
  await using other = createPool({ sweepIntervalMs: 50 });
  await Promise.all([started(pool, ['a']), started(other, ['a'])]);
  await asleep(pool, 'a');
  expect(other.events.of('sleep')).toEqual([]);
  expect(other.runtime.inspect('a')?.state).toBe('ready');
  expect(other.runtime.metrics().sleep).toEqual({ asleep: 0, sleeps: 0, wakes: 0, lastWakeMs: 0 });
});

// With swap, and where this host may hand over the memory of others, a sleeper leaves most of it.
import { readFileSync } from 'node:fs';
import { expect, test } from 'bun:test';
import { until } from '../support/processes/index.ts';
import {
  ask,
  asleep,
  createSleepyPool,
  privateBytesOf,
  started,
  woken,
} from '../support/sleep/pool.ts';

const hasSwap = readFileSync('/proc/swaps', 'utf8').trim().split('\n').length > 1;
/** With a control group of version 2 if there is one, else without. */
const limits = { memoryBytes: 512 << 20, enforce: 'best-effort' as const };

test.skipIf(!hasSwap).each([
  ['with limits', { limits }],
  ['without', {}],
])('%s it sleeps deeper, has less memory, and answers', async (what, options) => {
  let maySleep = false;
  const sleep = { pageOutAfterMs: 400, shouldSleep: () => maySleep };
  await using pool = createSleepyPool({ sleep, ...options });
  const [tenant] = await started(pool, ['a']);
  const before = privateBytesOf(tenant!);
  maySleep = true;
  const frozen = await asleep(pool, 'a');
  const by = pool.runtime.inspect('a')?.limits.memoryBytes?.by;
  const can = what === 'with limits' ? by === 'cgroup2' : process.getuid?.() === 0;
  if (!can) return;
  const deep = await asleep(pool, 'a', 2);
  expect([frozen.depth, deep.depth]).toEqual(['frozen', 'paged-out']);
  // What it shares with other processes, as the Bun program, stays; a control group does not count it.
  expect(deep.rssBytes).toBeLessThan(
    what === 'with limits' ? frozen.rssBytes / 2 : frozen.rssBytes,
  );
  expect(privateBytesOf(tenant!)).toBeLessThan(before);
  expect(pool.runtime.inspect('a')).toMatchObject({ state: 'asleep', depth: 'paged-out' });
  expect(pool.runtime.metrics().sleep).toMatchObject({ asleep: 1, sleeps: 1 });
  await pool.runtime.ensure('a');
  expect((await woken(pool, 'a')).depth).toBe('paged-out');
  expect(await ask(tenant!)).toBe('hello');
  await pool.dispose();
});

test.skipIf(hasSwap)('without swap it stays frozen, and says so', async () => {
  await using pool = createSleepyPool({ sleep: { pageOutAfterMs: 200 } });
  await started(pool, ['a', 'b']);
  await asleep(pool, 'a');
  // b is woken and falls asleep once more: there was time enough for a.
  await asleep(pool, 'b');
  await pool.runtime.ensure('b');
  await asleep(pool, 'b', 2);
  await until('a is asleep', () => pool.runtime.inspect('a')?.state === 'asleep');
  const depths = pool.events.of('sleep', 'a').map(({ depth }) => depth);
  expect([...new Set(depths)]).toEqual(['frozen']);
  await pool.dispose();
});

// With `evict: "cost"` a tenant whose start takes long stays, and one that is back at once goes, though
// it was used later; by default the least recently active one goes.
import { expect, test } from 'bun:test';
import { createPool, pause, slowToListen, until } from '../support/processes/index.ts';

const SLOW_MS = 1_500;

test.each([
  ['cost', 'quick'],
  ['lru', 'slow'],
] as const)('by %s the %s one goes', async (evict, gone) => {
  await using pool = createPool({ evict, maxConcurrent: 2 });
  pool.tenants
    .add('slow', { 'server.ts': slowToListen(SLOW_MS) })
    .add('quick')
    .add('next');
  for (const key of ['slow', 'quick']) {
    await pool.runtime.ensure(key);
    await until(`${key} is looked at`, () => pool.runtime.inspect(key)?.rssBytes !== null);
  }
  // However long a busy machine takes to start them, the one is idle for little longer than the other.
  pool.runtime.touch('slow');
  await pause(20);
  pool.runtime.touch('quick');
  await pause(500);
  await pool.runtime.ensure('next');
  expect(pool.events.of('lru-evict').map(({ key }) => key)).toEqual([gone]);
  await pool.dispose();
});

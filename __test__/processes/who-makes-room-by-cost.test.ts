// With `evict: "cost"` a tenant whose start takes long stays, and one that is back at once goes, though
// it was used later; by default the least recently active one goes.
import { expect, test } from 'bun:test';
import { createPool, pause, slowToListen } from '../support/processes/index.ts';

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
  await pool.runtime.ensure('slow');
  await pause(20);
  await pool.runtime.ensure('quick');
  // From now on the one is idle for little longer than the other.
  await pause(2 * SLOW_MS);
  await pool.runtime.ensure('next');
  expect(pool.events.of('lru-evict').map(({ key }) => key)).toEqual([gone]);
  await pool.dispose();
});

// Keys that take turns in too little room: the caller of `ensure` can use the tenant before it is
// evicted.
import { expect, test } from 'bun:test';
import { createPool, type Pool, slowToListen, textOf, within } from '../support/processes/index.ts';

/**
 * How long a start takes, and so how long the tenant stays: longer than a request takes on a busy
 * machine.
 */
const START_MS = 300;

function poolOf(keys: readonly string[]): Pool {
  const pool = createPool({ maxConcurrent: 1 });
  keys.forEach((key) => pool.tenants.add(key, { 'server.ts': slowToListen(START_MS) }));
  return pool;
}

/** Sends a request as soon as the tenant is ready, as a host does. */
const ask = async ({ runtime }: Pool, key: string) => textOf(await runtime.ensure(key));

function assertOneAtATime({ events }: Pool): void {
  const lives = events.told.flatMap(({ of, event }) => (of === 'transition' ? [event.type] : []));
  let alive = 0;
  for (const type of lives) {
    if (type === 'spawn') expect(++alive).toBe(1);
    if (type === 'exit') alive -= 1;
  }
}

test('two cold tenants at once with room for one: both callers get an answer', async () => {
  await using pool = poolOf(['first', 'second']);
  const answers = within('both answers', Promise.all([ask(pool, 'first'), ask(pool, 'second')]));
  expect(await answers).toEqual(['hello', 'hello']);
  expect(pool.events.of('lru-evict').map(({ key }) => key)).toEqual(['first']);
  assertOneAtATime(pool);
  await pool.dispose();
});

test('keys that take turns many times all get an answer', async () => {
  const keys = ['a', 'b', 'c'];
  await using pool = poolOf(keys);
  for (const round of [1, 2]) {
    const answers = within(`round ${round}`, Promise.all(keys.map((key) => ask(pool, key))));
    expect(await answers).toEqual(['hello', 'hello', 'hello']);
  }
  expect(pool.events.of('lru-evict').length).toBeGreaterThanOrEqual(4);
  assertOneAtATime(pool);
  await pool.dispose();
});

// Keys that take turns in too little room: whoever asked for a tenant can use it before it makes room for the next one.
import { expect, test } from 'bun:test';
import { createPool, type Pool, slowToListen, textOf, within } from '../support/processes/index.ts';

/** So long its start takes, and as long it stays: longer than a busy machine takes to send a request. */
const START_MS = 300;

function poolOf(keys: readonly string[]): Pool {
  const pool = createPool({ maxConcurrent: 1 });
  keys.forEach((key) => pool.tenants.add(key, { 'server.ts': slowToListen(START_MS) }));
  return pool;
}

/** As a host does it: a request as soon as there is a tenant, whoever else waits. */
const ask = async ({ runtime }: Pool, key: string) => textOf(await runtime.ensure(key));

function assertOneAtATime({ events }: Pool): void {
  const lives = events.told.flatMap(({ of, event }) => (of === 'transition' ? [event.type] : []));
  let alive = 0;
  for (const type of lives) {
    if (type === 'spawn') expect(++alive).toBe(1);
    if (type === 'exit') alive -= 1;
  }
}

test('two cold tenants at once, in room for one: both callers get an answer', async () => {
  await using pool = poolOf(['first', 'second']);
  const answers = within('both answers', Promise.all([ask(pool, 'first'), ask(pool, 'second')]));
  expect(await answers).toEqual(['hello', 'hello']);
  expect(pool.events.of('lru-evict').map(({ key }) => key)).toEqual(['first']);
  assertOneAtATime(pool);
  await pool.dispose();
});

test('however often they take turns', async () => {
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

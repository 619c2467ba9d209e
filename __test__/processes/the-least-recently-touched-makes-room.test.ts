// Of several real tenants that could make room, the one leaves that was touched the longest ago.
import { expect, test } from 'bun:test';
import { createPool, textOf } from '../support/processes/index.ts';

test('three tenants with room for no fourth: order of touches, not of starts', async () => {
  await using pool = createPool({ maxConcurrent: 3 });
  const { runtime, events } = pool;
  ['a', 'b', 'c', 'd', 'e'].forEach((key) => pool.tenants.add(key));
  for (const key of ['a', 'b', 'c']) await runtime.ensure(key);
  ['b', 'c', 'a'].forEach((key) => runtime.touch(key));
  await runtime.ensure('d');
  expect(events.of('lru-evict').map(({ key }) => key)).toEqual(['b']);
  runtime.touch('c');
  await runtime.ensure('e');
  expect(events.of('lru-evict').map(({ key }) => key)).toEqual(['b', 'a']);
  for (const key of ['c', 'd', 'e']) expect(await textOf(await runtime.ensure(key))).toBe('hello');
  expect(events.of('spawn').length).toBe(5);
  await pool.dispose();
});

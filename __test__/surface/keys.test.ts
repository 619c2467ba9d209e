import { expect, test } from 'bun:test';
import { resolve } from 'node:path';
import { setUp } from '../support/surface/bench.ts';
import { aFewTurns, rejectionOf } from '../support/surface/wait.ts';

const refused: [string, unknown][] = [
  ...(
    [undefined, null, 7, true, {}, ['a'], Symbol('a'), 1n, () => 'a', new String('a')] as unknown[]
  ).map((key): [string, unknown] => [`no string: ${typeof key}`, key]),
  ['empty', ''],
  ['absolute', '/a'],
  ['the root', '/'],
  ['a dot', '.'],
  ['two dots', '..'],
  ['a dot first', './a'],
  ['two dots first', '../a'],
  ['a dot inside', 'a/./b'],
  ['two dots inside', 'a/../b'],
  ['a dot last', 'a/.'],
  ['two dots last', 'a/..'],
  ['an empty segment inside', 'a//b'],
  ['an empty segment last', 'a/'],
  ['a backslash', 'a\\b'],
  ['a NUL', 'a\0b'],
  ['a line feed', 'a\nb'],
  ['a tab', 'a\tb'],
  ['an escape', 'a\x1bb'],
  ['DEL', 'a\x7fb'],
  ['a C1 control character', 'a\x85b'],
  ['513 bytes', 'a'.repeat(513)],
  ['514 bytes in 257 characters', 'ä'.repeat(257)],
];

test.each(refused)('refused, without any side effect: %s', async (_, key) => {
  await using bench = setUp();
  for (const call of [bench.runtime.ensure, bench.runtime.restart]) {
    const promise = call(key as string);
    expect(bench.runtime.stats()).toEqual({ running: 0, total: 0, draining: false, backoff: 0 });
    const error = await rejectionOf(promise);
    expect(error).toBeInstanceOf(Error);
    expect(error.code).toBe('ERR_RUNTIME_INVALID_KEY');
  }
  await aFewTurns();
  expect(bench.fleet.processes).toEqual([]);
  expect(bench.events.story).toEqual([]);
  expect(bench.runtime.stats()).toEqual({ running: 0, total: 0, draining: false, backoff: 0 });
});

test.each(refused)('kill, touch and clearBackoff know no such key: %s', async (_, key) => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  const before = [...bench.events.story];
  await bench.runtime.kill(key as string);
  bench.runtime.touch(key as string);
  bench.runtime.clearBackoff(key as string);
  expect(bench.events.story).toEqual(before);
  expect(bench.runtime.stats().running).toBe(1);
});

const accepted: [string, string][] = [
  ['a word', 'app'],
  ['two segments', 'org/app'],
  ['many segments', 'a/b/c/d/e'],
  ['spaces', ' my app '],
  ['unicode', 'größe/日本語/🚀'],
  ['three dots', '...'],
  ['a hidden name', '.hidden'],
  ['dots inside', 'a..b/c.d'],
  ['__proto__', '__proto__'],
  ['constructor', 'constructor'],
  ['a percent sign', '%2e%2e'],
  ['a dash first', '-rf'],
  ['quotes', `it's "quoted"`],
  ['a shell’s own', '$(id);`id`&|*?'],
  ['512 bytes', 'a'.repeat(512)],
  ['512 bytes in 256 characters', 'ä'.repeat(256)],
];

test.each(accepted)('accepted: %s', async (_, key) => {
  await using bench = setUp();
  const tenant = await bench.runtime.ensure(key);
  expect(tenant.key).toBe(key);
  expect(bench.fleet.processes.map(({ args }) => [args.key, args.cwd])).toEqual([
    [key, `${resolve('tenants')}/${key}`],
  ]);
  expect(await bench.runtime.ensure(key)).toBe(tenant);
  bench.runtime.touch(key);
  expect(bench.events.transitions.map((event) => 'key' in event && event.key)).toEqual([key, key]);
  await bench.runtime.restart(key);
  await bench.runtime.kill(key);
  expect(bench.runtime.stats().total).toBe(0);
});

test('keys that differ in anything are different tenants', async () => {
  await using bench = setUp();
  const keys = ['a', 'A', 'a ', 'a/b', 'ab', 'ä', 'a\u0308'];
  const tenants = await Promise.all(keys.map((key) => bench.runtime.ensure(key)));
  expect(new Set(tenants).size).toBe(keys.length);
  expect(bench.fleet.processes.map(({ key }) => key)).toEqual(keys);
});

test('messages quote the key as it is', async () => {
  await using bench = setUp({ readiness: async () => false });
  const key = 'größe "x"';
  await rejectionOf(bench.runtime.ensure(key));
  const { message } = await rejectionOf(bench.runtime.ensure(key));
  expect(message).toStartWith(`Tenant "${key}" is backing off after 1 failure(s); retry in `);
});

import { expect, test } from 'bun:test';
import { setUp } from '../support/surface/bench.ts';

test('of two tenants with the same pid, killing one leaves the other', async () => {
  await using bench = setUp();
  bench.fleet.prepare = (fake) => void Object.defineProperty(fake, 'pid', { value: 2 ** 30 });
  const [a, b] = await Promise.all([bench.runtime.ensure('a'), bench.runtime.ensure('b')]);
  expect(a.pid).toBe(b.pid);
  expect(a).not.toBe(b);

  await bench.runtime.kill('a');
  expect(bench.fleet.the('b').kills).toEqual([]);
  expect(bench.runtime.stats()).toEqual({ running: 1, total: 1, draining: false, backoff: 0 });
  expect(await bench.runtime.ensure('b')).toBe(b);
  expect(bench.events.all('exit').map(({ key }) => key)).toEqual(['a']);

  bench.fleet.the('b').exit(1);
  expect(await bench.events.seen('exit', 'b')).toMatchObject({ pid: b.pid, reason: 'crashed' });
});

test('the host’s own pid gets no signal', async () => {
  await using bench = setUp({ stopTimeoutMs: 0 });
  bench.fleet.prepare = (fake) => void Object.defineProperty(fake, 'pid', { value: process.pid });
  await bench.runtime.ensure('a');
  await bench.runtime.restart('a');
  await bench.runtime.kill('a');
  expect(bench.events.all('exit')).toHaveLength(2);
});

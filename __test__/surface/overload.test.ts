// A router that passes on every host name lets clients invent keys: once 100,000 keys wait,
// further ones are refused.
import { expect, test } from 'bun:test';
import { manualReadiness, setUp } from '../support/surface/bench.ts';
import { handedOver } from '../support/surface/fleet.ts';
import { isPending, rejectionOf, within } from '../support/surface/wait.ts';

const MAX_WAITING = 100_000;

test('a hundred thousand keys may wait; one more is refused, by whatever call', async () => {
  const { readiness, answer } = manualReadiness();
  await using bench = setUp({ maxConcurrent: 1, readiness });
  const { runtime } = bench;
  const first = runtime.ensure('first');
  const last = new AbortController();
  const waiting = Array.from({ length: MAX_WAITING - 1 }, (_, index) =>
    runtime.ensure(`k${index}`),
  );
  const aborted = runtime.ensure('aborted', { signal: last.signal });
  const settled = Promise.allSettled([...waiting, aborted]);

  const calls = [
    ['ensure', () => runtime.ensure('more')],
    ['ensure', () => runtime.restart('more')],
    ['adopt', () => runtime.adopt('more', handedOver(), { port: 4000 })],
  ] as const;
  for (const [method, call] of calls) {
    const error = await rejectionOf(call());
    expect([error.code, error.message]).toEqual([
      'ERR_RUNTIME_OVERLOADED',
      `runtime is overloaded: ${MAX_WAITING} tenants wait to be started; ${method}() refused`,
    ]);
    expect(Object.keys(error)).toEqual(['code', 'key']);
  }
  expect(runtime.inspect('more')).toBeNull();
  expect(runtime.list().length).toBe(MAX_WAITING + 1);
  expect(runtime.stats()).toEqual({ running: 0, total: 1, draining: false, backoff: 0 });

  // Calls for a waiting key can still join it, and a place that becomes free can be taken.
  expect(await isPending(runtime.ensure('k0').catch(() => {}))).toBe(true);
  last.abort();
  const more = runtime.ensure('more');
  expect(await isPending(more)).toBe(true);
  answer('first', true);
  expect((await first).key).toBe('first');

  const refusal = rejectionOf(more);
  await within('dispose', runtime.dispose());
  expect((await refusal).code).toBe('ERR_RUNTIME_DISPOSED');
  const outcomes = await within('every call', settled);
  const unsettled = outcomes.filter(({ status }) => status === 'fulfilled');
  expect(unsettled).toEqual([]);
});

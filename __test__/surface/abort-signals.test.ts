// The option `signal`: which values are accepted, how long the runtime listens, and aborts before
// and after a call.
import { expect, test } from 'bun:test';
import { CountingSignal, expectAborted } from '../support/surface/aborted.ts';
import { manualReadiness, setUp } from '../support/surface/bench.ts';
import { aFewTurns, nextMillisecond, rejectionOf } from '../support/surface/wait.ts';

test('a signal that is aborted already: refused at once, and nothing else happens', async () => {
  await using bench = setUp();
  const { runtime } = bench;
  const reason = new Error('the client went away');
  const signal = AbortSignal.abort(reason);
  await expectAborted(runtime.ensure('a', { signal }), 'a', reason);
  await expectAborted(runtime.restart('a', { signal }), 'a', reason);
  expect(bench.fleet.processes).toEqual([]);
  expect(runtime.list()).toEqual([]);

  const tenant = await runtime.ensure('a');
  const { lastTouchedAt } = tenant;
  await nextMillisecond();
  await expectAborted(runtime.ensure('a', { signal }), 'a', reason);
  expect(tenant.lastTouchedAt).toBe(lastTouchedAt);
  await expectAborted(runtime.restart('a', { signal }), 'a', reason);
  expect(bench.fleet.the('a').kills).toEqual([]);
  expect(bench.events.story).toEqual(['spawn a', 'metric spawn a', 'ready a']);
});

// `restart` looks once less: it has no fast path.
test.each([
  ['ensure', 0],
  ['ensure', 1],
  ['ensure', 2],
  ['restart', 0],
  ['restart', 1],
] as const)(
  '%s with a signal that cannot be looked at more than %p times rejects',
  async (call, most) => {
    await using bench = setUp();
    let looks = 0;
    const signal = new CountingSignal();
    Object.defineProperty(signal, 'aborted', {
      get() {
        if (looks++ === most) throw new Error('no more');
        return false;
      },
    });
    const error = await rejectionOf(bench.runtime[call]('a', { signal: signal.asSignal }));
    expect([error.code, error.cause.message]).toEqual(['ERR_RUNTIME_INVALID_OPTION', 'no more']);
    expect([bench.fleet.processes, signal.listeners]).toEqual([[], 0]);
  },
);

test('if reading the reason throws, the thrown value is the cause', async () => {
  const { readiness } = manualReadiness();
  await using bench = setUp({ readiness });
  const signal = new CountingSignal();
  const unreadable = new Error('no reason');
  Object.defineProperty(signal, 'reason', {
    set() {},
    get() {
      throw unreadable;
    },
  });
  const pending = expectAborted(
    bench.runtime.ensure('a', { signal: signal.asSignal }),
    'a',
    unreadable,
  );
  await bench.events.seen('spawn', 'a');
  signal.abort('enough');
  await pending;
  await expectAborted(bench.runtime.ensure('a', { signal: signal.asSignal }), 'a', unreadable);
});

test('an aborted signal without a reason of its own has the usual one', async () => {
  await using bench = setUp();
  const error = await rejectionOf(bench.runtime.ensure('a', { signal: AbortSignal.abort() }));
  expect(error.cause).toBeInstanceOf(DOMException);
  expect(error.cause.name).toBe('AbortError');
});

test('errors of the call itself come before the abort', async () => {
  await using bench = setUp();
  const signal = AbortSignal.abort();
  expect((await rejectionOf(bench.runtime.ensure('..', { signal }))).code).toBe(
    'ERR_RUNTIME_INVALID_KEY',
  );
  await bench.runtime.dispose();
  expect((await rejectionOf(bench.runtime.ensure('a', { signal }))).code).toBe(
    'ERR_RUNTIME_DISPOSED',
  );
});

test('a signal that is never aborted changes nothing', async () => {
  await using bench = setUp();
  const { signal } = new AbortController();
  const tenant = await bench.runtime.ensure('a', { signal });
  const { lastTouchedAt } = tenant;
  await nextMillisecond();
  expect(await bench.runtime.ensure('a', { signal })).toBe(tenant);
  expect(tenant.lastTouchedAt).toBeGreaterThan(lastTouchedAt);
  expect(await bench.runtime.restart('a', { signal })).not.toBe(tenant);
});

test('an abort after the call has settled changes nothing', async () => {
  await using bench = setUp({ readiness: async ({ key }) => key !== 'bad' });
  const controller = new AbortController();
  const tenant = await bench.runtime.ensure('a', { signal: controller.signal });
  const failed = bench.runtime.ensure('bad', { signal: controller.signal });
  expect((await rejectionOf(failed)).code).toBe('ERR_RUNTIME_READINESS_TIMEOUT');
  controller.abort();
  await aFewTurns();
  expect(await bench.runtime.ensure('a')).toBe(tenant);
  expect(bench.fleet.the('a').kills).toEqual([]);
});

test('no listener is left on the signal once the call has settled, whatever its outcome', async () => {
  const { readiness, answer } = manualReadiness();
  await using bench = setUp({ readiness });
  const signal = new CountingSignal();
  const options = { signal: signal.asSignal };

  const ready = bench.runtime.ensure('a', options);
  expect(signal.listeners).toBe(1);
  answer('a', true);
  await ready;
  expect(signal.listeners).toBe(0);
  // `ensure` of a running tenant adds no listener.
  const again = bench.runtime.ensure('a', options);
  expect(signal.listeners).toBe(0);
  await again;

  const denied = bench.runtime.ensure('b', options);
  expect(signal.listeners).toBe(1);
  answer('b', false);
  await rejectionOf(denied);
  expect(signal.listeners).toBe(0);

  const killed = bench.runtime.restart('c', options);
  await bench.runtime.kill('c');
  await rejectionOf(killed);
  expect(signal.listeners).toBe(0);

  const aborted = bench.runtime.ensure('d', options);
  signal.abort('enough');
  await expectAborted(aborted, 'd', 'enough');
  expect(signal.listeners).toBe(0);
});

test('an abort after dispose changes nothing', async () => {
  const { readiness } = manualReadiness();
  await using bench = setUp({ readiness });
  const controller = new AbortController();
  const pending = bench.runtime.ensure('a', { signal: controller.signal });
  await bench.events.seen('spawn', 'a');
  const disposed = bench.runtime.dispose();
  expect((await rejectionOf(pending)).code).toBe('ERR_RUNTIME_DISPOSED');
  controller.abort();
  await disposed;
  controller.signal.dispatchEvent(new Event('abort'));
});

test('AbortSignal.timeout says so in the cause', async () => {
  const { readiness } = manualReadiness();
  await using bench = setUp({ readiness });
  const error = await rejectionOf(bench.runtime.ensure('a', { signal: AbortSignal.timeout(5) }));
  expect([error.name, error.code]).toEqual(['AbortError', 'ERR_RUNTIME_ABORTED']);
  expect(error.cause.name).toBe('TimeoutError');
});

test('AbortSignal.any', async () => {
  const { readiness } = manualReadiness();
  await using bench = setUp({ readiness });
  const controller = new AbortController();
  const signal = AbortSignal.any([controller.signal, AbortSignal.timeout(1_000_000)]);
  const pending = bench.runtime.ensure('a', { signal });
  await bench.events.seen('spawn', 'a');
  controller.abort('gone');
  await expectAborted(pending, 'a', 'gone');
});

test('a second argument that is no object is ignored: keys.map(runtime.ensure) works', async () => {
  await using bench = setUp();
  const keys = ['a', 'b', 'c'];
  const tenants = await Promise.all(
    keys.map(bench.runtime.ensure as (key: string) => Promise<{ key: string }>),
  );
  expect(tenants.map(({ key }) => key)).toEqual(keys);
  const restarted = await Promise.all(
    keys.map(bench.runtime.restart as (key: string) => Promise<object>),
  );
  expect(restarted.length).toBe(3);
  for (const options of [undefined, null, 0, 'signal', true, () => {}, {}, { signal: undefined }]) {
    expect((await bench.runtime.ensure('a', options as any)).key).toBe('a');
  }
});

test('a value that is no signal is refused, whether the tenant runs or not', async () => {
  await using bench = setUp();
  const { ensure, restart, kill } = bench.runtime;
  for (const signal of [null, 7, 'abort', true, {}, [], new AbortController(), () => {}] as any[]) {
    for (const isThere of [false, true]) {
      if (isThere) await ensure('a');
      for (const call of [ensure, restart]) {
        const error = await rejectionOf(call('a', { signal }));
        expect([error.code, error.key]).toEqual(['ERR_RUNTIME_INVALID_OPTION', 'a']);
        expect(error.message).toStartWith('signal must be an AbortSignal, got ');
      }
      expect(bench.runtime.stats().total).toBe(isThere ? 1 : 0);
    }
    await kill('a');
  }
  expect(bench.events.all('exit').every(({ reason }) => reason === 'killed')).toBe(true);
});

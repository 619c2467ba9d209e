// `warm(keys)` starts tenants without a caller. One that `tenant` says is kept up (`warm: true`) is
// not stopped for idleness, is evicted last, and comes back when it has ended by itself.
import { expect, test } from 'bun:test';
import type { RuntimeOptions } from '@absolutejs/runtime';
import { setUp } from '../support/surface/bench.ts';
import { aFewTurns } from '../support/surface/wait.ts';

/** Keys that begin with `warm` are kept up. */
const options = {
  tenant: (key) => ({ warm: key.startsWith('warm') }),
  idleAfterMs: 20,
  sweepIntervalMs: 5,
  backoff: { baseMs: 10 },
} satisfies Partial<RuntimeOptions>;

function thrownBy(act: () => unknown): any {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

test('it starts each key once, and waits for none', async () => {
  await using bench = setUp();
  const { runtime, events, fleet } = bench;
  await runtime.ensure('a');
  expect(runtime.warm(['a', 'b', 'org/c', 'b'])).toBeUndefined();
  await Promise.all([events.seen('ready', 'b'), events.seen('ready', 'org/c')]);
  expect(fleet.processes.map(({ key }) => key).sort()).toEqual(['a', 'b', 'org/c']);
  runtime.warm([]);
  runtime.warm(['a', 'b']);
  await aFewTurns();
  expect(fleet.processes).toHaveLength(3);
});

test('with one bad key nothing is started', async () => {
  await using bench = setUp();
  const { runtime, fleet } = bench;
  for (const key of ['', '..', '/a', 'a//b', 7, undefined]) {
    const error = thrownBy(() => runtime.warm(['a', key as string]));
    expect([key, error.name, error.code]).toEqual([key, 'TypeError', 'ERR_RUNTIME_INVALID_KEY']);
  }
  for (const keys of ['a', undefined, { 0: 'a', length: 1 }, new Set(['a'])]) {
    const error = thrownBy(() => runtime.warm(keys as never));
    expect([error.name, error.code]).toEqual(['TypeError', 'ERR_RUNTIME_INVALID_OPTION']);
    expect(error.message).toStartWith('keys must be an array of keys, got ');
  }
  await aFewTurns();
  expect([fleet.processes, runtime.list()]).toEqual([[], []]);
});

test('it is refused while draining, and after dispose', async () => {
  await using bench = setUp();
  const { runtime, fleet } = bench;
  runtime.drain();
  const error = thrownBy(() => runtime.warm(['a']));
  expect([error.code, error.message]).toEqual([
    'ERR_RUNTIME_DRAINING',
    'runtime is draining; warm() refused',
  ]);
  await runtime.dispose();
  expect(thrownBy(() => runtime.warm(['a'])).code).toBe('ERR_RUNTIME_DISPOSED');
  expect(fleet.processes).toEqual([]);
});

test('a warm tenant is not stopped for idleness, and another one is', async () => {
  await using bench = setUp(options);
  const { runtime, events } = bench;
  runtime.warm(['warm', 'other']);
  await events.seen('idle-kill', 'other');
  await runtime.ensure('again');
  await events.seen('idle-kill', 'again');
  expect(events.all('idle-kill', 'warm')).toEqual([]);
  expect(runtime.inspect('warm')!.state).toBe('ready');
});

test('a warm tenant comes back when it has ended by itself, and not when it was killed', async () => {
  await using bench = setUp(options);
  const { runtime, events, fleet } = bench;
  await runtime.ensure('warm');
  for (const [index, code] of [1, 0].entries()) {
    fleet.the('warm').exit(code);
    await events.seen('ready', 'warm', index + 2);
  }
  expect(fleet.of('warm')).toHaveLength(3);
  await runtime.kill('warm');
  await runtime.ensure('other');
  await events.seen('idle-kill', 'other');
  expect(fleet.of('warm')).toHaveLength(3);
  await runtime.ensure('warm');
  expect(runtime.inspect('warm')!.starts).toBe(4);
});

test('one that waits for its next start says when that is', async () => {
  await using bench = setUp({ ...options, backoff: { baseMs: 60_000 } });
  const { runtime, events, fleet } = bench;
  runtime.warm(['warm']);
  for (const count of [1, 2]) {
    await events.seen('ready', 'warm', count);
    fleet.the('warm').exit(1);
    await events.seen('exit', 'warm', count);
  }
  const { state, retryAt } = runtime.inspect('warm')!;
  expect(state).toBe('stopped');
  expect(retryAt! - Date.now()).toBeWithin(30_000, 60_001);
});

test('a warm tenant is evicted last', async () => {
  await using bench = setUp({ ...options, idleAfterMs: 0, maxConcurrent: 2 });
  const { runtime, events } = bench;
  await runtime.ensure('warm');
  await runtime.ensure('a');
  await bench.tenuresEnd();
  await runtime.ensure('b');
  expect(events.all('lru-evict').map(({ key }) => key)).toEqual(['a']);
  await runtime.kill('b');
  await runtime.ensure('warm-2');
  await bench.tenuresEnd();
  await runtime.ensure('c');
  expect(events.all('lru-evict').map(({ key }) => key)).toEqual(['a', 'warm']);
});

test('idleAfterMs and stopTimeoutMs of one tenant', async () => {
  await using bench = setUp({
    sweepIntervalMs: 5,
    stopTimeoutMs: 60_000,
    tenant: (key) => (key === 'short' ? { idleAfterMs: 10, stopTimeoutMs: 1 } : { idleAfterMs: 0 }),
  });
  const { runtime, events, fleet } = bench;
  await Promise.all([runtime.ensure('short'), runtime.ensure('long')]);
  // It obeys only when it is forced.
  fleet.the('short').onKill = (process, signal) => {
    if (signal === 'SIGKILL') process.exit(null);
  };
  await events.seen('exit', 'short');
  expect(fleet.the('short').kills).toEqual([undefined, 'SIGKILL']);
  expect(runtime.inspect('long')!.state).toBe('ready');
});

// An option that does not exist is refused, wherever options are taken, and the nearest one that
// does is named.
import { expect, test } from 'bun:test';
import { createEgressGuard, createRuntime, execCheckpointDriver } from '@absolutejs/runtime';
import { createRuntimeCollector } from '@absolutejs/runtime/prometheus';
import { nearest } from '../../lib/checks.js';
import { setUp, source } from '../support/surface/bench.ts';
import { handedOver } from '../support/surface/fleet.ts';
import { rejectionOf } from '../support/surface/wait.ts';

function refusal(create: (options: any) => unknown, options: object): any {
  try {
    create(options);
  } catch (error) {
    return error;
  }
  throw new Error('the options were accepted');
}

const driver = { checkpoint() {}, restore() {}, drop() {}, has() {} };
const exec = { checkpointCommand: ['a'], restoreCommand: ['b'], imageDir: 'c' };
const inRuntime = (options: object) => () => refusal(createRuntime, { source, ...options });

test.each([
  ['idleAfterMS is not an option; did you mean idleAfterMs?', inRuntime({ idleAfterMS: 1 })],
  [
    'maxConcurent is not an option; did you mean maxConcurrent?',
    inRuntime({ maxConcurent: undefined }),
  ],
  ['onlog is not an option; did you mean onLog?', inRuntime({ onlog: () => {} })],
  [
    'source.roots is not an option; did you mean source.root?',
    inRuntime({ source: { ...source, roots: 1 } }),
  ],
  [
    'backoff.baseMS is not an option; did you mean backoff.baseMs?',
    inRuntime({ backoff: { baseMS: 1 } }),
  ],
  [
    'checkpoint.restoreTimeout is not an option; did you mean checkpoint.restoreTimeoutMs?',
    inRuntime({ checkpoint: { driver, restoreTimeout: 1 } }),
  ],
  [
    'sleep.afterMS is not an option; did you mean sleep.afterMs?',
    inRuntime({ sleep: { afterMS: 1 } }),
  ],
  [
    'memory.keepFree is not an option; did you mean memory.keepFreeBytes?',
    inRuntime({ memory: { keepFree: 1 } }),
  ],
  ['denny is not an option; did you mean deny?', () => refusal(createEgressGuard, { denny: [] })],
  [
    'budget.maxRequest is not an option; did you mean budget.maxRequests?',
    () => refusal(createEgressGuard, { budget: { maxRequest: 1 } }),
  ],
  [
    'timeoutMS is not an option; did you mean timeoutMs?',
    () => refusal(execCheckpointDriver, { ...exec, timeoutMS: 1 }),
  ],
  [
    'label is not an option; did you mean labels?',
    () => refusal(createRuntimeCollector, { label: {} }),
  ],
  [
    'perTenant.maximum is not an option; there are max',
    () => refusal(createRuntimeCollector, { perTenant: { maximum: 1 } }),
  ],
])('%s', (message, provoke) => {
  const error = provoke();
  expect(error).toBeInstanceOf(TypeError);
  expect([error.code, error.message]).toEqual(['ERR_RUNTIME_INVALID_OPTION', message]);
});

test('for an option that resembles none, all known ones are listed', () => {
  expect(inRuntime({ backoff: { wait: 1 } })().message).toBe(
    'backoff.wait is not an option; there are baseMs, maxMs, maxFailures, minUptimeMs',
  );
  expect(inRuntime({ colour: 1 })().message).toStartWith(
    'colour is not an option; there are source, ',
  );
});

test('a call refuses them, too, before anything happens', async () => {
  await using bench = setUp();
  const { runtime } = bench;
  const calls: [string, () => Promise<unknown>][] = [
    [
      'singal is not an option; did you mean signal?',
      () => runtime.ensure('a', { singal: 1 } as any),
    ],
    [
      'timeoutMs is not an option; there are signal',
      () => runtime.restart('a', { timeoutMs: 1 } as any),
    ],
    [
      'options must be { signal }, got an AbortSignal itself',
      () => runtime.ensure('a', AbortSignal.timeout(1_000) as any),
    ],
    [
      'startedat is not an option; did you mean startedAt?',
      () => runtime.adopt('a', handedOver(), { startedat: 1 } as any),
    ],
    ['options must be an object, got "x"', () => runtime.adopt('a', handedOver(), 'x' as any)],
  ];
  for (const [message, call] of calls) {
    const error = await rejectionOf(call());
    expect([error.code, error.message]).toEqual(['ERR_RUNTIME_INVALID_OPTION', message]);
  }
  expect(bench.fleet.processes).toEqual([]);
  expect(bench.runtime.list()).toEqual([]);
});

test('a second argument that is no object is ignored: an array can be mapped', async () => {
  await using bench = setUp();
  const tenants = await Promise.all(['a', 'b'].map(bench.runtime.ensure as any));
  expect(tenants).toHaveLength(2);
});

test('options may be inherited, and may be a class with methods', async () => {
  class Options {
    source = source;
    describe() {}
  }
  await createRuntime(
    Object.assign(Object.create({ idleAfterMs: 7, unknown: 1 }), { source }),
  ).dispose();
  await createRuntime(new Options()).dispose();
});

test.each([
  ['idleAfterMS', 'idleAfterMs'],
  ['IDLEAFTERMS', 'idleAfterMs'],
  ['idelAfterMs', 'idleAfterMs'],
  ['idleAfter', 'idleAfterMs'],
  ['env', 'env'],
  ['evn', 'env'],
  ['xyz', undefined],
  ['', undefined],
  ['idleAfterMs'.repeat(1e5), undefined],
])('nearest: %#', (word, meant) => {
  expect(nearest(word, ['source', 'idleAfterMs', 'env'])).toBe(meant as any);
});

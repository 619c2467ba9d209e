// The options `sleep`, `evict` and `memory` are checked when they are given, and completed.
import { expect, test } from 'bun:test';
import { createRuntime, type RuntimeOptions } from '@absolutejs/runtime';
import { readOptions } from '../../lib/options.js';
import { source } from '../support/surface/bench.ts';

function refusal(options: object): any {
  try {
    createRuntime({ source, ...options } as RuntimeOptions);
  } catch (error) {
    return error;
  }
  throw new Error('the options were accepted');
}

const driver = { checkpoint() {}, restore() {}, drop() {}, has() {} };
const numbers = [NaN, '60', null, 1n, {}];

const wrong: [object, string | RegExp][] = [
  ...[true, null, '30s', 30_000].map((sleep): [object, RegExp] => [
    { sleep },
    /^sleep must be an object, got /,
  ]),
  ...[...numbers, 0, -1].map((afterMs): [object, RegExp] => [
    { sleep: { afterMs } },
    /^sleep\.afterMs must be a number of at least 1, got /,
  ]),
  ...numbers.map((pageOutAfterMs): [object, RegExp] => [
    { sleep: { pageOutAfterMs } },
    /^sleep\.pageOutAfterMs must be a number, got /,
  ]),
  [
    { sleep: { afterMs: 20_000, pageOutAfterMs: 10_000 } },
    'sleep.pageOutAfterMs must be at least sleep.afterMs, 20000, as both count from the last ' +
      'activity, or 0 for never; got 10000',
  ],
  [
    { sleep: { pageOutAfterMs: 29_999.5 } },
    /^sleep\.pageOutAfterMs must be at least sleep\.afterMs, 30000, .*; got 29999\.5$/,
  ],
  ...[...numbers, 0, 1.5].map((maxAsleep): [object, RegExp] => [
    { sleep: { maxAsleep } },
    /^sleep\.maxAsleep must be a whole number of at least 1, got /,
  ]),
  ...[...numbers, -1].map((minAwakeMs): [object, RegExp] => [
    { sleep: { minAwakeMs } },
    /^sleep\.minAwakeMs must be a number of at least 0, got /,
  ]),
  ...[1, 'close', null, ''].map((outgoing): [object, RegExp] => [
    { sleep: { outgoing } },
    /^sleep\.outgoing must be "stay" or "breathe" or "sleep", got /,
  ]),
  [{ sleep: { shouldSleep: true } }, 'sleep.shouldSleep must be a function, got true'],
  [
    { sleep: { maxAsleeep: 1 } },
    'sleep.maxAsleeep is not an option; did you mean sleep.maxAsleep?',
  ],
  [{ evict: 'largest' }, 'evict must be "lru" or "cost", got "largest"'],
  [{ evict: null }, 'evict must be "lru" or "cost", got null'],
  [{ memory: 512 }, 'memory must be an object, got 512'],
  ...[undefined, null, 0, -1, NaN, Infinity, '512M', 1n].map((keepFreeBytes): [object, RegExp] => [
    { memory: { keepFreeBytes } },
    /^memory\.keepFreeBytes must be a positive number of bytes, got /,
  ]),
  [
    { sleep: {}, spawn: async () => {} },
    'sleep and spawn are given together: sleep is for processes that the runtime starts, not for ' +
      'what your own spawn starts',
  ],
  [
    { sleep: {}, checkpoint: { driver } },
    'sleep and checkpoint are given together: sleep is for processes that the runtime starts, not ' +
      'for what your driver restores',
  ],
];

test.each(wrong)('%p is refused', (options, message) => {
  const error = refusal(options);
  expect(error).toBeInstanceOf(TypeError);
  expect(error.code).toBe('ERR_RUNTIME_INVALID_OPTION');
  if (typeof message === 'string') expect(error.message).toBe(message);
  else expect(error.message).toMatch(message);
});

test('sleep is off unless it is given, and so is false, which stands beside everything', () => {
  for (const options of [{}, { sleep: undefined }, { sleep: false, spawn: async () => {} }]) {
    const { sleep, evict, memory } = readOptions({ source, ...options } as RuntimeOptions);
    expect({ sleep, evict, memory }).toEqual({ sleep: undefined, evict: 'lru', memory: undefined });
  }
});

test('what is left out has its default, ten sleepers for each that may be awake among them', () => {
  const byDefault = {
    ...{ afterMs: 30_000, pageOutAfterMs: 60_000, maxAsleep: 1_000, minAwakeMs: 5_000 },
    ...{ outgoing: 'stay', shouldSleep: undefined },
  };
  expect(readOptions({ source, sleep: {} }).sleep).toEqual(byDefault as any);
  expect(readOptions({ source, sleep: {}, maxConcurrent: 7 }).sleep?.maxAsleep).toBe(70);
});

test('nothing is paged out before it sleeps: the default is not less than afterMs', () => {
  const times = (sleep: object) => {
    const { afterMs, pageOutAfterMs } = readOptions({ source, sleep }).sleep!;
    return [afterMs, pageOutAfterMs];
  };
  expect(times({ afterMs: 90_000 })).toEqual([90_000, 90_000]);
  expect(times({ afterMs: Infinity })).toEqual([Infinity, Infinity]);
  expect(times({ afterMs: 90_000, pageOutAfterMs: -1 })).toEqual([90_000, -1]);
  expect(times({ afterMs: 5, pageOutAfterMs: 5 })).toEqual([5, 5]);
});

test('what is given is taken as it is', () => {
  const shouldSleep = () => true;
  const sleep = {
    ...{ afterMs: 1, pageOutAfterMs: 0, maxAsleep: 3, minAwakeMs: 0 },
    ...{ outgoing: 'breathe' as const, shouldSleep },
  };
  const options = { source, sleep, evict: 'cost' as const, memory: { keepFreeBytes: 1 } };
  expect(readOptions(options)).toMatchObject({
    ...{ sleep, evict: 'cost', memory: { keepFreeBytes: 1 } },
  });
});

test('by cost, and with free memory kept, in a runtime of processes of its user', () => {
  const options = { source, spawn: async () => ({}), evict: 'cost', memory: { keepFreeBytes: 1 } };
  expect(() => createRuntime(options as any)).not.toThrow();
});

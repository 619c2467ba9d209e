// Refusals of the options about idleness, snapshots and spans, with their messages.
import { expect, test } from 'bun:test';
import { createRuntime } from '@absolutejs/runtime';
import { source } from '../support/surface/bench.ts';

const works = async () => true;
const driver = { checkpoint: works, restore: async () => null, drop: async () => {}, has: works };

const REFUSED: [object, string][] = [
  [{ shouldIdleKill: true }, 'shouldIdleKill must be a function, got true'],
  [{ shouldIdleKill: null }, 'shouldIdleKill must be a function, got null'],
  [{ idle: 'connected' }, 'idle must be "untouched" or "connections", got "connected"'],
  [{ idle: null }, 'idle must be "untouched" or "connections", got null'],
  [{ idle: true }, 'idle must be "untouched" or "connections", got true'],
  [{ checkpoint: null }, 'checkpoint must be an object, got null'],
  [{ checkpoint: 'criu' }, 'checkpoint must be an object, got "criu"'],
  [{ checkpoint: {} }, 'checkpoint.driver must be a checkpoint driver, got undefined'],
  [{ checkpoint: { driver: null } }, 'checkpoint.driver must be a checkpoint driver, got null'],
  [{ checkpoint: { driver: 'criu' } }, 'checkpoint.driver must be a checkpoint driver, got "criu"'],
  [
    { checkpoint: { driver: {} } },
    'checkpoint.driver.checkpoint must be a function, got undefined',
  ],
  ...(['checkpoint', 'restore', 'drop', 'has'] as const).map((method): [object, string] => [
    { checkpoint: { driver: { ...driver, [method]: 'yes' } } },
    `checkpoint.driver.${method} must be a function, got "yes"`,
  ]),
  ...([-1, NaN, null, '1s'] as const).map((value): [object, string] => [
    { checkpoint: { driver, restoreTimeoutMs: value } },
    `checkpoint.restoreTimeoutMs must be a number of at least 0, got ${JSON.stringify(value) === 'null' ? value : JSON.stringify(value)}`,
  ]),
  [{ tracerProvider: null }, 'tracerProvider must be a tracer provider, got null'],
  [{ tracerProvider: {} }, 'tracerProvider must be a tracer provider, got an object'],
  [{ tracerProvider: () => {} }, 'tracerProvider must be a tracer provider, got a function'],
];

for (const [options, message] of REFUSED) {
  test(message, () => {
    let error: any;
    try {
      createRuntime({ source, ...options } as never);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(TypeError);
    expect([error.code, error.message]).toEqual(['ERR_RUNTIME_INVALID_OPTION', message]);
  });
}

test('a driver is anything with the four methods, an instance of a class too', async () => {
  class Driver {
    async checkpoint() {
      return true;
    }
    async restore() {
      return null;
    }
    async drop() {}
    async has() {
      return false;
    }
  }
  await createRuntime({
    source,
    checkpoint: { driver: new Driver(), restoreTimeoutMs: 1 },
  }).dispose();
});

test('an option that is undefined counts as left out', async () => {
  const options = {
    shouldIdleKill: undefined,
    idle: undefined,
    checkpoint: undefined,
    tracerProvider: undefined,
  };
  await createRuntime({ source, ...options }).dispose();
});

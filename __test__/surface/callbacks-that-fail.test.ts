import { afterAll, beforeAll, expect, test } from 'bun:test';
import { setUp } from '../support/surface/bench.ts';
import { aFewTurns } from '../support/surface/wait.ts';

const unhandled: unknown[] = [];
const note = (error: unknown): void => void unhandled.push(error);
beforeAll(() => void process.on('unhandledRejection', note).on('uncaughtException', note));
afterAll(() => void process.off('unhandledRejection', note).off('uncaughtException', note));

const misbehaviours: [string, () => unknown][] = [
  [
    'throw',
    () => {
      throw new Error('from a callback');
    },
  ],
  [
    'throw nothing at all',
    () => {
      throw undefined;
    },
  ],
  ['return a rejecting promise', () => Promise.reject(new Error('from a callback'))],
  [
    'return a promise that rejects later',
    async () => Bun.sleep(1).then(() => Promise.reject(new Error('late'))),
  ],
  [
    'return a thenable that throws',
    () => ({
      then: () => {
        throw new Error('from then');
      },
    }),
  ],
  [
    'return a thenable that rejects twice',
    () => ({
      then: (_: unknown, reject: (error: unknown) => void) => (
        reject(new Error('one')),
        reject(new Error('two'))
      ),
    }),
  ],
  [
    'return an object whose then cannot be read',
    () => ({
      get then(): never {
        throw new Error('from the getter');
      },
    }),
  ],
  ['never settle', () => new Promise(() => {})],
];

test.each(misbehaviours)('callbacks that %s break nothing', async (_, misbehave) => {
  let calls = 0;
  const callback = () => (calls++, misbehave()) as any;
  const callbacks = { onTransition: callback, onMetrics: callback, onLog: callback };
  await using bench = setUp({ ...callbacks, maxConcurrent: 1 });
  const tenant = await bench.runtime.ensure('a');
  bench.fleet.the('a').log('hello');
  expect(await bench.runtime.ensure('a')).toBe(tenant);
  await bench.runtime.restart('a');
  await bench.runtime.ensure('b');
  bench.runtime.drain();
  await bench.runtime.kill('b');
  await bench.runtime.dispose();
  await Bun.sleep(2);
  await aFewTurns();
  // Three processes of three transitions and a metric each, a line, an eviction, a drain.
  expect(calls).toBe(3 * 4 + 3);
  expect(unhandled).toEqual([]);
});

test('a callback that throws does not keep the others from being called', async () => {
  const bad = () => {
    throw new Error('from a callback');
  };
  await using bench = setUp({ onTransition: bad });
  await bench.runtime.ensure('a');
  bench.fleet.the('a').log('hello');
  expect(bench.events.story).toEqual(['metric spawn a', 'log a hello']);
});

test('a change that a callback makes to an event has no other effect', async () => {
  const ports: number[] = [];
  await using bench = setUp({
    onTransition: (event) => {
      if (event.type === 'ready') ports.push(event.port);
      for (const name of Object.keys(event)) Reflect.set(event, name, 'changed');
    },
  });
  const tenant = await bench.runtime.ensure('a');
  expect(ports).toEqual([tenant.port]);
  expect(tenant.key).toBe('a');
  expect(bench.events.metrics[0]).toMatchObject({ type: 'spawn', key: 'a' });
});

// Odd values of options (that contain themselves, cannot be read, throw, or never end) are refused
// at once, with an error that has a code and names the option.
import { expect, test } from 'bun:test';
import { createEgressGuard, createRuntime, execCheckpointDriver } from '@absolutejs/runtime';
import { createRuntimeCollector } from '@absolutejs/runtime/prometheus';
import { setUp, source } from '../support/surface/bench.ts';
import { rejectionOf } from '../support/surface/wait.ts';

const cyclic: unknown[] = [];
cyclic.push(cyclic, [cyclic]);
const deep = Array.from({ length: 100_000 }).reduce<unknown>((inner) => [inner], []);
const endless = Object.assign(['bun'], {
  *[Symbol.iterator]() {
    for (;;) yield 'bun';
  },
  length: 2,
});
const boom = new Error('boom');
const throwing = (target: object) =>
  new Proxy(target, {
    get() {
      throw boom;
    },
    ownKeys() {
      throw boom;
    },
  });

function revoked(target: object): any {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

const odd: [string, unknown][] = [
  ['an array that contains itself', cyclic],
  ['an array within arrays', deep],
  ['a huge array', new Array(2 ** 32 - 1)],
  ['an array whose iterator never ends', endless],
  ['a revoked array', revoked([])],
  ['a revoked object', revoked({})],
  ['an object that throws', throwing({})],
  ['an array that throws', throwing([])],
  ['a symbol', Symbol('x')],
  ['a BigInt', 10n ** 1000n],
  ['a string as long as a book', 'x'.repeat(1_000_000)],
  ['an object without a prototype', Object.create(null)],
  ['an error that cannot be shown', Object.assign(new Error(), { toString: null })],
  // Of each of these all fields would seem to be left out.
  ['a promise of an object', Promise.resolve({})],
  ['a promise of another kind', { then() {} }],
  ['a Map', new Map([['max', 1]])],
  ['a Set', new Set(['max'])],
  ['an object that is a list, too', new Headers({ max: '1' })],
];

const names = [
  'source',
  'idleAfterMs',
  'maxConcurrent',
  'sweepIntervalMs',
  'observeIntervalMs',
  'command',
];
names.push(
  'backoff',
  'stopTimeoutMs',
  'spawnConcurrency',
  'env',
  'tenant',
  'limits',
  'isolation',
  'survive',
  'sleep',
  'evict',
  'memory',
  'idle',
  'shouldIdleKill',
  'checkpoint',
);
names.push('tracerProvider', 'spawn', 'readiness', 'onLog', 'onMetrics', 'onTransition');

function refusal(create: () => unknown): any {
  try {
    create();
  } catch (error) {
    return error;
  }
  return undefined;
}

function expectRefused(create: () => unknown, path: string): void {
  const error = refusal(create);
  expect([path, error?.code]).toEqual([path, 'ERR_RUNTIME_INVALID_OPTION']);
  expect(error).toBeInstanceOf(TypeError);
  expect(error.message).toContain(path);
  expect(error.message.length).toBeLessThan(600);
}

/** Odd values that are valid for an option: an empty record, a command of one word. */
const isFine = (name: string, what: string): boolean =>
  (what === 'an object without a prototype' &&
    ['env', 'backoff', 'limits', 'isolation', 'sleep'].includes(name)) ||
  (what === 'an array whose iterator never ends' && name === 'command') ||
  (what === 'an error that cannot be shown' && name === 'env');

test.each(odd)('%s', (what, value) => {
  for (const name of names) {
    if (isFine(name, what)) continue;
    expectRefused(() => createRuntime({ source, [name]: value } as any), name);
  }
  for (const name of ['kind', 'root']) {
    if (what.startsWith('a string') && name === 'root') continue;
    const refused = refusal(() => createRuntime({ source: { ...source, [name]: value } } as any));
    expect([name, refused?.code]).toEqual([name, 'ERR_RUNTIME_INVALID_OPTION']);
  }
  for (const name of ['baseMs', 'maxMs', 'maxFailures']) {
    expectRefused(
      () => createRuntime({ source, backoff: { [name]: value } } as any),
      `backoff.${name}`,
    );
  }
  for (const name of ['driver', 'restoreTimeoutMs']) {
    const driver = { checkpoint() {}, restore() {}, drop() {}, has() {} };
    const checkpoint = { driver, [name]: value };
    expectRefused(() => createRuntime({ source, checkpoint } as any), `checkpoint.${name}`);
  }
  for (const name of [
    'allow',
    'deny',
    'only',
    'budget',
    'budgets',
    'lookup',
    'onDenied',
    'onDeny',
    'fetchImpl',
  ]) {
    if (what === 'an object without a prototype' && name.startsWith('budget')) continue;
    expectRefused(() => createEgressGuard({ [name]: value } as any), name);
  }
  for (const name of ['checkpointCommand', 'restoreCommand', 'imageDir', 'timeoutMs', 'onError']) {
    if (isFine('command', what) && name.endsWith('Command')) continue;
    if (what.startsWith('a string') && name === 'imageDir') continue;
    const exec = { checkpointCommand: ['a'], restoreCommand: ['b'], imageDir: 'c', [name]: value };
    expectRefused(() => execCheckpointDriver(exec as any), name);
  }
  for (const name of ['prefix', 'labels', 'registers', 'perTenant']) {
    if (what === 'an object without a prototype' && name === 'labels') continue;
    if (what === 'an error that cannot be shown' && name === 'labels') continue;
    if (what.startsWith('a string') && name === 'prefix') continue;
    expectRefused(() => createRuntimeCollector({ [name]: value } as any), name);
  }
});

test.each(odd)('options: %s', (what, value) => {
  for (const create of [
    createRuntime,
    createEgressGuard,
    execCheckpointDriver,
    createRuntimeCollector,
  ]) {
    const isEmpty = what === 'an object without a prototype';
    if (isEmpty && (create === createEgressGuard || create === createRuntimeCollector)) continue;
    expect(refusal(() => (create as any)(value))?.code).toBe('ERR_RUNTIME_INVALID_OPTION');
  }
});

test('a promise and a Map are named as what they are', () => {
  const message = (option: object) => refusal(() => createRuntime({ source, ...option })).message;
  expect(message({ limits: Promise.resolve({}) })).toBe(
    'limits must be an object, got a promise, which must be awaited first',
  );
  expect(message({ isolation: new Map() })).toBe(
    'isolation must be "none", "tenant" or an object of walls, got a Map',
  );
  expect(message({ maxConcurrent: 1n })).toBe(
    'maxConcurrent must be a whole number of at least 1, got the BigInt 1',
  );
});

test('an option that throws when it is read: the error names it, and has what was thrown as its cause', () => {
  const options = {
    source,
    get maxConcurrent(): number {
      throw boom;
    },
  };
  const error = refusal(() => createRuntime(options));
  expect(error.message).toBe('maxConcurrent cannot be read: boom');
  expect(error.cause).toBe(boom);
});

test('calls reject, and start nothing', async () => {
  await using bench = setUp();
  const never = {
    get signal() {
      throw boom;
    },
  };
  const liar = {
    aborted: false,
    addEventListener() {
      throw boom;
    },
  };
  for (const options of [
    never,
    revoked({}),
    throwing({}),
    { signal: liar },
    { signal: cyclic },
    { signal: revoked({}) },
  ]) {
    for (const call of [bench.runtime.ensure, bench.runtime.restart]) {
      expect((await rejectionOf(call('a', options as any))).code).toBe(
        'ERR_RUNTIME_INVALID_OPTION',
      );
    }
  }
  for (const key of [
    cyclic,
    revoked({}),
    throwing({}),
    Symbol('a'),
    10n,
    deep,
    new Array(2 ** 32 - 1),
  ]) {
    for (const call of [bench.runtime.ensure, bench.runtime.restart]) {
      expect((await rejectionOf(call(key as any))).code).toBe('ERR_RUNTIME_INVALID_KEY');
    }
    bench.runtime.touch(key as any);
    bench.runtime.clearBackoff(key as any);
    await bench.runtime.kill(key as any);
    expect(bench.runtime.inspect(key as any)).toBeNull();
  }
  expect(bench.fleet.processes).toEqual([]);
  expect(bench.runtime.list()).toEqual([]);
});

test('a record for env is looked through when the runtime is created; what is undefined in it is left out', async () => {
  const wrong: [object, string][] = [
    [{ A: 1 }, 'env.A must be a string without NUL, got number'],
    [{ A: 'a\0b' }, 'env.A must be a string without NUL, got string'],
    [{ 'A=B': 'x' }, 'env has the impossible variable name "A=B"'],
    [{ '': 'x' }, 'env has the impossible variable name ""'],
  ];
  for (const [env, message] of wrong) {
    expect(refusal(() => createRuntime({ source, env } as any)).message).toBe(message);
  }
  await using bench = setUp({ env: { A: 'a', B: undefined } });
  await bench.runtime.ensure('a');
  expect(Object.keys(bench.fleet.the('a').args.env).sort()).toEqual(['A', 'NODE_ENV', 'PORT']);
});

test('what a user’s function throws reaches the caller as it is, and has a short text, however large it is', async () => {
  for (const [thrown, words] of [
    [new Array(2 ** 32 - 1), 'an array of 4294967295'],
    [cyclic, 'an array of 2'],
    [Object.assign(new Error(), { message: new Array(2 ** 32 - 1) }), 'an array of 4294967295'],
    [Object.create(null), 'an error that cannot be shown'],
    [revoked({}), 'an error that cannot be shown'],
  ] as [unknown, string][]) {
    await using bench = setUp({ spawn: () => Promise.reject(thrown) });
    const caught: any = await bench.runtime.ensure('a').then(null, (error) => ({ error }));
    expect(caught.error === thrown).toBeTrue();
    expect(bench.runtime.inspect('a')!.lastError).toBe(words);
  }
});

test('an odd value as a line of output breaks nothing', async () => {
  const lines: string[] = [];
  await using bench = setUp({ onLog: ({ line }) => void lines.push(line) });
  await bench.runtime.ensure('a');
  const { onLogLine } = bench.fleet.the('a').args as any;
  for (const event of [
    undefined,
    null,
    7,
    {},
    { line: new Array(2 ** 32 - 1) },
    { line: Object.create(null) },
  ]) {
    onLogLine(event);
  }
  for (const event of [revoked({}), throwing({})]) onLogLine(event);
  expect(lines.map((line) => line.split(':')[0]!)).toEqual([
    'a line that cannot be read',
    'a line that cannot be read',
    'undefined',
    'undefined',
    'an array of 4294967295',
    'an error that cannot be shown',
    'a line that cannot be read',
    'a line that cannot be read',
  ]);
});

import { expect, test } from 'bun:test';
import { createRuntime } from '@absolutejs/runtime';
import { resolve } from 'node:path';
import { readOptions } from '../../lib/options.js';
import { setUp, source } from '../support/surface/bench.ts';

/** What `createRuntime` throws for these options. */
function refusal(options: unknown): any {
  try {
    createRuntime(options as any);
  } catch (error) {
    return error;
  }
  throw new Error('the options were accepted');
}

function expectRefused(options: unknown, message: string | RegExp): void {
  const error = refusal(options);
  expect(error).toBeInstanceOf(TypeError);
  expect(error.code).toBe('ERR_RUNTIME_INVALID_OPTION');
  if (typeof message === 'string') expect(error.message).toBe(message);
  else expect(error.message).toMatch(message);
}

const notNumbers: [unknown, string][] = [
  ['5s', '"5s"'],
  ['10', '"10"'],
  [null, 'null'],
  [NaN, 'NaN'],
  [true, 'true'],
  [5n, 'the BigInt 5'],
  [{}, 'an object'],
  [[], 'an empty array'],
  [() => 1, 'a function'],
  [Symbol('x'), 'Symbol(x)'],
];

const notFunctions: [unknown, string][] = [
  ['log', '"log"'],
  [null, 'null'],
  [1, '1'],
  [false, 'false'],
  [{}, 'an object'],
];

for (const name of [
  'idleAfterMs',
  'sweepIntervalMs',
  'observeIntervalMs',
  'stopTimeoutMs',
] as const) {
  test.each(notNumbers)(`${name}: %p is refused`, (value, shown) => {
    expectRefused({ source, [name]: value }, new RegExp(`^${name} must be a number`));
    expect(refusal({ source, [name]: value }).message).toEndWith(`, got ${shown}`);
  });
}

for (const name of ['maxConcurrent', 'spawnConcurrency'] as const) {
  test.each([...notNumbers, [1.5, '1.5'], [-1, '-1']])(`${name}: %p is refused`, (value, shown) => {
    expectRefused({ source, [name]: value }, new RegExp(`^${name} must be a whole number`));
    expect(refusal({ source, [name]: value }).message).toEndWith(`, got ${shown}`);
  });
}

for (const name of ['baseMs', 'maxMs', 'maxFailures'] as const) {
  test.each([...notNumbers, [-1, '-1']])(`backoff.${name}: %p is refused`, (value, shown) => {
    const options = { source, backoff: { [name]: value } };
    expectRefused(options, new RegExp(`^backoff\\.${name} must be `));
    expect(refusal(options).message).toEndWith(`, got ${shown}`);
  });
}

for (const name of ['spawn', 'readiness', 'onLog', 'onMetrics', 'onTransition'] as const) {
  test.each(notFunctions)(`${name}: %p is refused`, (value, shown) => {
    expectRefused({ source, [name]: value }, `${name} must be a function, got ${shown}`);
  });
}

test.each([
  ['sweepIntervalMs', -1],
  ['stopTimeoutMs', -1],
  ['maxConcurrent', 0],
])('%s: %p is out of range', (name, value) => {
  expectRefused({ source, [name]: value }, new RegExp(`^${name} must be .*, got ${value}$`));
});

test.each([
  [undefined, 'undefined'],
  [null, 'null'],
  ['tenants', '"tenants"'],
  [7, '7'],
])('options: %p is refused', (options, shown) => {
  expectRefused(options, `options must be an object, got ${shown}`);
});

test.each([
  [undefined, 'undefined'],
  [null, 'null'],
  ['tenants', '"tenants"'],
])('source: %p is refused', (value, shown) => {
  expectRefused({ source: value }, new RegExp(`^source must be .*, got ${shown}$`));
});

test.each(['docker', 'Directory', '', undefined, null, 3])(
  'source.kind: %p is unsupported',
  (kind) => {
    expectRefused({ source: { kind, root: 'x' } }, `Unsupported tenant source kind: ${kind}`);
  },
);

test('a kind that is unsupported is named, whatever fields it would have', () => {
  const source = { kind: 's3', bucket: 'tenants', region: 'eu' };
  expectRefused({ source }, 'Unsupported tenant source kind: s3');
  expectRefused(
    { source: { knd: 'directory', root: 'x' } },
    /^source.knd is not an option; did you mean/,
  );
});

test.each([
  [undefined, 'undefined'],
  ['', '""'],
  [7, '7'],
])('source.root: %p is refused', (root, shown) => {
  expectRefused(
    { source: { kind: 'directory', root } },
    new RegExp(`^source\\.root must be .*, got ${shown}$`),
  );
});

test.each([
  ['bun run start', '"bun run start"'],
  [[], 'an empty array'],
  [null, 'null'],
  [['bun', 1], '["bun", 1]'],
  [[''], '[""]'],
  [['bun', 'a\0b'], '["bun", "a\\u0000b"]'],
])('command: %p is refused', (command, shown) => {
  expectRefused({ source, command }, `command must be a non-empty array of strings, got ${shown}`);
});

test('command: an array with a hole is refused', () => {
  const command = ['bun', 'run', 'start'];
  delete command[1];
  expectRefused({ source, command }, /^command must be /);
});

test.each([
  ['5', '"5"'],
  [null, 'null'],
  [5, '5'],
])('backoff: %p is refused', (backoff, shown) => {
  expectRefused({ source, backoff }, `backoff must be an object, got ${shown}`);
});

test.each([
  ['all', '"all"'],
  [null, 'null'],
  [5, '5'],
  [[], 'an empty array'],
])('env: %p is refused', (env, shown) => {
  expectRefused({ source, env }, new RegExp(`^env must be .*, got ${shown}$`));
});

test('every option but source may be left out or be undefined', async () => {
  const names = [
    'idleAfterMs',
    'maxConcurrent',
    'sweepIntervalMs',
    'observeIntervalMs',
    'command',
    'spawn',
  ];
  names.push('readiness', 'backoff', 'onLog', 'onMetrics', 'onTransition', 'stopTimeoutMs', 'env');
  for (const options of [{}, Object.fromEntries(names.map((name) => [name, undefined]))]) {
    await createRuntime({ source, ...options }).dispose();
  }
  await createRuntime({ source, backoff: {} }).dispose();
});

test('the ends of every range are accepted', async () => {
  const accepted = [
    ...[{ idleAfterMs: 0 }, { idleAfterMs: -1 }, { idleAfterMs: Infinity }],
    ...[{ maxConcurrent: 1 }, { maxConcurrent: Infinity }],
    ...[{ sweepIntervalMs: 0 }, { sweepIntervalMs: 1 }],
    ...[{ observeIntervalMs: 0 }, { observeIntervalMs: -1 }],
    ...[{ stopTimeoutMs: 0 }, { spawnConcurrency: 0 }, { spawnConcurrency: Infinity }],
    ...[
      { backoff: { baseMs: 0, maxMs: 0, maxFailures: 1 } },
      { backoff: { maxFailures: Infinity } },
    ],
    ...[{ env: 'inherit' as const }, { env: {} }, { env: () => ({}) }],
  ];
  for (const options of accepted) {
    await using bench = setUp(options);
    expect(await bench.runtime.ensure('a')).toHaveProperty('key', 'a');
  }
});

test('each option is read once, when the runtime is created', async () => {
  const reads: string[] = [];
  const counting = <T extends object>(prefix: string, values: T): T =>
    new Proxy(values, {
      get(target, name) {
        if (typeof name === 'string') reads.push(prefix + name);
        return Reflect.get(target, name);
      },
    });
  const options = counting('', {
    source: counting('source.', { ...source }),
    idleAfterMs: 1_000,
    maxConcurrent: 2,
    backoff: counting('backoff.', { baseMs: 1, maxMs: 2, maxFailures: 3 }),
    onTransition: () => {},
    readiness: async () => true,
    spawn: async () => ({ pid: process.pid, exited: Promise.resolve(0), kill: () => {} }),
  });
  const runtime = createRuntime(options);
  const read = [...reads];
  expect(read.toSorted()).toEqual([...new Set(read)].sort());
  expect(read).toEqual(
    expect.arrayContaining(['source', 'source.kind', 'source.root', 'backoff.baseMs']),
  );

  await runtime.ensure('a').catch(() => {});
  await runtime.dispose();
  expect(reads).toEqual(read);
});

test('changing the options object later changes nothing', async () => {
  const options = { backoff: { baseMs: 60_000 }, env: { GREETING: 'hello' }, maxConcurrent: 100 };
  await using bench = setUp(options);
  options.env.GREETING = 'bye';
  options.backoff.baseMs = 0;
  options.maxConcurrent = 0;
  await bench.runtime.ensure('a');
  expect(bench.fleet.the('a').args.env.GREETING).toBe('hello');
});

test('a relative root is taken from the working directory', async () => {
  await using bench = setUp({ source: { kind: 'directory', root: './some/../tenants' } });
  await bench.runtime.ensure('org/app');
  expect(bench.fleet.the('org/app').args.cwd).toBe(resolve('tenants/org/app'));
});

test('idleAfterMs and maxConcurrent have generous defaults', async () => {
  await using bench = setUp();
  await Promise.all(
    Array.from({ length: 100 }, (_, index) => bench.runtime.ensure(`tenant-${index}`)),
  );
  expect(bench.runtime.stats()).toEqual({ running: 100, total: 100, draining: false, backoff: 0 });
  expect(bench.events.all('lru-evict')).toEqual([]);
  expect(bench.events.all('idle-kill')).toEqual([]);

  await bench.runtime.ensure('one-more');
  expect(bench.events.all('lru-evict')).toHaveLength(1);
  expect(bench.runtime.stats().total).toBe(100);
});

test('backoff has the default of 1 s, doubled, and at most 60 s', async () => {
  await using bench = setUp({ readiness: async () => false, backoff: { maxFailures: undefined } });
  await bench.runtime.ensure('a').catch(() => {});
  await bench.runtime.ensure('a').catch(() => {});
  const waits = [bench.events.all('backoff').at(-1)!.retryAfterMs];
  for (let failures = 2; failures <= 9; failures++) {
    await bench.runtime.restart('a').catch(() => {});
    await bench.runtime.ensure('a').catch(() => {});
    waits.push(bench.events.all('backoff').at(-1)!.retryAfterMs);
  }
  const longest = [1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1_000);
  expect(waits).toHaveLength(longest.length);
  for (const [index, wait] of waits.entries()) {
    expect(wait).toBeLessThanOrEqual(longest[index]!);
    expect(wait).toBeGreaterThan(longest[index]! / 2);
  }
  await bench.runtime.restart('a').catch(() => {});
  const error: any = await bench.runtime.ensure('a').catch((refused) => refused);
  expect(error.message).toStartWith(
    'Tenant "a" exceeded 10 consecutive spawn failures; clearBackoff() to retry.',
  );
});

// Checks the values that Rust gets: a short wait could not tell "off" from a default of minutes.
test.each([
  ['idleAfterMs', [0, -1, -Infinity, Infinity]],
  ['observeIntervalMs', [0, -1, -Infinity, Infinity]],
  ['spawnConcurrency', [0, Infinity]],
  ['maxConcurrent', [Infinity]],
] as const)('%s is off, and not the default, where it says so', (name, values) => {
  const given = (options: object) =>
    readOptions({ source: { kind: 'directory', root: '/' }, onMetrics() {}, ...options })[name];
  for (const value of values) expect(given({ [name]: value })).toBe(value);
  expect(given({ [name]: 7 })).toBe(7);
});

// `tenant` says what one tenant is like: asked once for each start, and what it says wrong fails
// that start alone.
import { expect, test } from 'bun:test';
import type { TenantSettings } from '@absolutejs/runtime';
import { never, setUp } from '../support/surface/bench.ts';
import { isPending, rejectionOf, within } from '../support/surface/wait.ts';

test('it is asked once for each start, restarts included, and not for a running tenant', async () => {
  const asked: string[] = [];
  await using bench = setUp({
    tenant(key) {
      asked.push(key);
      return {};
    },
  });
  await bench.runtime.ensure('a');
  await bench.runtime.ensure('a');
  await bench.runtime.restart('a');
  await Promise.all([bench.runtime.ensure('b'), bench.runtime.ensure('b')]);
  expect(asked).toEqual(['a', 'a', 'b']);
});

test('a spawn of the user’s gets the variables that it says, and those of all tenants otherwise', async () => {
  await using bench = setUp({
    env: { PLAN: 'none' },
    tenant: async (key) => (key === 'paid' ? { env: { PLAN: 'paid' } } : {}),
  });
  await Promise.all([bench.runtime.ensure('paid'), bench.runtime.ensure('other')]);
  const planOf = (key: string) => bench.fleet.the(key).args.env.PLAN;
  expect([planOf('paid'), planOf('other')]).toEqual(['paid', 'none']);
});

const boom = new Error('no such customer');
const wrong: [string, () => any, RegExp][] = [
  ['nothing', () => undefined, /^tenant\("a"\) must be an object, got undefined$/],
  ['an array', () => [], /^tenant\("a"\) must be an object, got an empty array$/],
  [
    'a misspelt setting',
    () => ({ readinesPath: '/' }),
    /^tenant\("a"\)\.readinesPath is not an option; did you mean tenant\("a"\)\.readinessPath\?$/,
  ],
  [
    'a time that is none',
    () => ({ readinessTimeoutMs: 0 }),
    /^tenant\("a"\)\.readinessTimeoutMs must be a number of at least 1, got 0$/,
  ],
  ['an environment that is none', () => ({ env: 'all' }), /^tenant\("a"\)\.env must be "inherit"/],
  ['a variable that is none', () => ({ env: { A: 1 } }), /^tenant\("a"\)\.env\.A must be a string/],
  [
    'a command beside spawn',
    () => ({ command: ['node', 'x.js'] }),
    /^tenant\("a"\)\.command is given together with spawn/,
  ],
  ...['', 'health', '/a b', '/a\n', '/ä', '/a#b', `/${'x'.repeat(2_000)}`, 7].map(
    (readinessPath): [string, () => any, RegExp] => [
      `the path ${JSON.stringify(readinessPath).slice(0, 20)}`,
      () => ({ readinessPath }),
      /^tenant\("a"\)\.readinessPath must be a path that begins with "\/"/,
    ],
  ),
];

test.each(wrong)('%s fails that start with an error that names it', async (_, said, message) => {
  for (const tenant of [said, async () => said()]) {
    await using bench = setUp({
      tenant: (key) => (key === 'a' ? tenant() : {}) as TenantSettings,
    });
    const error = await rejectionOf(bench.runtime.ensure('a'));
    expect(error).toBeInstanceOf(TypeError);
    expect(error).toMatchObject({ code: 'ERR_RUNTIME_INVALID_OPTION', key: 'a' });
    expect(error.message).toMatch(message);
    expect(bench.fleet.processes).toEqual([]);
    // Like any other failure of a start, it is followed by a back-off of that key alone.
    expect(await rejectionOf(bench.runtime.ensure('a'))).toMatchObject({
      code: 'ERR_RUNTIME_BACKOFF',
      message: expect.stringContaining('Last error: tenant("a")'),
    });
    await bench.runtime.ensure('b');
  }
});

test('what it throws or rejects with reaches all callers as the same object', async () => {
  const throwing = () => {
    throw boom;
  };
  for (const tenant of [throwing, async () => throwing()]) {
    await using bench = setUp({ tenant });
    const calls = [bench.runtime.ensure('a'), bench.runtime.ensure('a')];
    for (const call of calls) expect(await rejectionOf(call)).toBe(boom);
    expect(bench.fleet.processes).toEqual([]);
    expect(bench.runtime.inspect('a')?.lastError).toBe('no such customer');
  }
});

test('a promise that does not settle fails the start after readinessTimeoutMs', async () => {
  await using bench = setUp({ readinessTimeoutMs: 5, tenant: never });
  const error = await rejectionOf(bench.runtime.ensure('a'));
  expect(error).toMatchObject({ code: 'ERR_RUNTIME_SPAWN', key: 'a' });
  expect(error.message).toContain('has not settled for 5 ms (readinessTimeoutMs)');
});

test.each(['kill', 'dispose', 'abort'] as const)('%s does not wait for it', async (how) => {
  const answer = Promise.withResolvers<TenantSettings>();
  const asked = Promise.withResolvers<void>();
  await using bench = setUp({
    tenant() {
      asked.resolve();
      return answer.promise;
    },
  });
  const controller = new AbortController();
  const starting = bench.runtime.ensure('a', { signal: controller.signal });
  starting.catch(() => {});
  await within('tenant() to be asked', asked.promise);
  expect(await isPending(starting)).toBe(true);
  if (how === 'kill') await within('the kill', bench.runtime.kill('a'));
  else if (how === 'dispose') await within('the end', bench.runtime.dispose());
  else controller.abort();
  const error = await rejectionOf(starting);
  const codes = { kill: 'EXITED_EARLY', dispose: 'DISPOSED', abort: 'ABORTED' };
  expect(error.code).toBe(`ERR_RUNTIME_${codes[how]}`);
  answer.resolve({});
  if (how !== 'dispose') await bench.runtime.ensure('b');
  expect(bench.fleet.of('a')).toEqual([]);
  expect(bench.runtime.stats().total).toBe(how === 'dispose' ? 0 : 1);
});

test('a start that is called off while it is asked can be asked for again', async () => {
  const answers = [
    Promise.withResolvers<TenantSettings>(),
    Promise.withResolvers<TenantSettings>(),
  ];
  let asked = 0;
  await using bench = setUp({ tenant: () => answers[asked++]!.promise });
  const first = bench.runtime.ensure('a');
  first.catch(() => {});
  expect(await isPending(first)).toBe(true);
  const second = bench.runtime.restart('a');
  expect(await isPending(second)).toBe(true);
  answers[0]!.resolve({ env: { N: '1' } });
  answers[1]!.resolve({ env: { N: '2' } });
  await within('the second start', second);
  expect(bench.fleet.of('a').map(({ args }) => args.env.N)).toEqual(['2']);
});

test('it must be a function', () => {
  expect(() => setUp({ tenant: {} as never })).toThrow('tenant must be a function, got an object');
});

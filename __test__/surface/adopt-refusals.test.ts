// What `adopt` refuses, and with which error. The process is left as it is.
import { expect, test } from 'bun:test';
import { manualReadiness, setUp } from '../support/surface/bench.ts';
import { handedOver, ignoresKill } from '../support/surface/fleet.ts';
import { aFewTurns, rejectionOf } from '../support/surface/wait.ts';

const taken = (key: string): [string, string] => [
  'ERR_RUNTIME_ALREADY_REGISTERED',
  `Tenant "${key}" is already registered`,
];

async function refusal(promise: Promise<unknown>): Promise<[string, string]> {
  const error = await rejectionOf(promise);
  expect(error).toBeInstanceOf(Error);
  return [error.code, error.message];
}

test('while draining', async () => {
  await using bench = setUp();
  bench.runtime.drain();
  const process = handedOver();
  expect(await refusal(bench.runtime.adopt('a', process, { port: 4000 }))).toEqual([
    'ERR_RUNTIME_DRAINING',
    'runtime is draining; adopt() refused',
  ]);
  expect(process.kills).toEqual([]);
  expect(bench.runtime.inspect('a')).toBeNull();
});

test('after dispose, and from its call on', async () => {
  await using bench = setUp();
  const disposed = bench.runtime.dispose();
  const process = handedOver();
  const expected: [string, string] = ['ERR_RUNTIME_DISPOSED', 'runtime has been disposed'];
  expect(await refusal(bench.runtime.adopt('a', process, { port: 4000 }))).toEqual(expected);
  await disposed;
  expect(await refusal(bench.runtime.adopt('a', process, { port: 4000 }))).toEqual(expected);
  expect(await refusal(bench.runtime.adopt('a', { pid: 1 }, { port: 4000 }))).toEqual(expected);
  expect(process.kills).toEqual([]);
});

test('a key that has a process, in whatever state', async () => {
  const { readiness, answer } = manualReadiness();
  answer('ready', true);
  answer('stopping', true);
  answer('stuck', false);
  await using bench = setUp({ readiness, spawnConcurrency: 2 });
  const { runtime, fleet } = bench;
  fleet.prepare = (process) => {
    if (process.key === 'stuck') process.onKill = () => Promise.reject(new Error('no'));
  };
  await runtime.ensure('ready');
  await runtime.ensure('stopping');
  fleet.the('stopping').onKill = ignoresKill;
  void runtime.kill('stopping');
  await rejectionOf(runtime.ensure('stuck'));
  for (const key of ['spawning', 'spawning-2', 'queued']) runtime.ensure(key).catch(() => {});
  await bench.events.seen('spawn', 'spawning-2');

  const process = handedOver();
  for (const key of ['ready', 'stopping', 'stuck', 'spawning', 'queued']) {
    expect(runtime.inspect(key)!.state).toBe(key as any);
    expect(await refusal(runtime.adopt(key, process, { port: 4000 }))).toEqual(taken(key));
    expect(runtime.inspect(key)!.state).toBe(key as any);
  }
  expect(process.kills).toEqual([]);
  expect(bench.events.all('adopt')).toEqual([]);
});

test('two adoptions of one key: the first one wins', async () => {
  await using bench = setUp();
  const processes = [handedOver(), handedOver(), handedOver()];
  const [first, ...others] = processes.map((process) =>
    bench.runtime.adopt('a', process, { port: 4000 }),
  );
  for (const other of others) expect(await refusal(other)).toEqual(taken('a'));
  expect((await first)!.pid).toBe(processes[0]!.pid);
  expect(processes.map(({ kills }) => kills.length)).toEqual([0, 0, 0]);
});

test('a key whose adoption waits for room', async () => {
  await using bench = setUp({ maxConcurrent: 1 });
  await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = ignoresKill;
  const waiting = bench.runtime.adopt('b', handedOver(), { port: 4000 });
  expect(await refusal(bench.runtime.adopt('b', handedOver(), { port: 4000 }))).toEqual(taken('b'));
  bench.fleet.the('a').exit(0);
  await waiting;
});

test('the later end of a refused process changes nothing', async () => {
  await using bench = setUp();
  const tenant = await bench.runtime.ensure('a');
  const process = handedOver();
  await rejectionOf(bench.runtime.adopt('a', process, { port: 4000 }));
  process.exit(0);
  await aFewTurns();
  expect(await bench.runtime.ensure('a')).toBe(tenant);
  expect(bench.events.all('exit')).toEqual([]);
});

test.each([undefined, null, '', '..', '/a', 'a/../b', 7])('%p is no key', async (key) => {
  await using bench = setUp();
  const process = handedOver();
  const [code] = await refusal(bench.runtime.adopt(key as any, process, { port: 4000 }));
  expect(code).toBe('ERR_RUNTIME_INVALID_KEY');
  expect(process.kills).toEqual([]);
});

test.each([null, -1, 1.5, 65_536, NaN, Infinity, '4000', {}, 4000n])(
  '%p is no port',
  async (port) => {
    await using bench = setUp();
    const process = handedOver();
    for (const one of [process, { pid: process.pid }]) {
      const [code, message] = await refusal(bench.runtime.adopt('a', one, { port: port as any }));
      expect(code).toBe('ERR_RUNTIME_INVALID_OPTION');
      expect(message).toStartWith(
        'port must be a whole number from 1 to 65535, or 0 for none, got ',
      );
    }
    expect(process.kills).toEqual([]);
    expect(bench.runtime.inspect('a')).toBeNull();
  },
);

test.each(['startedAt', 'lastTouchedAt'] as const)('a %s that is no time', async (name) => {
  await using bench = setUp();
  for (const value of [-1, NaN, '1', null, {}, new Date()]) {
    const options = { port: 4000, [name]: value as any };
    const [code, message] = await refusal(bench.runtime.adopt('a', handedOver(), options));
    expect(code).toBe('ERR_RUNTIME_INVALID_OPTION');
    expect(message).toStartWith(`${name} must be a number of at least 0, got `);
  }
});

test.each([undefined, null, 7, 'pid', true])('%p is no process', async (process) => {
  await using bench = setUp();
  const [code, message] = await refusal(bench.runtime.adopt('a', process as any, { port: 4000 }));
  expect(code).toBe('ERR_RUNTIME_INVALID_OPTION');
  expect(message).toStartWith('process must be a RuntimeProcess or { pid }, got ');
});

test('the error for an incomplete process names what it lacks', async () => {
  await using bench = setUp();
  const exited = Promise.resolve(0);
  const kill = () => {};
  const wrong: [object, string][] = [
    [{ pid: 7, kill }, 'must have a promise exited, got undefined'],
    [{ pid: 7, exited }, 'must have a function kill, got undefined'],
    [{ exited, kill }, 'must have a positive whole number pid, got undefined'],
    [{ pid: 0, exited, kill }, 'must have a positive whole number pid, got 0'],
    [{ pid: NaN, exited, kill }, 'must have a positive whole number pid, got NaN'],
    [{ pid: 2 ** 31, exited, kill }, 'must have a positive whole number pid, got 2147483648'],
    [{ pid: '7', exited, kill }, 'must have a positive whole number pid, got 7'],
  ];
  for (const [process, problem] of wrong) {
    expect(await refusal(bench.runtime.adopt('a', process as any, { port: 4000 }))).toEqual([
      'ERR_RUNTIME_SPAWN',
      `Runtime process given to adopt ${problem}`,
    ]);
  }
  expect(bench.runtime.list()).toEqual([]);
});

test.each([
  [{}, 'its pid must be a positive whole number, got undefined'],
  [{ pid: 0 }, 'its pid must be a positive whole number, got 0'],
  [{ pid: -1 }, 'its pid must be a positive whole number, got -1'],
  [{ pid: NaN }, 'its pid must be a positive whole number, got NaN'],
  [{ pid: 1.5 }, 'its pid must be a positive whole number, got 1.5'],
  [{ pid: '7' }, 'its pid must be a positive whole number, got 7'],
  [{ pid: 2 ** 31 }, 'its pid must be a positive whole number, got 2147483648'],
  [{ pid: 2 ** 32 + process.pid }, 'its pid must be a positive whole number, got '],
  [{ pid: Infinity }, 'its pid must be a positive whole number, got Infinity'],
  [{ pid: 1 }, "pid 1 can be no tenant's"],
  [{ pid: process.pid }, `pid ${process.pid} can be no tenant's`],
  [{ pid: 2 ** 31 - 1 }, 'there is no process 2147483647'],
])('by pid alone: %p', async (process, problem) => {
  await using bench = setUp();
  const [code, message] = await refusal(bench.runtime.adopt('a', process as any, { port: 4000 }));
  expect(code).toBe('ERR_RUNTIME_SPAWN');
  expect(message).toStartWith(`Tenant "a" cannot adopt the process: ${problem}`);
  expect(bench.runtime.inspect('a')).toBeNull();
});

test('adopt never throws: for any argument the promise rejects with an error of the package', async () => {
  await using bench = setUp();
  const adopt = bench.runtime.adopt as (...values: unknown[]) => Promise<unknown>;
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const trap = new Proxy(
    {},
    {
      get() {
        throw new Error('trapped');
      },
    },
  );
  const unprintable = handedOver({ resourceId: { toString: null } as any });
  const promise = Object.defineProperty(Promise.resolve(0), 'constructor', {
    get() {
      throw new Error('trapped');
    },
  });
  const refused: [string, unknown[]][] = [
    ['ERR_RUNTIME_INVALID_KEY', []],
    ['ERR_RUNTIME_INVALID_KEY', [trap, trap, trap]],
    ['ERR_RUNTIME_INVALID_OPTION', ['a']],
    ['ERR_RUNTIME_INVALID_OPTION', ['a', trap]],
    ['ERR_RUNTIME_INVALID_OPTION', ['a', revoked.proxy]],
    ['ERR_RUNTIME_INVALID_OPTION', ['a', handedOver(), trap]],
    ['ERR_RUNTIME_INVALID_OPTION', ['a', handedOver(), revoked.proxy]],
    ['ERR_RUNTIME_INVALID_OPTION', ['a', unprintable, { port: 4000 }]],
    [
      'ERR_RUNTIME_INVALID_OPTION',
      ['a', { pid: 7, resourceId: unprintable.resourceId }, { port: 4000 }],
    ],
    ['ERR_RUNTIME_INVALID_OPTION', ['a', { pid: 7, kill() {}, exited: promise }, { port: 4000 }]],
  ];
  for (const [code, values] of refused)
    expect((await rejectionOf(adopt(...values))).code).toBe(code);
  expect(bench.runtime.list()).toEqual([]);
});

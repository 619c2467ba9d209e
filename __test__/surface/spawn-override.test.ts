import { expect, test } from 'bun:test';
import { manualReadiness, never, setUp } from '../support/surface/bench.ts';
import { FakeProcess, ignoresKill, obeysWith } from '../support/surface/fleet.ts';
import { aFewTurns, isPending, rejectionOf, within } from '../support/surface/wait.ts';

const empty = { running: 0, total: 0, draining: false };
const boom = new Error('no such image');

for (const [how, spawn] of [
  ['rejects', () => Promise.reject(boom)],
  [
    'throws',
    () => {
      throw boom;
    },
  ],
  [
    'returns a thenable that rejects',
    () => ({ then: (_: unknown, reject: Function) => reject(boom) }),
  ],
] as [string, () => any][]) {
  test(`a spawn that ${how}: every caller gets the same object`, async () => {
    await using bench = setUp({ spawn });
    const all = [bench.runtime.ensure('a'), bench.runtime.ensure('a'), bench.runtime.restart('a')];
    for (const pending of all) expect(await rejectionOf(pending)).toBe(boom);
    expect(bench.runtime.stats()).toEqual({ ...empty, backoff: 1 });
    expect(bench.events.transitions).toEqual([]);
  });
}

test.each(['words', 42, null, undefined, Symbol('s')])(
  'a spawn that rejects with %p',
  async (thrown) => {
    await using bench = setUp({ spawn: () => Promise.reject(thrown) });
    expect(await rejectionOf(bench.runtime.ensure('a'))).toBe(thrown);
    const { message } = await rejectionOf(bench.runtime.ensure('a'));
    expect(message).toEndWith(`Last error: ${String(thrown)}`);
  },
);

test('a spawn that rejects with something that cannot be shown', async () => {
  const thrown = Object.create(null);
  await using bench = setUp({ spawn: () => Promise.reject(thrown) });
  expect(await rejectionOf(bench.runtime.ensure('a'))).toBe(thrown);
  expect((await rejectionOf(bench.runtime.ensure('a'))).code).toBe('ERR_RUNTIME_BACKOFF');
});

test('a thenable instead of a promise is awaited, and only its first answer counts', async () => {
  const processes: FakeProcess[] = [];
  await using bench = setUp({
    spawn: ((args: any) => ({
      then(resolve: (process: FakeProcess) => void, reject: (error: unknown) => void) {
        for (let count = 0; count < 2; count++) processes.push(new FakeProcess(args));
        for (const process of processes) resolve(process);
        reject(new Error('too late'));
      },
    })) as any,
  });
  expect((await bench.runtime.ensure('a')).pid).toBe(processes[0]!.pid);
  await bench.runtime.kill('a');
  expect(processes.map(({ kills }) => kills)).toEqual([[undefined], []]);
});

test('a process that is returned without a promise is taken, too', async () => {
  await using bench = setUp({ spawn: ((args: any) => new FakeProcess(args)) as any });
  expect((await bench.runtime.ensure('a')).key).toBe('a');
});

test('a spawn that never settles: kill and ensure settle all the same', async () => {
  await using bench = setUp({ spawn: () => never(), stopTimeoutMs: 10 });
  const pending = bench.runtime.ensure('a');
  await aFewTurns();
  const [killed] = await within('kill', Promise.allSettled([bench.runtime.kill('a')]));
  await rejectionOf(pending);
  // Whether there is a process is not known, so the tenant stays tracked.
  if (killed!.status === 'rejected') expect(bench.runtime.stats().total).toBe(1);
  else expect(bench.runtime.stats().total).toBe(0);
});

test('a spawn that never settles: dispose settles all the same', async () => {
  await using bench = setUp({ spawn: () => never(), stopTimeoutMs: 10 });
  const pending = bench.runtime.ensure('a');
  await aFewTurns();
  const disposed = bench.runtime.dispose();
  expect((await rejectionOf(pending)).code).toBe('ERR_RUNTIME_DISPOSED');
  await within('dispose', Promise.allSettled([disposed]));
});

for (const [what, stop] of [
  ['dispose', (runtime) => runtime.dispose()],
  ['kill', (runtime) => runtime.kill('a')],
] as [string, (runtime: ReturnType<typeof setUp>['runtime']) => Promise<void>][]) {
  test(`a process that comes only after ${what} was given up is killed`, async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    await using bench = setUp({ stopTimeoutMs: 10 });
    bench.fleet.prepare = () => promise;
    const pending = bench.runtime.ensure('a');
    const process = await bench.fleet.called('a');
    await within(what, Promise.allSettled([stop(bench.runtime), pending]));
    resolve();
    await within('its end', process.exited);
    expect(process.kills.length).toBeGreaterThanOrEqual(1);
    await bench.events.seen('exit', 'a');
    expect(bench.events.transitions.map(({ type }) => type)).toEqual(['spawn', 'exit']);
    expect(bench.runtime.stats()).toEqual({ ...empty, backoff: 0 });
    await within('dispose', bench.runtime.dispose());
  });
}

test('a spawn that fails late, after kill, ends the kill', async () => {
  const { promise, reject } = Promise.withResolvers<never>();
  await using bench = setUp({ spawn: () => promise });
  const pending = bench.runtime.ensure('a');
  await aFewTurns();
  const killed = bench.runtime.kill('a');
  expect(await isPending(killed)).toBeTrue();
  reject(boom);
  await killed;
  await rejectionOf(pending);
  expect(bench.runtime.stats().total).toBe(0);
});

// What `spawn` may return that is no process, field by field.
const good = () => ({ pid: 2 ** 30, exited: never<number>(), kill: () => {} });
const wrong: [string, () => unknown][] = [
  ...[undefined, null, 'process', 42, true].map((value): [string, () => unknown] => [
    `${typeof value} ${value}`,
    () => value,
  ]),
  ['an empty object', () => ({})],
  ...[undefined, null, '1', 0, -1, 1.5, NaN, Infinity, 2 ** 31, 1n].map(
    (pid): [string, () => unknown] => [`pid ${typeof pid} ${pid}`, () => ({ ...good(), pid })],
  ),
  ...[undefined, null, 0, {}, () => {}].map((exited): [string, () => unknown] => [
    `exited ${typeof exited} ${exited}`,
    () => ({ ...good(), exited }),
  ]),
  ...[undefined, null, 'kill', {}].map((kill): [string, () => unknown] => [
    `kill ${typeof kill} ${kill}`,
    () => ({ ...good(), kill }),
  ]),
];

test.each(wrong)('a spawn that returns %s fails', async (_, value) => {
  await using bench = setUp({ spawn: (async () => value()) as any, stopTimeoutMs: 1 });
  const error = await rejectionOf(bench.runtime.ensure('a'));
  expect(error).toBeInstanceOf(Error);
  expect(error.code).toBe('ERR_RUNTIME_SPAWN');
  expect(error.message).toStartWith('Runtime process returned by spawn must ');
  expect(bench.runtime.stats()).toEqual({ ...empty, backoff: 1 });
  expect(bench.events.transitions).toEqual([]);
});

test.each([0, -1, 65_536, 1.5, NaN, Infinity, '3000', {}, true])(
  'the port %p is invalid, and the process is killed',
  async (port) => {
    await using bench = setUp();
    bench.fleet.prepare = (process) => void Object.assign(process, { port });
    const error = await rejectionOf(bench.runtime.ensure('a'));
    expect(error.message).toBe('Runtime process returned an invalid port');
    expect(error.code).toBe('ERR_RUNTIME_SPAWN');
    expect(bench.fleet.the('a').kills).toEqual([undefined]);
    expect(bench.events.transitions).toEqual([]);
    const refused = await rejectionOf(bench.runtime.ensure('a'));
    expect(refused.message).toEndWith('Last error: Runtime process returned an invalid port');
  },
);

test.each([1, 65_535])('the port %p is valid', async (port) => {
  const asked: number[] = [];
  await using bench = setUp({
    readiness: async (args) => {
      asked.push(args.port);
      return true;
    },
  });
  bench.fleet.prepare = (process) => void (process.port = port);
  expect((await bench.runtime.ensure('a')).port).toBe(port);
  expect(asked).toEqual([port]);
  const [spawned, ready] = bench.events.transitions as { port: number }[];
  expect([spawned!.port, ready!.port]).toEqual([port, port]);
  expect(bench.events.metrics[0]).toMatchObject({ type: 'spawn', port });
});

test('a process with an invalid port that does not go is asked once more with SIGKILL', async () => {
  await using bench = setUp({ stopTimeoutMs: 10 });
  bench.fleet.prepare = (process) => void Object.assign(process, { port: 0, onKill: ignoresKill });
  await rejectionOf(bench.runtime.ensure('a'));
  expect(bench.fleet.the('a').kills).toEqual([undefined, 'SIGKILL']);
});

test.each([Infinity, 2 ** 31])(
  'with a stopTimeoutMs of %p it is given that long, and not none',
  async (stopTimeoutMs) => {
    await using bench = setUp({ stopTimeoutMs });
    const end = Promise.withResolvers<void>();
    const slowToEnd = () => void setTimeout(end.resolve, 20);
    bench.fleet.prepare = (process) => void Object.assign(process, { port: 0, onKill: slowToEnd });
    const refused = rejectionOf(bench.runtime.ensure('a'));
    await within('its end', end.promise);
    bench.fleet.the('a').exit(0);
    await refused;
    expect(bench.fleet.the('a').kills).toEqual([undefined]);
  },
);

test('a process with an invalid port whose kill fails is a failed spawn all the same', async () => {
  await using bench = setUp({ stopTimeoutMs: 10 });
  bench.fleet.prepare = (process) =>
    void Object.assign(process, { port: 0, onKill: () => Promise.reject(boom) });
  const { message } = await rejectionOf(bench.runtime.ensure('a'));
  expect(message).toBe('Runtime process returned an invalid port');
});

for (const field of ['pid', 'exited', 'port', 'resourceId'] as const) {
  test(`a ${field} that cannot be read fails the spawn with the same object, and the process is killed`, async () => {
    await using bench = setUp({ stopTimeoutMs: 10 });
    bench.fleet.prepare = (process) =>
      void Object.defineProperty(process, field, {
        get() {
          throw boom;
        },
      });
    expect(await rejectionOf(bench.runtime.ensure('a'))).toBe(boom);
    expect(bench.fleet.the('a').kills[0]).toBeUndefined();
    expect(bench.fleet.the('a').kills.length).toBeGreaterThanOrEqual(1);
    expect(bench.runtime.stats()).toEqual({ ...empty, backoff: 1 });
  });
}

test('the fields of a process are read once, its kill each time', async () => {
  const reads: string[] = [];
  await using bench = setUp({
    spawn: async (args) =>
      new Proxy(new FakeProcess(args), {
        get(target, name) {
          reads.push(String(name));
          const value = Reflect.get(target, name);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      }),
  });
  await bench.runtime.ensure('a');
  for (const name of ['pid', 'exited', 'port', 'resourceId']) {
    expect([name, reads.filter((read) => read === name).length]).toEqual([name, 1]);
  }
  await bench.runtime.kill('a');
});

test('kill is called on its own process', async () => {
  let self: unknown;
  const process = new FakeProcess({ key: 'a', cwd: '', env: {}, onLogLine: () => {} });
  process.onKill = obeysWith(0);
  const kill = process.kill;
  process.kill = function (this: unknown, signal) {
    self = this;
    return kill.call(process, signal);
  };
  await using bench = setUp({ spawn: async () => process });
  await bench.runtime.ensure('a');
  await bench.runtime.kill('a');
  expect(self).toBe(process);
});

test('an env function that throws, or returns something else, fails the spawn', async () => {
  await using bench = setUp({
    env: ((key: string) => {
      if (key === 'throws') throw boom;
      return key === 'null' ? null : { NAME: 7 };
    }) as any,
  });
  expect(await rejectionOf(bench.runtime.ensure('throws'))).toBe(boom);
  for (const key of ['null', 'number']) {
    expect((await rejectionOf(bench.runtime.ensure(key))).code).toBe('ERR_RUNTIME_SPAWN');
  }
  expect(bench.fleet.processes).toEqual([]);
  expect(bench.runtime.stats()).toEqual({ ...empty, backoff: 3 });
});

test('kill is called once, and not awaited, for a process that ends before it is ready, and not for one that was ready', async () => {
  for (const kill of [() => {}, () => Promise.reject(boom), () => never<void>()]) {
    const { readiness, answer } = manualReadiness();
    await using bench = setUp({ readiness });
    const pending = rejectionOf(bench.runtime.ensure('early'));
    await bench.events.seen('spawn', 'early');
    bench.fleet.the('early').onKill = kill;
    bench.fleet.the('early').exit(3);
    expect(await pending).toMatchObject({ code: 'ERR_RUNTIME_EXITED_EARLY', exitCode: 3 });
    expect(bench.fleet.the('early').kills).toHaveLength(1);
    answer('late', true);
    await bench.runtime.ensure('late');
    bench.fleet.the('late').exit(3);
    await bench.events.seen('exit', 'late');
    expect(bench.fleet.the('late').kills).toHaveLength(0);
  }
});

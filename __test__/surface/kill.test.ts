import { expect, test } from 'bun:test';
import { manualReadiness, never, setUp } from '../support/surface/bench.ts';
import { ignoresKill } from '../support/surface/fleet.ts';
import { aFewTurns, isPending, rejectionOf, within } from '../support/surface/wait.ts';

/** A grace period in which a process reacts even on a busy machine. */
const ANSWERED_MS = 500;

const empty = { running: 0, total: 0, draining: false, backoff: 0 };

test('kill asks the process once, without an argument, and resolves after its exit event', async () => {
  await using bench = setUp();
  const { pid } = await bench.runtime.ensure('a');
  const process = bench.fleet.the('a');
  process.onKill = ignoresKill;
  const killed = bench.runtime.kill('a');
  expect(await isPending(killed)).toBeTrue();
  expect(bench.events.all('exit')).toEqual([]);
  process.exit(7);
  expect((await killed) as unknown).toBeUndefined();
  expect(bench.events.all('exit')).toEqual([
    { type: 'exit', key: 'a', pid, exitCode: 7, reason: 'killed' },
  ]);
  expect(process.kills).toEqual([undefined]);
  expect(bench.runtime.stats()).toEqual(empty);
});

test('killing an unknown key resolves and does nothing', async () => {
  await using bench = setUp();
  await bench.runtime.kill('unknown');
  await bench.runtime.ensure('a');
  await bench.runtime.kill('b');
  await bench.runtime.kill('A');
  expect(bench.runtime.stats().running).toBe(1);
  expect(bench.events.all('exit')).toEqual([]);
});

test('killing twice at once asks once, and both resolve after the exit', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  const process = bench.fleet.the('a');
  process.onKill = ignoresKill;
  const both = [bench.runtime.kill('a'), bench.runtime.kill('a')];
  expect(await isPending(Promise.race(both))).toBeTrue();
  process.exit(0);
  await Promise.all(both);
  expect(process.kills).toEqual([undefined]);
  expect(bench.events.all('exit')).toHaveLength(1);
});

test('kill of a key that is just ending joins its end', async () => {
  await using bench = setUp({ maxConcurrent: 1 });
  await bench.runtime.ensure('a');
  const process = bench.fleet.the('a');
  process.onKill = ignoresKill;
  const next = bench.runtime.ensure('b');
  await bench.events.seen('lru-evict', 'a');
  const killed = bench.runtime.kill('a');
  expect(await isPending(killed)).toBeTrue();
  process.exit(0);
  await killed;
  await next;
  // The first cause wins.
  expect(bench.events.all('exit').map(({ reason }) => reason)).toEqual(['lru-evicted']);
  expect(process.kills).toEqual([undefined]);
});

for (const [how, refuse] of [
  ['rejects', (error: Error) => Promise.reject(error)],
  [
    'throws',
    (error: Error) => {
      throw error;
    },
  ],
] as [string, (error: Error) => Promise<void>][]) {
  test(`where the process's kill ${how}, so does kill, with the same object; it can be killed again`, async () => {
    const error = new Error('I stay');
    await using bench = setUp();
    const tenant = await bench.runtime.ensure('a');
    const process = bench.fleet.the('a');
    process.onKill = () => refuse(error);
    expect(await rejectionOf(bench.runtime.kill('a'))).toBe(error);
    expect(bench.runtime.stats()).toEqual({ ...empty, running: 1, total: 1 });
    expect(bench.events.all('exit')).toEqual([]);
    expect(await bench.runtime.ensure('a')).toBe(tenant);

    process.onKill = () => process.exit(0);
    await bench.runtime.kill('a');
    expect(process.kills).toEqual([undefined, undefined]);
    expect(bench.events.all('exit')).toHaveLength(1);
    expect(bench.runtime.stats()).toEqual(empty);
  });
}

test('what kill throws reaches the caller even if it is no error', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  for (const thrown of ['a string', 42, null, undefined]) {
    bench.fleet.the('a').onKill = () => Promise.reject(thrown);
    expect(await rejectionOf(bench.runtime.kill('a'))).toBe(thrown);
  }
});

test('all callers of a refused kill get the same object', async () => {
  const error = new Error('I stay');
  const { promise, reject } = Promise.withResolvers<void>();
  await using bench = setUp();
  await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = () => promise;
  const both = [bench.runtime.kill('a'), bench.runtime.kill('a')];
  await aFewTurns();
  reject(error);
  for (const killed of both) expect(await rejectionOf(killed)).toBe(error);
});

for (const [how, onKill] of [
  ['does nothing', () => {}],
  ['resolves without anything happening', async () => {}],
] as [string, () => void | Promise<void>][]) {
  test(`a kill that ${how}: SIGKILL after stopTimeoutMs, given up after the same again`, async () => {
    const stopTimeoutMs = 100;
    const askedAt: number[] = [];
    await using bench = setUp({ stopTimeoutMs });
    const tenant = await bench.runtime.ensure('a');
    const process = bench.fleet.the('a');
    process.onKill = () => (askedAt.push(performance.now()), onKill());
    const startedAt = performance.now();
    const error = await rejectionOf(bench.runtime.kill('a'));
    const givenUpAt = performance.now();

    expect(process.kills).toEqual([undefined, 'SIGKILL']);
    expect(error.code).toBe('ERR_RUNTIME_STOP_TIMEOUT');
    expect(error).toBeInstanceOf(Error);
    // The clock of the other side is read in whole milliseconds.
    expect(askedAt[1]! - startedAt).toBeGreaterThan(stopTimeoutMs - 2);
    expect(givenUpAt - startedAt).toBeGreaterThan(2 * stopTimeoutMs - 2);
    expect(bench.runtime.stats()).toEqual({ ...empty, running: 1, total: 1 });
    expect(await bench.runtime.ensure('a')).toBe(tenant);

    process.exit(9);
    const exit = await bench.events.seen('exit', 'a');
    expect(exit.exitCode).toBe(9);
    expect(bench.runtime.stats()).toEqual(empty);
    await aFewTurns();
    expect(bench.events.all('exit')).toHaveLength(1);
  });
}

test('a process that was given up can be killed again', async () => {
  await using bench = setUp({ stopTimeoutMs: ANSWERED_MS });
  await bench.runtime.ensure('a');
  const process = bench.fleet.the('a');
  process.onKill = ignoresKill;
  await rejectionOf(bench.runtime.kill('a'));
  process.onKill = (_, signal) => void (signal === 'SIGKILL' && process.exit(0));
  await bench.runtime.kill('a');
  expect(process.kills).toEqual([undefined, 'SIGKILL', undefined, 'SIGKILL']);
  expect(bench.events.all('exit')).toHaveLength(1);
});

test('a process that ends on SIGKILL only is gone after stopTimeoutMs', async () => {
  await using bench = setUp({ stopTimeoutMs: ANSWERED_MS });
  await bench.runtime.ensure('a');
  const process = bench.fleet.the('a');
  process.onKill = (_, signal) => void (signal === 'SIGKILL' && process.exit(null));
  await bench.runtime.kill('a');
  expect(bench.events.all('exit').map(({ reason }) => reason)).toEqual(['killed']);
});

test('a second kill that refuses is a refusal', async () => {
  const error = new Error('not even now');
  await using bench = setUp({ stopTimeoutMs: ANSWERED_MS });
  await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = (_, signal) =>
    signal === 'SIGKILL' ? Promise.reject(error) : never();
  expect(await rejectionOf(bench.runtime.kill('a'))).toBe(error);
});

test('a first kill that rejects after SIGKILL was sent comes too late to matter', async () => {
  const { promise, reject } = Promise.withResolvers<void>();
  await using bench = setUp({ stopTimeoutMs: ANSWERED_MS });
  await bench.runtime.ensure('a');
  const process = bench.fleet.the('a');
  process.onKill = (_, signal) => {
    if (signal === undefined) return promise;
    reject(new Error('too late'));
    setImmediate(() => process.exit(0));
  };
  await bench.runtime.kill('a');
  expect(bench.events.all('exit').map(({ reason }) => reason)).toEqual(['killed']);
});

test('stopTimeoutMs 0: SIGKILL at once', async () => {
  await using bench = setUp({ stopTimeoutMs: 0 });
  await bench.runtime.ensure('a');
  await bench.runtime.kill('a');
  expect(bench.fleet.the('a').kills).toEqual(['SIGKILL']);
});

test('kill before spawn has returned: the process is killed when it comes, and its caller is told', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  await using bench = setUp();
  bench.fleet.prepare = () => promise;
  const pending = bench.runtime.ensure('a');
  const process = await bench.fleet.called('a');
  const killed = bench.runtime.kill('a');
  expect(await isPending(killed)).toBeTrue();
  resolve();
  await killed;
  await rejectionOf(pending);
  expect(process.kills).toEqual([undefined]);
  expect(bench.events.transitions.map(({ type }) => type)).toEqual(['spawn', 'exit']);
  expect(bench.events.all('exit')[0]!.reason).toBe('killed');
  expect(bench.runtime.stats()).toEqual(empty);
});

test('kill in the same tick as ensure: nothing is left, and spawn need not even be called', async () => {
  await using bench = setUp();
  const pending = bench.runtime.ensure('a');
  const killed = bench.runtime.kill('a');
  await within('kill', killed);
  await rejectionOf(pending);
  expect(bench.runtime.stats()).toEqual(empty);
  expect(bench.events.all('exit')).toHaveLength(bench.events.all('spawn').length);
  expect(bench.events.all('ready')).toEqual([]);
});

test('kill during readiness: the exit has the reason killed, and a late answer changes nothing', async () => {
  const { readiness, answer } = manualReadiness();
  await using bench = setUp({ readiness });
  const pending = bench.runtime.ensure('a');
  await bench.events.seen('spawn', 'a');
  await bench.runtime.kill('a');
  await rejectionOf(pending);
  answer('a', true);
  await aFewTurns();
  expect(bench.events.story).toEqual(['spawn a', 'exit a']);
  expect(bench.events.all('exit')[0]!.reason).toBe('killed');
});

test('a process that was never ready and refuses to be killed stays tracked, and can be killed again', async () => {
  const error = new Error('I stay');
  const { readiness } = manualReadiness();
  await using bench = setUp({ readiness });
  const pending = bench.runtime.ensure('a');
  await bench.events.seen('spawn', 'a');
  const process = bench.fleet.the('a');
  process.onKill = () => Promise.reject(error);
  expect(await rejectionOf(bench.runtime.kill('a'))).toBe(error);
  expect(await rejectionOf(pending)).toBe(error);
  expect(bench.runtime.stats()).toEqual({ ...empty, total: 1 });
  process.onKill = () => process.exit(0);
  await bench.runtime.kill('a');
  expect(bench.runtime.stats()).toEqual(empty);
  expect(bench.events.all('exit')).toHaveLength(1);
});

test('after kill the key can be started again', async () => {
  await using bench = setUp();
  const first = await bench.runtime.ensure('a');
  await bench.runtime.kill('a');
  expect(await bench.runtime.ensure('a')).not.toBe(first);
  expect(bench.fleet.of('a')).toHaveLength(2);
});

test('kill leaves the other tenants alone', async () => {
  await using bench = setUp();
  const tenants = await Promise.all(['a', 'b', 'c'].map((key) => bench.runtime.ensure(key)));
  await bench.runtime.kill('b');
  expect(bench.events.all('exit').map(({ key }) => key)).toEqual(['b']);
  expect(await bench.runtime.ensure('a')).toBe(tenants[0]!);
});

test('the grace counts from the call of kill, not from when a busy host was asked to make it', async () => {
  await using bench = setUp({ stopTimeoutMs: 500 });
  await bench.runtime.ensure('a');
  const process = bench.fleet.the('a');
  process.onKill = () => void setTimeout(() => process.exit(0), 10);
  const killed = bench.runtime.kill('a');
  const busyUntil = performance.now() + 700;
  while (performance.now() < busyUntil);
  await killed;
  expect(process.kills).toEqual([undefined]);
});

test('while the promise of kill is pending nothing is given up', async () => {
  const stopped = Promise.withResolvers<void>();
  await using bench = setUp({ stopTimeoutMs: 20 });
  bench.releases.push(() => stopped.resolve());
  await bench.runtime.ensure('container');
  bench.fleet.the('container').onKill = async (container) => {
    await stopped.promise;
    container.exit(137);
  };
  const killed = bench.runtime.kill('container');
  // This stop began before the other one, so when it is given up the other one has had its time,
  // too.
  await bench.runtime.ensure('ignorant');
  bench.fleet.the('ignorant').onKill = ignoresKill;
  for (let time = 1; time <= 2; time++) {
    expect((await rejectionOf(bench.runtime.kill('ignorant'))).code).toBe(
      'ERR_RUNTIME_STOP_TIMEOUT',
    );
    expect(bench.runtime.inspect('container')!.state).toBe('stopping');
  }
  expect(bench.fleet.the('container').kills).toEqual([undefined, 'SIGKILL']);
  stopped.resolve();
  await within('kill', killed);
  bench.fleet.the('ignorant').exit(0);
});

// `replace`: a new process is started beside the one that runs, and serves once it is ready.
import { expect, test } from 'bun:test';
import type { ExitReason, RuntimeTransitionEvent } from '@absolutejs/runtime';
import { manualReadiness, setUp } from '../support/surface/bench.ts';
import { ignoresKill } from '../support/surface/fleet.ts';
import { aFewTurns, isPending, rejectionOf, within } from '../support/surface/wait.ts';

/** A bench whose tenants become ready when the test says so; `a` runs already. */
async function running(options: Parameters<typeof setUp>[0] = {}) {
  const { readiness, answer, fail, forget } = manualReadiness();
  const bench = setUp({ readiness, ...options });
  bench.releases.push(() => answer('a', false));
  answer('a', true);
  const old = await bench.runtime.ensure('a');
  forget('a');
  return { bench, old, answer, fail };
}

const told = (events: RuntimeTransitionEvent[]) =>
  events.map((event) => [event.type, 'pid' in event && event.pid]);

test('the old one serves until the new one is ready, and ends as replaced', async () => {
  const { bench, old, answer } = await running();
  await using _ = bench;
  const { runtime, events, fleet } = bench;
  const replaced = runtime.replace('a');
  await events.seen('spawn', 'a', 2);
  expect(await runtime.ensure('a')).toBe(old);
  answer('a', true);
  const tenant = await within('the new one', replaced);
  expect(tenant).not.toBe(old);
  expect(tenant.pid).toBe(fleet.of('a')[1]!.pid);
  expect(await runtime.ensure('a')).toBe(tenant);
  const exit = await events.seen('exit', 'a');
  expect(exit).toEqual({
    type: 'exit',
    key: 'a',
    pid: old.pid,
    exitCode: null,
    reason: 'replaced',
  });
  expect(told(events.transitions)).toEqual([
    ['spawn', old.pid],
    ['ready', old.pid],
    ['spawn', tenant.pid],
    ['ready', tenant.pid],
    ['exit', old.pid],
  ]);
  expect(await runtime.ensure('a')).toBe(tenant);
  expect(runtime.metrics().totalExits).toMatchObject({ replaced: 1, restarted: 0, killed: 0 });
});

test('both ports differ, and the old one moves no more', async () => {
  const { bench, old, answer } = await running();
  await using _ = bench;
  const touchedAt = old.lastTouchedAt;
  answer('a', true);
  const tenant = await bench.runtime.replace('a');
  expect(tenant.port).not.toBe(old.port);
  await bench.events.seen('exit', 'a');
  bench.runtime.touch('a');
  expect(old.lastTouchedAt).toBe(touchedAt);
});

test('one that is not running is started, back-off or not', async () => {
  await using bench = setUp({ backoff: { baseMs: 60_000 } });
  bench.fleet.prepare = () => {
    throw new Error('no');
  };
  await rejectionOf(bench.runtime.ensure('a'));
  expect((await rejectionOf(bench.runtime.ensure('a'))).code).toBe('ERR_RUNTIME_BACKOFF');
  bench.fleet.prepare = () => {};
  const tenant = await bench.runtime.replace('a');
  expect(await bench.runtime.ensure('a')).toBe(tenant);
});

test('a new one that fails leaves everything as it was', async () => {
  const { bench, old, fail } = await running();
  await using _ = bench;
  const { runtime, events, fleet } = bench;
  const before = runtime.inspect('a');
  const replaced = runtime.replace('a');
  await events.seen('spawn', 'a', 2);
  const reason = new Error('no database');
  fail('a', reason);
  expect(await rejectionOf(replaced)).toBe(reason);
  const exit = await events.seen('exit', 'a');
  expect([exit.pid, exit.reason]).toEqual([fleet.of('a')[1]!.pid, 'readiness-timeout']);
  expect(await runtime.ensure('a')).toBe(old);
  expect(fleet.of('a')[0]!.kills).toEqual([]);
  expect(runtime.stats().backoff).toBe(0);
  expect({ ...runtime.inspect('a')!, lastTouchedAt: 0 }).toEqual({ ...before!, lastTouchedAt: 0 });
});

test('calls of one turn share a process; later ones share one more', async () => {
  const { bench, answer } = await running();
  await using _ = bench;
  const { runtime, events, fleet } = bench;
  const first = [runtime.replace('a'), runtime.replace('a'), runtime.replace('a')];
  await events.seen('spawn', 'a', 2);
  const later = [runtime.replace('a')];
  await aFewTurns();
  later.push(runtime.replace('a'));
  answer('a', true);
  expect(new Set(await within('the first', Promise.all(first))).size).toBe(1);
  expect(await isPending(later[0]!)).toBeTrue();
  expect(fleet.of('a')).toHaveLength(2);
  // A key has two processes at most.
  fleet.of('a')[0]!.exit(0);
  const [one, other] = await within('the later', Promise.all(later));
  expect(one).toBe(other!);
  expect(one!.pid).toBe(fleet.of('a')[2]!.pid);
  expect(fleet.of('a')).toHaveLength(3);
});

test('calls of one turn share a start of what is not running, too', async () => {
  await using bench = setUp();
  const { runtime, fleet } = bench;
  const tenants = await Promise.all([runtime.replace('a'), runtime.replace('a')]);
  expect(tenants[0]).toBe(tenants[1]);
  expect(fleet.of('a')).toHaveLength(1);
});

test('calls for several keys, and other calls of the same turn, keep their order', async () => {
  await using bench = setUp();
  const { runtime, fleet, events } = bench;
  await Promise.all([runtime.ensure('a'), runtime.ensure('b')]);
  const replaced = [runtime.replace('a'), runtime.replace('b')];
  const killed = runtime.kill('a');
  expect((await rejectionOf(replaced[0]!)).code).toBe('ERR_RUNTIME_EXITED_EARLY');
  await within('the kill', killed);
  expect((await replaced[1])!.pid).toBe(fleet.of('b')[1]!.pid);
  const draining = runtime.replace('b');
  runtime.drain();
  expect((await draining).pid).toBe(fleet.of('b')[2]!.pid);
  expect(events.all('drain')).toHaveLength(1);
});

test('the longest drainMs of the calls that share a process counts', async () => {
  const { bench, answer } = await running();
  await using _ = bench;
  answer('a', true);
  const { runtime, fleet } = bench;
  await Promise.all([0, 30_000, 0].map((drainMs) => runtime.replace('a', { drainMs })));
  await aFewTurns();
  expect(fleet.of('a')[0]!.kills).toEqual([]);
});

test('an abort of one of the calls that share a process leaves it to the others', async () => {
  const { bench, old, answer } = await running();
  await using _ = bench;
  const { runtime, fleet } = bench;
  const aborts = [0, 1].map(() => new AbortController());
  const calls = aborts.map(({ signal }) => runtime.replace('a', { signal }));
  aborts[0]!.abort();
  expect((await rejectionOf(calls[0]!)).code).toBe('ERR_RUNTIME_ABORTED');
  answer('a', true);
  const tenant = await within('the other', calls[1]!);
  expect(tenant.pid).toBe(fleet.of('a')[1]!.pid);
  // All of a turn, in that turn: nothing is started.
  const none = new AbortController();
  const called = runtime.replace('a', { signal: none.signal });
  none.abort();
  expect((await rejectionOf(called)).code).toBe('ERR_RUNTIME_ABORTED');
  await aFewTurns();
  expect(fleet.of('a')).toHaveLength(2);
  expect(tenant.pid).not.toBe(old.pid);
});

test('without a place for a second process it is refused at once', async () => {
  const { bench, old } = await running({ maxConcurrent: 1 });
  await using _ = bench;
  const error = await rejectionOf(bench.runtime.replace('a'));
  expect([error.code, error.key]).toEqual(['ERR_RUNTIME_OVERLOADED', 'a']);
  expect(error.message).toContain('maxConcurrent');
  expect(await bench.runtime.ensure('a')).toBe(old);
});

test('it waits for a place like any start, for which another tenant leaves', async () => {
  await using bench = setUp({ maxConcurrent: 2 });
  const { runtime, events } = bench;
  const old = await runtime.ensure('a');
  const other = await runtime.ensure('b');
  await bench.tenuresEnd();
  const tenant = await within('the new one', runtime.replace('a'));
  expect(tenant.pid).not.toBe(old.pid);
  const evicted = await events.seen('lru-evict');
  expect(evicted.pid).toBe(other.pid);
});

test('draining and dispose refuse it before anything is started', async () => {
  const { bench, old } = await running();
  await using _ = bench;
  bench.runtime.drain();
  const draining = await rejectionOf(bench.runtime.replace('a'));
  expect([draining.code, draining.message, draining.key]).toEqual([
    'ERR_RUNTIME_DRAINING',
    'runtime is draining; replace() refused',
    'a',
  ]);
  expect(await bench.runtime.ensure('a')).toBe(old);
  await bench.runtime.dispose();
  expect((await rejectionOf(bench.runtime.replace('a'))).code).toBe('ERR_RUNTIME_DISPOSED');
  expect(bench.fleet.of('a')).toHaveLength(1);
});

for (const [call, reasons] of [
  ['kill', ['killed', 'killed']],
  ['restart', ['restarted', 'restarted']],
  ['dispose', ['disposed', 'disposed']],
] satisfies ['kill' | 'restart' | 'dispose', ExitReason[]][])
  test(`${call} ends both`, async () => {
    const { bench, answer } = await running();
    await using _ = bench;
    const { runtime, events, fleet } = bench;
    const replaced = runtime.replace('a');
    replaced.catch(() => {});
    await events.seen('spawn', 'a', 2);
    const ended: Promise<unknown> = call === 'dispose' ? runtime.dispose() : runtime[call]('a');
    await events.seen('exit', 'a', 2);
    answer('a', true);
    await within(call, ended);
    expect(events.all('exit').map(({ reason }) => reason)).toEqual(reasons);
    if (call === 'restart') {
      // The restarted process is what the replacement waits for, too.
      expect(await within('the new one', replaced)).toBe((await ended) as never);
      expect(fleet.of('a')).toHaveLength(3);
    } else {
      expect((await rejectionOf(replaced)).code).toBe(
        call === 'kill' ? 'ERR_RUNTIME_EXITED_EARLY' : 'ERR_RUNTIME_DISPOSED',
      );
    }
  });

test('an abort calls the new one off, and the old one goes on', async () => {
  const { bench, old } = await running();
  await using _ = bench;
  const { runtime, events } = bench;
  const abort = new AbortController();
  const replaced = runtime.replace('a', { signal: abort.signal });
  const { pid } = await events.seen('spawn', 'a', 2);
  abort.abort(new Error('enough'));
  const error = await rejectionOf(replaced);
  expect([error.code, error.cause]).toEqual(['ERR_RUNTIME_ABORTED', abort.signal.reason]);
  const exit = await events.seen('exit', 'a');
  expect([exit.pid, exit.reason]).toEqual([pid, 'killed']);
  expect(await runtime.ensure('a')).toBe(old);
});

test('an adopted process is replaced by one that is started', async () => {
  await using bench = setUp();
  const { runtime, fleet, events } = bench;
  const process = await fleet.spawn({ key: 'a', cwd: '', env: {}, onLogLine() {} });
  const old = await runtime.adopt('a', process, { port: 9 });
  const tenant = await runtime.replace('a', { drainMs: 0 });
  expect(tenant.pid).toBe(fleet.of('a')[1]!.pid);
  const exit = await events.seen('exit', 'a');
  expect([exit.pid, exit.reason]).toEqual([old.pid, 'replaced']);
});

test('what tenant and env say is asked anew', async () => {
  let release = 1;
  await using bench = setUp({
    env: () => ({ RELEASE: String(release) }),
    tenant: () => ({ warm: release === 2 }),
  });
  await bench.runtime.ensure('a');
  release = 2;
  await bench.runtime.replace('a');
  expect(bench.fleet.of('a').map(({ args }) => args.env.RELEASE)).toEqual(['1', '2']);
  // It is warm now, so it comes back when it ends.
  bench.fleet.of('a')[1]!.exit(1);
  await bench.events.seen('ready', 'a', 3);
});

test('lines and observations of both carry their pids', async () => {
  const { bench, old, answer } = await running({ observeIntervalMs: 0 });
  await using _ = bench;
  const { runtime, events, fleet } = bench;
  const replaced = runtime.replace('a');
  await events.seen('spawn', 'a', 2);
  fleet.of('a')[0]!.log('old');
  fleet.of('a')[1]!.log('new');
  answer('a', true);
  const { pid } = await replaced;
  expect(events.logs.map(({ line, pid }) => [line, pid])).toEqual([
    ['old', old.pid],
    ['new', pid],
  ]);
});

test('drainMs 0 asks the old one to end at once', async () => {
  const { bench, answer } = await running();
  await using _ = bench;
  answer('a', true);
  await bench.runtime.replace('a', { drainMs: 0 });
  await aFewTurns();
  expect(bench.fleet.of('a')[0]!.kills).toEqual([undefined]);
});

test('options that are wrong refuse the call, and start nothing', async () => {
  const { bench } = await running();
  await using _ = bench;
  for (const [options, problem] of [
    [{ drainMs: -1 }, 'drainMs must be'],
    [{ drainMs: '5s' }, 'drainMs must be'],
    [{ drainMs: NaN }, 'drainMs must be'],
    [{ drainMS: 5 }, 'did you mean drainMs?'],
    [{ signal: {} }, 'signal must be an AbortSignal'],
    [AbortSignal.timeout(1_000), 'options must be { signal, drainMs }'],
  ] as const) {
    const error = await rejectionOf(bench.runtime.replace('a', options as never));
    expect([error.code, error.key]).toEqual(['ERR_RUNTIME_INVALID_OPTION', 'a']);
    expect(error.message).toContain(problem);
  }
  for (const key of ['', '..', 7]) {
    const error = await rejectionOf(bench.runtime.replace(key as string));
    expect(error.code).toBe('ERR_RUNTIME_INVALID_KEY');
  }
  expect(bench.fleet.of('a')).toHaveLength(1);
});

test('it needs no this, and does not show among the enumerable members', async () => {
  await using bench = setUp();
  const { replace } = bench.runtime;
  expect(await replace('a')).toMatchObject({ key: 'a' });
  expect(Object.keys(bench.runtime)).not.toContain('replace');
});

import { expect, test } from 'bun:test';
import { manualReadiness, setUp } from '../support/surface/bench.ts';
import { ignoresKill } from '../support/surface/fleet.ts';
import { isPending, rejectionOf } from '../support/surface/wait.ts';

test('restart stops the running process, then starts a fresh one', async () => {
  await using bench = setUp();
  const old = await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = ignoresKill;
  const restarted = bench.runtime.restart('a');
  expect(await isPending(restarted)).toBeTrue();
  expect(bench.fleet.of('a')).toHaveLength(1);
  bench.fleet.the('a').exit(0);
  const fresh = await restarted;
  expect(fresh).not.toBe(old);
  expect(fresh.pid).toBe(bench.fleet.of('a')[1]!.pid);
  expect(bench.events.transitions.slice(2)).toEqual([
    { type: 'exit', key: 'a', pid: old.pid, exitCode: 0, reason: 'restarted' },
    expect.objectContaining({ type: 'spawn', key: 'a', pid: fresh.pid }),
    expect.objectContaining({ type: 'ready', key: 'a', pid: fresh.pid }),
  ]);
});

test('a key that is not running is spawned', async () => {
  await using bench = setUp();
  const tenant = await bench.runtime.restart('a');
  expect(await bench.runtime.ensure('a')).toBe(tenant);
  expect(bench.events.transitions.map(({ type }) => type)).toEqual(['spawn', 'ready']);
});

test('concurrent calls share one respawn', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  const tenants = await Promise.all([1, 2, 3].map(() => bench.runtime.restart('a')));
  expect(new Set(tenants).size).toBe(1);
  expect(bench.fleet.of('a')).toHaveLength(2);
  expect(bench.fleet.of('a')[0]!.kills).toEqual([undefined]);
});

test('a restart while the fresh process is being started joins it', async () => {
  const { readiness, answer, forget } = manualReadiness();
  answer('a', true);
  await using bench = setUp({ readiness });
  await bench.runtime.ensure('a');
  forget('a');
  const first = bench.runtime.restart('a');
  await bench.events.seen('spawn', 'a', 2);
  const second = bench.runtime.restart('a');
  answer('a', true);
  expect(await first).toBe(await second);
  expect(bench.fleet.of('a')).toHaveLength(2);
});

test('concurrent calls for a key that is not running share one spawn', async () => {
  await using bench = setUp();
  const tenants = await Promise.all([1, 2, 3].map(() => bench.runtime.restart('a')));
  expect(new Set(tenants).size).toBe(1);
  expect(bench.fleet.of('a')).toHaveLength(1);
});

test('ensure during a restart gets the fresh tenant', async () => {
  await using bench = setUp();
  const old = await bench.runtime.ensure('a');
  const [fresh, joined] = await Promise.all([
    bench.runtime.restart('a'),
    bench.runtime.ensure('a'),
  ]);
  expect(joined).toBe(fresh);
  expect(joined).not.toBe(old);
  expect(bench.fleet.of('a')).toHaveLength(2);
});

test('restart of a key that is being started replaces that process, and waiting callers get the fresh one', async () => {
  const { readiness, answer } = manualReadiness();
  await using bench = setUp({ readiness });
  const waiting = bench.runtime.ensure('a');
  await bench.events.seen('spawn', 'a');
  const restarted = bench.runtime.restart('a');
  await bench.events.seen('spawn', 'a', 2);
  answer('a', true);
  const fresh = await restarted;
  expect(fresh.pid).toBe(bench.fleet.of('a')[1]!.pid);
  expect(await waiting).toBe(fresh);
  expect(bench.events.all('exit').map(({ reason }) => reason)).toEqual(['restarted']);
  expect(bench.runtime.stats().backoff).toBe(0);
});

test('restart while the key is being killed waits for that, then spawns', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  const process = bench.fleet.the('a');
  process.onKill = ignoresKill;
  const killed = bench.runtime.kill('a');
  const restarted = bench.runtime.restart('a');
  expect(await isPending(restarted)).toBeTrue();
  process.exit(0);
  await killed;
  expect((await restarted).pid).toBe(bench.fleet.of('a')[1]!.pid);
  expect(process.kills).toEqual([undefined]);
  expect(bench.events.all('exit').map(({ reason }) => reason)).toEqual(['killed']);
});

test('a kill during the stop of a restart cancels the new start', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  const process = bench.fleet.the('a');
  process.onKill = ignoresKill;
  const restarted = bench.runtime.restart('a');
  const killed = bench.runtime.kill('a');
  process.exit(0);
  await killed;
  await rejectionOf(restarted);
  expect(bench.fleet.of('a')).toHaveLength(1);
  expect(bench.runtime.stats().total).toBe(0);
  expect(bench.events.all('exit').map(({ reason }) => reason)).toEqual(['restarted']);
});

test('restart ignores the back-off window, and emits no backoff event', async () => {
  let isReady = false;
  await using bench = setUp({ readiness: async () => isReady, backoff: { baseMs: 60_000 } });
  await rejectionOf(bench.runtime.ensure('a'));
  expect(bench.runtime.stats().backoff).toBe(1);
  isReady = true;
  expect((await bench.runtime.restart('a')).key).toBe('a');
  expect(bench.events.all('backoff')).toEqual([]);
  expect(bench.runtime.stats()).toEqual({ running: 1, total: 1, draining: false, backoff: 0 });
});

test('a restart that fails counts as a failure', async () => {
  await using bench = setUp({ readiness: async () => false, backoff: { baseMs: 60_000 } });
  await rejectionOf(bench.runtime.ensure('a'));
  await rejectionOf(bench.runtime.restart('a'));
  expect((await rejectionOf(bench.runtime.ensure('a'))).attempt).toBe(2);
});

test('while draining it is refused before anything is killed', async () => {
  await using bench = setUp();
  const tenant = await bench.runtime.ensure('a');
  bench.runtime.drain();
  for (const key of ['a', 'unknown']) {
    const error = await rejectionOf(bench.runtime.restart(key));
    expect(error.message).toBe('runtime is draining; ensure() refused');
    expect(error.code).toBe('ERR_RUNTIME_DRAINING');
  }
  expect(bench.fleet.the('a').kills).toEqual([]);
  expect(await bench.runtime.ensure('a')).toBe(tenant);
});

test('after dispose it is refused', async () => {
  await using bench = setUp();
  await bench.runtime.dispose();
  const error = await rejectionOf(bench.runtime.restart('a'));
  expect([error.message, error.code]).toEqual([
    'runtime has been disposed',
    'ERR_RUNTIME_DISPOSED',
  ]);
});

test('a process that refuses to be killed makes restart reject with the same object, and runs on', async () => {
  const refusal = new Error('I stay');
  await using bench = setUp();
  const tenant = await bench.runtime.ensure('a');
  const process = bench.fleet.the('a');
  process.onKill = () => Promise.reject(refusal);
  const both = [bench.runtime.restart('a'), bench.runtime.restart('a')];
  for (const restarted of both) expect(await rejectionOf(restarted)).toBe(refusal);
  expect(bench.fleet.of('a')).toHaveLength(1);
  expect(await bench.runtime.ensure('a')).toBe(tenant);

  process.onKill = () => process.exit(0);
  expect((await bench.runtime.restart('a')).pid).not.toBe(tenant.pid);
});

test('when the fresh process does not start, restart rejects and nothing runs', async () => {
  const failure = new Error('no second time');
  await using bench = setUp();
  await bench.runtime.ensure('a');
  bench.fleet.prepare = () => Promise.reject(failure);
  expect(await rejectionOf(bench.runtime.restart('a'))).toBe(failure);
  expect(bench.runtime.stats()).toEqual({ running: 0, total: 0, draining: false, backoff: 1 });
});

test('one restart after the other makes a fresh process each', async () => {
  await using bench = setUp();
  const pids = new Set<number>();
  for (let round = 0; round < 4; round++) pids.add((await bench.runtime.restart('a')).pid);
  expect(pids.size).toBe(4);
  expect(bench.events.all('exit').map(({ reason }) => reason)).toEqual(Array(3).fill('restarted'));
});

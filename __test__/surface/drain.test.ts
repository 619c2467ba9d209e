import { expect, test } from 'bun:test';
import { manualReadiness, setUp } from '../support/surface/bench.ts';
import { ignoresKill } from '../support/surface/fleet.ts';
import { aFewTurns, rejectionOf } from '../support/surface/wait.ts';

async function expectDraining(promise: Promise<unknown>): Promise<void> {
  const error = await rejectionOf(promise);
  expect(error).toBeInstanceOf(Error);
  expect([error.message, error.code]).toEqual([
    'runtime is draining; ensure() refused',
    'ERR_RUNTIME_DRAINING',
  ]);
}

test('one drain event however often it is called', async () => {
  await using bench = setUp();
  for (let call = 0; call < 3; call++) bench.runtime.drain();
  await bench.events.seen('drain');
  bench.runtime.drain();
  await aFewTurns();
  expect(bench.events.transitions).toEqual([{ type: 'drain', reason: 'drain-requested' }]);
});

test('new keys are refused, without spawning', async () => {
  await using bench = setUp();
  bench.runtime.drain();
  await expectDraining(bench.runtime.ensure('a'));
  await expectDraining(bench.runtime.restart('a'));
  expect(bench.fleet.processes).toEqual([]);
  expect(bench.runtime.stats()).toEqual({ running: 0, total: 0, draining: true, backoff: 0 });
});

test('running keys go on, and ensure of them resolves and touches', async () => {
  await using bench = setUp();
  const tenant = await bench.runtime.ensure('a');
  bench.runtime.drain();
  const before = Date.now();
  expect(await bench.runtime.ensure('a')).toBe(tenant);
  expect(tenant.lastTouchedAt).toBeGreaterThanOrEqual(before);
  expect(bench.fleet.the('a').kills).toEqual([]);
  expect(bench.runtime.stats()).toEqual({ running: 1, total: 1, draining: true, backoff: 0 });
});

test('what is spawning goes on, and can still be joined', async () => {
  const { readiness, answer } = manualReadiness();
  await using bench = setUp({ readiness });
  const before = bench.runtime.ensure('a');
  bench.runtime.drain();
  await bench.events.seen('spawn', 'a');
  const after = bench.runtime.ensure('a');
  answer('a', true);
  expect(await after).toBe(await before);
});

test('a key that is being stopped is refused', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = ignoresKill;
  const killed = bench.runtime.kill('a');
  bench.runtime.drain();
  await expectDraining(bench.runtime.ensure('a'));
  bench.fleet.the('a').exit(0);
  await killed;
  expect(bench.fleet.processes).toHaveLength(1);
});

test('a tenant that crashes while draining is not started again', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  bench.runtime.drain();
  bench.fleet.the('a').exit(1);
  await bench.events.seen('exit', 'a');
  await expectDraining(bench.runtime.ensure('a'));
});

test('idle stops go on', async () => {
  await using bench = setUp({ idleAfterMs: 20, sweepIntervalMs: 5 });
  await bench.runtime.ensure('a');
  bench.runtime.drain();
  expect((await bench.events.seen('exit', 'a')).reason).toBe('idle-killed');
});

test('kill and dispose go on', async () => {
  await using bench = setUp();
  for (const key of ['a', 'b']) await bench.runtime.ensure(key);
  bench.runtime.drain();
  await bench.runtime.kill('a');
  await bench.runtime.dispose();
  expect(bench.events.all('exit').map(({ key, reason }) => [key, reason])).toEqual([
    ['a', 'killed'],
    ['b', 'disposed'],
  ]);
});

test('drain from within an event works', async () => {
  await using bench = setUp({
    onTransition: (event) => {
      bench.events.callbacks.onTransition(event);
      if (event.type === 'spawn') bench.runtime.drain();
    },
  });
  expect((await bench.runtime.ensure('a')).key).toBe('a');
  await expectDraining(bench.runtime.ensure('b'));
  expect(bench.events.transitions.map(({ type }) => type)).toEqual(['spawn', 'drain', 'ready']);
});

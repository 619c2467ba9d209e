// `restart` with a signal: the old process is stopped all the same, and without a waiting call no
// new one is started.
import { expect, test } from 'bun:test';
import { manualReadiness, setUp } from '../support/surface/bench.ts';
import { ignoresKill } from '../support/surface/fleet.ts';
import { aFewTurns, rejectionOf } from '../support/surface/wait.ts';

async function expectAborted(promise: Promise<unknown>): Promise<void> {
  expect((await rejectionOf(promise)).code).toBe('ERR_RUNTIME_ABORTED');
}

test('while the old process is being stopped: it is stopped all the same, and no new one is started', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = ignoresKill;
  const controller = new AbortController();
  const restarted = bench.runtime.restart('a', { signal: controller.signal });
  await aFewTurns();
  expect(bench.fleet.the('a').kills).toEqual([undefined]);
  controller.abort();
  await expectAborted(restarted);
  expect(bench.runtime.inspect('a')!.state).toBe('stopping');
  bench.fleet.the('a').exit(0);
  expect((await bench.events.seen('exit', 'a')).reason).toBe('restarted');
  await aFewTurns();
  expect(bench.fleet.of('a').length).toBe(1);
  expect(bench.runtime.stats()).toMatchObject({ running: 0, total: 0 });
  // The room is free again.
  await bench.runtime.ensure('a');
});

test('in the tick of the call: the old process is stopped, too', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  const controller = new AbortController();
  const restarted = bench.runtime.restart('a', { signal: controller.signal });
  controller.abort();
  await expectAborted(restarted);
  expect((await bench.events.seen('exit', 'a')).reason).toBe('restarted');
  await aFewTurns();
  expect(bench.fleet.of('a').length).toBe(1);
});

test('while the new process is being started: that is stopped as killed', async () => {
  const { readiness, answer, forget } = manualReadiness();
  await using bench = setUp({ readiness });
  answer('a', true);
  await bench.runtime.ensure('a');
  forget('a');
  const controller = new AbortController();
  const restarted = bench.runtime.restart('a', { signal: controller.signal });
  await bench.events.seen('spawn', 'a', 2);
  controller.abort();
  await expectAborted(restarted);
  await bench.events.seen('exit', 'a', 2);
  expect(bench.events.all('exit').map(({ reason }) => reason)).toEqual(['restarted', 'killed']);
  expect(bench.runtime.metrics()).toMatchObject({ total: 0, totalBackoffEntries: 0 });
});

test('while another restart or an ensure waits, the new process is started', async () => {
  await using bench = setUp();
  const old = await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = ignoresKill;
  const controllers = [new AbortController(), new AbortController()];
  const [first, second] = controllers.map(({ signal }) => bench.runtime.restart('a', { signal }));
  const ensured = bench.runtime.ensure('a');
  for (const controller of controllers) controller.abort();
  await expectAborted(first!);
  await expectAborted(second!);
  bench.fleet.the('a').exit(0);
  const tenant = await ensured;
  expect(tenant).not.toBe(old);
  expect(bench.fleet.of('a').length).toBe(2);
});

test('of an adoption that waits for room: the adoption goes on, and its process is not replaced', async () => {
  await using bench = setUp({ maxConcurrent: 1 });
  await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = ignoresKill;
  const controller = new AbortController();
  const process = bench.fleet.the('a');
  const adopted = bench.runtime.adopt(
    'b',
    {
      pid: process.pid + 1_000,
      exited: new Promise<null>(() => {}),
      kill: () => Promise.reject(new Error('no')),
    },
    { port: 4000 },
  );
  const restarted = bench.runtime.restart('b', { signal: controller.signal });
  controller.abort();
  await expectAborted(restarted);
  process.exit(0);
  const tenant = await adopted;
  await aFewTurns();
  expect(await bench.runtime.ensure('b')).toBe(tenant);
});

test('a process whose kill fails stays the tenant', async () => {
  await using bench = setUp();
  const tenant = await bench.runtime.ensure('a');
  const refusal = Promise.withResolvers<void>();
  bench.fleet.the('a').onKill = () => refusal.promise;
  const controller = new AbortController();
  const restarted = bench.runtime.restart('a', { signal: controller.signal });
  await aFewTurns();
  controller.abort();
  await expectAborted(restarted);
  refusal.reject(new Error('no'));
  await aFewTurns();
  expect(bench.runtime.inspect('a')!.state).toBe('ready');
  expect(await bench.runtime.ensure('a')).toBe(tenant);
});

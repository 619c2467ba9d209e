// `ensure` and `restart` with a signal: a caller stops waiting, and the start is cancelled or goes
// on.
import { expect, test } from 'bun:test';
import { expectAborted } from '../support/surface/aborted.ts';
import { manualReadiness, setUp } from '../support/surface/bench.ts';
import { ignoresKill } from '../support/surface/fleet.ts';
import { aFewTurns, isPending, rejectionOf, within } from '../support/surface/wait.ts';

test('while it waits for room: nothing is started, and no other tenant is evicted for it', async () => {
  const { readiness, answer } = manualReadiness();
  await using bench = setUp({ maxConcurrent: 1, readiness });
  const first = bench.runtime.ensure('a');
  await bench.events.seen('spawn', 'a');
  const controller = new AbortController();
  const second = bench.runtime.ensure('b', { signal: controller.signal });
  expect(bench.runtime.inspect('b')!.state).toBe('queued');
  controller.abort();
  await expectAborted(second, 'b', controller.signal.reason);
  expect(bench.runtime.inspect('b')).toBeNull();
  answer('a', true);
  const tenant = await first;
  await aFewTurns();
  expect(await bench.runtime.ensure('a')).toBe(tenant);
  expect(bench.events.story).toEqual(['spawn a', 'metric spawn a', 'ready a']);
});

test('while it waits at the gate: the next one gets its turn', async () => {
  const { readiness, answer } = manualReadiness();
  await using bench = setUp({ spawnConcurrency: 1, readiness });
  const first = bench.runtime.ensure('a');
  await bench.events.seen('spawn', 'a');
  const controller = new AbortController();
  const second = bench.runtime.ensure('b', { signal: controller.signal });
  const third = bench.runtime.ensure('c');
  controller.abort();
  await expectAborted(second, 'b');
  expect(bench.runtime.stats().total).toBe(2);
  for (const key of ['a', 'c']) answer(key, true);
  await Promise.all([first, third]);
  expect(bench.fleet.of('b')).toEqual([]);
});

test('while it is being started: stopped as killed, and no failure is remembered', async () => {
  const { readiness, answer, forget } = manualReadiness();
  await using bench = setUp({ readiness });
  const controller = new AbortController();
  const pending = bench.runtime.ensure('a', { signal: controller.signal });
  await bench.events.seen('spawn', 'a');
  const reason = { any: 'value' };
  controller.abort(reason);
  await expectAborted(pending, 'a', reason);
  expect((await bench.events.seen('exit', 'a')).reason).toBe('killed');
  expect(bench.fleet.the('a').kills).toEqual([undefined]);
  expect(bench.runtime.inspect('a')).toMatchObject({ state: 'stopped', attempt: 0 });
  expect(bench.runtime.metrics()).toMatchObject({ total: 0, backoff: 0, totalBackoffEntries: 0 });

  forget('a');
  answer('a', true);
  await bench.runtime.ensure('a');
});

test('the call rejects at once, however long the process takes to end', async () => {
  const { readiness, answer } = manualReadiness();
  await using bench = setUp({ readiness });
  const controller = new AbortController();
  const pending = bench.runtime.ensure('a', { signal: controller.signal });
  await bench.events.seen('spawn', 'a');
  bench.fleet.the('a').onKill = ignoresKill;
  controller.abort();
  await expectAborted(pending, 'a');
  expect(bench.runtime.inspect('a')!.state).toBe('stopping');
  const again = bench.runtime.ensure('a');
  expect(await isPending(again)).toBe(true);
  bench.fleet.the('a').exit(0);
  answer('a', true);
  expect((await again).pid).toBe(bench.fleet.of('a')[1]!.pid);
});

test('before spawn has given a process: it is ended as soon as there is one', async () => {
  const spawned = Promise.withResolvers<void>();
  await using bench = setUp();
  bench.fleet.prepare = () => spawned.promise;
  const controller = new AbortController();
  const pending = bench.runtime.ensure('a', { signal: controller.signal });
  const process = await bench.fleet.called('a');
  controller.abort();
  await expectAborted(pending, 'a');
  spawned.resolve();
  expect(await bench.events.seen('exit', 'a')).toMatchObject({
    pid: process.pid,
    reason: 'killed',
  });
  expect(bench.runtime.metrics().totalBackoffEntries).toBe(0);
});

test('in the tick of the call: spawn is never called', async () => {
  await using bench = setUp();
  const controller = new AbortController();
  const pending = bench.runtime.ensure('a', { signal: controller.signal });
  controller.abort();
  await expectAborted(pending, 'a');
  await aFewTurns();
  expect(bench.fleet.processes).toEqual([]);
  expect(bench.events.transitions).toEqual([]);
  expect(bench.runtime.stats().total).toBe(0);
});

test('while another caller waits the start goes on', async () => {
  const { readiness, answer } = manualReadiness();
  await using bench = setUp({ readiness });
  const [one, two] = [new AbortController(), new AbortController()];
  const aborted = bench.runtime.ensure('a', { signal: one.signal });
  const patient = bench.runtime.ensure('a', { signal: two.signal });
  const plain = bench.runtime.ensure('a');
  await bench.events.seen('spawn', 'a');
  one.abort();
  await expectAborted(aborted, 'a');
  answer('a', true);
  expect(await patient).toBe(await plain);
  expect(bench.fleet.of('a').length).toBe(1);
  expect(bench.fleet.the('a').kills).toEqual([]);
});

test('when the last of several callers aborts, the start is stopped', async () => {
  const { readiness } = manualReadiness();
  await using bench = setUp({ readiness });
  const controllers = [1, 2, 3].map(() => new AbortController());
  const calls = controllers.map(({ signal }) => bench.runtime.ensure('a', { signal }));
  await bench.events.seen('spawn', 'a');
  for (const [index, controller] of controllers.entries()) {
    expect(bench.fleet.the('a').kills).toEqual([]);
    controller.abort();
    await expectAborted(calls[index]!, 'a');
  }
  expect((await bench.events.seen('exit', 'a')).reason).toBe('killed');
});

test('one signal for many keys', async () => {
  const { readiness } = manualReadiness();
  await using bench = setUp({ readiness, spawnConcurrency: 2 });
  const controller = new AbortController();
  const keys = ['a', 'b', 'c', 'd'];
  const calls = keys.map((key) => bench.runtime.ensure(key, { signal: controller.signal }));
  await bench.events.seen('spawn', 'b');
  controller.abort();
  for (const [index, call] of calls.entries()) await expectAborted(call, keys[index]!);
  await bench.events.until('both exits', () => bench.events.all('exit').length === 2);
  expect(bench.events.all('spawn').length).toBe(2);
  expect(bench.runtime.stats().total).toBe(0);
});

test('within the spawn event', async () => {
  const controller = new AbortController();
  await using bench = setUp({
    onTransition(event) {
      bench.events.callbacks.onTransition(event);
      if (event.type === 'spawn') controller.abort();
    },
  });
  await expectAborted(bench.runtime.ensure('a', { signal: controller.signal }), 'a');
  expect((await bench.events.seen('exit', 'a')).reason).toBe('killed');
});

test('within the ready event: the call is aborted, and the tenant is there', async () => {
  const controller = new AbortController();
  await using bench = setUp({
    onTransition: (event) => void (event.type === 'ready' && controller.abort()),
  });
  await expectAborted(bench.runtime.ensure('a', { signal: controller.signal }), 'a');
  const { pid } = await bench.runtime.ensure('a');
  expect(pid).toBe(bench.fleet.the('a').pid);
  expect(bench.fleet.of('a').length).toBe(1);
});

// The unread rest of the answer to an aborted call was once read as the next record, with the
// run's number as its kind.
test('within the ready event: no record is misread, whatever the number of the run', async () => {
  const controllers = new Map<string, AbortController>();
  await using bench = setUp({
    onTransition(event) {
      bench.events.callbacks.onTransition(event);
      if (event.type === 'ready') controllers.get(event.key)?.abort();
    },
  });
  for (let run = 1; run <= 60; run += 2) {
    const controller = new AbortController();
    controllers.set(`a${run}`, controller);
    const aborted = bench.runtime.ensure(`a${run}`, { signal: controller.signal });
    const answered = bench.runtime.ensure(`b${run}`);
    await expectAborted(aborted, `a${run}`);
    expect((await within('an answer', answered)).key).toBe(`b${run}`);
  }
  expect(bench.fleet.processes.length).toBe(60);
  expect(bench.runtime.stats()).toEqual({ running: 60, total: 60, draining: false, backoff: 0 });
  const types = bench.events.transitions.map(({ type }) => type);
  expect(types.toSorted()).toEqual([...Array(60).fill('ready'), ...Array(60).fill('spawn')]);
  await within('dispose', bench.runtime.dispose());
});

test('a wait for a stop: the stop goes on, and nothing follows', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = ignoresKill;
  const killed = bench.runtime.kill('a');
  const controller = new AbortController();
  const pending = bench.runtime.ensure('a', { signal: controller.signal });
  controller.abort();
  await expectAborted(pending, 'a');
  bench.fleet.the('a').exit(0);
  await killed;
  await aFewTurns();
  expect(bench.fleet.of('a').length).toBe(1);
  expect(bench.runtime.stats().total).toBe(0);
});

test('while the process of a failed start is stopped: only the aborting caller stops waiting', async () => {
  await using bench = setUp({ readiness: async () => false });
  const asked = Promise.withResolvers<void>();
  bench.fleet.prepare = (process) => void (process.onKill = () => asked.resolve());
  const controller = new AbortController();
  const aborted = bench.runtime.ensure('a', { signal: controller.signal });
  const other = bench.runtime.ensure('a');
  await asked.promise;
  controller.abort();
  await expectAborted(aborted, 'a');
  bench.fleet.the('a').exit(0);
  expect((await rejectionOf(other)).code).toBe('ERR_RUNTIME_READINESS_TIMEOUT');
  expect((await bench.events.seen('exit', 'a')).reason).toBe('readiness-timeout');
});

import { expect, test } from 'bun:test';
import { createRuntime } from '@absolutejs/runtime';
import { manualReadiness, setUp, source } from '../support/surface/bench.ts';
import { ignoresKill } from '../support/surface/fleet.ts';
import { isPending, rejectionOf, within } from '../support/surface/wait.ts';

const empty = { running: 0, total: 0, draining: false, backoff: 0 };

async function expectDisposed(promise: Promise<unknown>): Promise<void> {
  const error = await rejectionOf(promise);
  expect(error).toBeInstanceOf(Error);
  expect([error.message, error.code]).toEqual([
    'runtime has been disposed',
    'ERR_RUNTIME_DISPOSED',
  ]);
}

test('dispose stops every tenant, and resolves after all exit events', async () => {
  await using bench = setUp();
  for (const key of ['a', 'b', 'c']) await bench.runtime.ensure(key);
  bench.fleet.the('b').onKill = ignoresKill;
  const disposed = bench.runtime.dispose();
  expect(await isPending(disposed)).toBeTrue();
  bench.fleet.the('b').exit(0);
  expect((await disposed) as unknown).toBeUndefined();
  expect(
    bench.events
      .all('exit')
      .map(({ key, reason }) => `${key} ${reason}`)
      .sort(),
  ).toEqual(['a disposed', 'b disposed', 'c disposed']);
  for (const process of bench.fleet.processes) expect(process.kills).toEqual([undefined]);
  expect(bench.runtime.stats()).toEqual(empty);
});

test('a runtime that was never used can be disposed', async () => {
  const runtime = createRuntime({ source });
  await within('dispose', runtime.dispose());
});

test('concurrent calls share one promise; a later call resolves, too', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  const first = bench.runtime.dispose();
  expect(bench.runtime.dispose()).toBe(first);
  expect(bench.runtime[Symbol.asyncDispose]()).toBe(first);
  await first;
  await bench.runtime.dispose();
  expect(bench.fleet.the('a').kills).toEqual([undefined]);
  expect(bench.events.all('exit')).toHaveLength(1);
});

test('pending calls reject: one that is starting, one that waits for room, one that waits for a stop', async () => {
  const { readiness, answer } = manualReadiness();
  answer('running', true);
  await using bench = setUp({ readiness, maxConcurrent: 2 });
  await bench.runtime.ensure('running');
  const process = bench.fleet.the('running');
  process.onKill = ignoresKill;
  const starting = bench.runtime.ensure('starting');
  await bench.events.seen('spawn', 'starting');
  const restarting = bench.runtime.restart('running');
  const joining = bench.runtime.ensure('running');
  const waiting = bench.runtime.ensure('waiting');

  const disposed = bench.runtime.dispose();
  for (const pending of [starting, restarting, joining, waiting]) await expectDisposed(pending);
  process.exit(0);
  await disposed;
  expect(bench.fleet.processes.map(({ key }) => key)).toEqual(['running', 'starting']);
  expect(bench.runtime.stats()).toEqual(empty);
});

test('a tenant whose spawn has not returned is stopped when it comes', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  await using bench = setUp();
  bench.fleet.prepare = () => promise;
  const pending = bench.runtime.ensure('a');
  const process = await bench.fleet.called('a');
  const disposed = bench.runtime.dispose();
  await expectDisposed(pending);
  resolve();
  await disposed;
  expect(process.kills).toEqual([undefined]);
  expect(bench.events.transitions.map(({ type }) => type)).toEqual(['spawn', 'exit']);
});

test('dispose in the same tick as ensure', async () => {
  await using bench = setUp();
  const pending = bench.runtime.ensure('a');
  const disposed = bench.runtime.dispose();
  await expectDisposed(pending);
  await within('dispose', disposed);
  expect(bench.events.all('exit')).toHaveLength(bench.events.all('spawn').length);
});

test('from dispose on ensure and restart are refused, at once and for ever', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = ignoresKill;
  const disposed = bench.runtime.dispose();
  for (const key of ['a', 'b']) {
    await expectDisposed(bench.runtime.ensure(key));
    await expectDisposed(bench.runtime.restart(key));
  }
  bench.fleet.the('a').exit(0);
  await disposed;
  for (const key of ['a', 'b']) {
    await expectDisposed(bench.runtime.ensure(key));
    await expectDisposed(bench.runtime.restart(key));
  }
  expect(bench.fleet.processes).toHaveLength(1);
});

test('after dispose everything else does nothing', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  await bench.runtime.dispose();
  const before = [...bench.events.story];
  await within('kill', bench.runtime.kill('a'));
  bench.runtime.touch('a');
  bench.runtime.clearBackoff('a');
  expect(bench.runtime.stats()).toEqual(empty);
  expect(bench.events.story).toEqual(before);
});

test('a kill that is under way resolves', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  const process = bench.fleet.the('a');
  process.onKill = ignoresKill;
  const killed = bench.runtime.kill('a');
  const disposed = bench.runtime.dispose();
  expect(await isPending(Promise.race([killed, disposed]))).toBeTrue();
  process.exit(0);
  await Promise.all([killed, disposed]);
  // The first cause wins.
  expect(bench.events.all('exit').map(({ reason }) => reason)).toEqual(['killed']);
});

test('a process that refuses: an AggregateError with the same object, and it stays tracked', async () => {
  const refusal = new Error('I stay');
  await using bench = setUp();
  for (const key of ['a', 'b', 'stays']) await bench.runtime.ensure(key);
  const process = bench.fleet.the('stays');
  process.onKill = () => Promise.reject(refusal);
  const first = bench.runtime.dispose();
  expect(bench.runtime.dispose()).toBe(first);
  const error = await rejectionOf(first);

  expect(error).toBeInstanceOf(AggregateError);
  expect(error.errors).toHaveLength(1);
  expect(error.errors[0]).toBe(refusal);
  expect(error.message).toContain('failed processes remain tracked');
  expect(error.code).toBe('ERR_RUNTIME_STOP_REFUSED');
  expect(
    bench.events
      .all('exit')
      .map(({ key }) => key)
      .sort(),
  ).toEqual(['a', 'b']);
  expect(bench.runtime.stats()).toEqual({ ...empty, running: 1, total: 1 });
});

test('after a refusal dispose can be called again, until it works', async () => {
  const refusals = [new Error('first'), new Error('second')];
  await using bench = setUp();
  await bench.runtime.ensure('a');
  const process = bench.fleet.the('a');
  for (const refusal of refusals) {
    process.onKill = () => Promise.reject(refusal);
    expect((await rejectionOf(bench.runtime.dispose())).errors).toEqual([refusal]);
  }
  process.onKill = () => process.exit(0);
  await bench.runtime.dispose();
  expect(process.kills).toEqual([undefined, undefined, undefined]);
  expect(bench.runtime.stats()).toEqual(empty);
  expect(bench.events.all('exit')).toHaveLength(1);
});

test('after a refused dispose nothing is handed out or started, and kill still works', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  const process = bench.fleet.the('a');
  process.onKill = () => Promise.reject(new Error('I stay'));
  await rejectionOf(bench.runtime.dispose());
  for (const key of ['a', 'b']) {
    await expectDisposed(bench.runtime.ensure(key));
    await expectDisposed(bench.runtime.restart(key));
  }
  process.onKill = () => process.exit(0);
  await bench.runtime.kill('a');
  await bench.runtime.dispose();
  expect(bench.fleet.processes).toHaveLength(1);
});

test('every process that refuses is in the AggregateError', async () => {
  await using bench = setUp({ stopTimeoutMs: 500 });
  const refusal = new Error('a stays');
  for (const key of ['a', 'b']) await bench.runtime.ensure(key);
  bench.fleet.the('a').onKill = () => Promise.reject(refusal);
  bench.fleet.the('b').onKill = ignoresKill;
  const { errors } = await rejectionOf(bench.runtime.dispose());
  expect(errors).toHaveLength(2);
  expect(errors).toContain(refusal);
  expect(errors.find((error: unknown) => error !== refusal).code).toBe('ERR_RUNTIME_STOP_TIMEOUT');
});

test('a refused process that ends later is reported, and dispose then resolves', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  const process = bench.fleet.the('a');
  process.onKill = () => Promise.reject(new Error('I stay'));
  await rejectionOf(bench.runtime.dispose());
  process.exit(0);
  await bench.events.seen('exit', 'a');
  await bench.runtime.dispose();
  expect(process.kills).toEqual([undefined]);
});

test('await using disposes', async () => {
  const outer = setUp();
  await using cleanUp = outer;
  {
    await using runtime = outer.runtime;
    await runtime.ensure('a');
  }
  expect(cleanUp.events.all('exit').map(({ reason }) => reason)).toEqual(['disposed']);
  await expectDisposed(outer.runtime.ensure('a'));
});

test('dispose from within an event works', async () => {
  let disposed: Promise<void> | undefined;
  await using bench = setUp({
    onTransition: (event) => void (event.type === 'ready' && (disposed = bench.runtime.dispose())),
  });
  await bench.runtime.ensure('a').catch(() => {});
  await within('dispose', disposed!);
  expect(bench.runtime.stats()).toEqual(empty);
});

test('a kill made while the last answer is on its way resolves', async () => {
  const bench = setUp();
  const kills = bench.runtime.kill('x').then(() => bench.runtime.kill('y'));
  await bench.runtime.dispose();
  await within('both kills', Promise.all([kills, bench.runtime.kill('z')]));
});

test('a start that the host was too busy to begin does not make dispose fail', async () => {
  const bench = setUp({ stopTimeoutMs: 1 });
  await bench.runtime.ensure('warm');
  await bench.runtime.kill('warm');
  const pending = rejectionOf(bench.runtime.ensure('a'));
  const disposed = bench.runtime.dispose();
  const busyUntil = performance.now() + 200;
  while (performance.now() < busyUntil);
  await disposed;
  expect((await pending).code).toBe('ERR_RUNTIME_DISPOSED');
  expect(bench.fleet.of('a')).toEqual([]);
});

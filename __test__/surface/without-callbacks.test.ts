// A pool without callbacks works as with them: every record of Rust is still read to its end.
import { expect, test } from 'bun:test';
import { handedOver } from '../support/surface/fleet.ts';
import { setUp } from '../support/surface/bench.ts';
import { rejectionOf, within } from '../support/surface/wait.ts';

test('without callbacks, calls are answered through every transition', async () => {
  let failing = '';
  await using bench = setUp({
    onLog: undefined,
    onMetrics: undefined,
    onTransition: undefined,
    readiness: async ({ key }) => key !== failing,
    idleAfterMs: 20,
    sweepIntervalMs: 5,
    observeIntervalMs: 5,
    maxConcurrent: 2,
    backoff: { baseMs: 60_000 },
  });
  const { runtime, fleet } = bench;
  const answered = <T>(call: Promise<T>) => within('an answer', call);
  for (let round = 0; round < 3; round++) {
    for (const key of ['a', 'b', 'c', 'd']) await answered(runtime.ensure(`${key}${round}`));
    await answered(runtime.restart(`d${round}`));
    await answered(runtime.kill(`d${round}`));
    await answered(runtime.adopt(`e${round}`, handedOver(), { port: 4000 }));
    // Stopped while idle.
    await answered(runtime.ensure(`f${round}`));
    await answered(fleet.the(`f${round}`).exited);
    failing = `g${round}`;
    expect((await rejectionOf(answered(runtime.ensure(failing)))).code).toBe(
      'ERR_RUNTIME_READINESS_TIMEOUT',
    );
    for (let again = 0; again < 3; again++) {
      expect((await rejectionOf(answered(runtime.ensure(failing)))).code).toBe(
        'ERR_RUNTIME_BACKOFF',
      );
    }
    runtime.clearBackoff(failing);
  }
  runtime.drain();
  expect((await rejectionOf(answered(runtime.ensure('h')))).code).toBe('ERR_RUNTIME_DRAINING');
  await answered(runtime.dispose());
  expect(runtime.stats()).toEqual({ running: 0, total: 0, draining: true, backoff: 0 });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createRuntime } from '@absolutejs/runtime';
import { inMemory, source, within } from '../support/surface/node.mjs';

/** Longer than one turn of the event loop is given to events. */
const SLOW_MS = 8;
/** What an event loop that went to sleep would take much longer than. */
const STALLED_MS = 8_000;

test('callbacks that take their time hold nothing up longer than that', async () => {
  const slow = () => {
    const until = performance.now() + SLOW_MS;
    while (performance.now() < until);
  };
  const { spawn } = inMemory();
  const callbacks = { onTransition: slow, onMetrics: slow };
  const runtime = createRuntime({ source, spawn, readiness: async () => true, ...callbacks });
  for (const key of ['a', 'b', 'c']) {
    // From a timer, so that nothing else is about to happen.
    await sleep(5);
    const before = performance.now();
    await within('ensure', runtime.ensure(key));
    await within('kill', runtime.kill(key));
    const elapsedMs = performance.now() - before;
    assert.ok(elapsedMs >= 4 * SLOW_MS && elapsedMs < STALLED_MS, `${elapsedMs} ms`);
  }
  await runtime.dispose();
});

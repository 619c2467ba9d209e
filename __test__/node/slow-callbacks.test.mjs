import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createRuntime } from '@absolutejs/runtime';
import { inMemory, source, within } from '../support/surface/node.mjs';

/** Longer than the time for events in one turn of the event loop. */
const SLOW_MS = 8;
/** Much shorter than an event loop that went to sleep would take. */
const STALLED_MS = 8_000;

test('slow callbacks delay the event loop by their own time only', async () => {
  const slow = () => {
    const until = performance.now() + SLOW_MS;
    while (performance.now() < until);
  };
  const { spawn } = inMemory();
  const callbacks = { onTransition: slow, onMetrics: slow };
  const runtime = createRuntime({ source, spawn, readiness: async () => true, ...callbacks });
  for (const key of ['a', 'b', 'c']) {
    // From a timer, so that no other work is due.
    await sleep(5);
    const before = performance.now();
    await within('ensure', runtime.ensure(key));
    await within('kill', runtime.kill(key));
    const elapsedMs = performance.now() - before;
    assert.ok(elapsedMs >= 4 * SLOW_MS && elapsedMs < STALLED_MS, `${elapsedMs} ms`);
  }
  await runtime.dispose();
});

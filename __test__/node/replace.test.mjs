// `replace`, as with Bun: the new process serves when it is ready, and a failed one changes nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRuntime } from '@absolutejs/runtime';
import { inMemory, rejectionOf, source, within } from '../support/surface/node.mjs';

test('the new one serves, and the old one ends as replaced', async () => {
  const { spawn } = inMemory();
  /** @type {(reason: string) => void} */
  let ended = () => {};
  /** @type {Promise<string>} */
  const exit = new Promise((resolve) => (ended = resolve));
  const runtime = createRuntime({
    source,
    spawn,
    readiness: async () => true,
    onTransition: (event) => event.type === 'exit' && ended(event.reason),
  });
  const old = await within('the old one', runtime.ensure('a'));
  const tenant = await within('the new one', runtime.replace('a', { drainMs: 0 }));
  assert.notEqual(tenant.pid, old.pid);
  assert.equal(await runtime.ensure('a'), tenant);
  assert.equal(await within('the exit', exit), 'replaced');
  assert.equal(runtime.metrics().totalExits.replaced, 1);
  await within('the end', runtime.dispose());
});

test('one that does not become ready leaves the old one untouched', async () => {
  const { spawn } = inMemory();
  let isReady = true;
  const runtime = createRuntime({ source, spawn, readiness: async () => isReady });
  const old = await within('the old one', runtime.ensure('a'));
  isReady = false;
  const error = await rejectionOf(runtime.replace('a'));
  assert.equal(error.code, 'ERR_RUNTIME_READINESS_TIMEOUT');
  assert.equal(await runtime.ensure('a'), old);
  assert.equal(runtime.stats().backoff, 0);
  await within('the end', runtime.dispose());
});

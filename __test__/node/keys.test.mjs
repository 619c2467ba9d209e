import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRuntime } from '@absolutejs/runtime';
import { inMemory, rejectionOf, source } from '../support/surface/node.mjs';

const refused = [
  ...[undefined, null, 7, {}, Symbol('a')],
  ...[
    '',
    '/a',
    '.',
    '..',
    '../a',
    'a/../b',
    'a/./b',
    'a//b',
    'a/',
    'a\\b',
    'a\0b',
    'a\nb',
    'a\x7fb',
  ],
  ...['a'.repeat(513), 'ä'.repeat(257)],
];
const accepted = [
  ...[
    'app',
    'org/app',
    ' my app ',
    'größe/日本語/🚀',
    '...',
    '.hidden',
    '__proto__',
    'constructor',
  ],
  ...['a'.repeat(512), 'ä'.repeat(256)],
];

test('keys that name no directory below the root are refused without any side effect', async () => {
  const { spawn, processes } = inMemory();
  let events = 0;
  const runtime = createRuntime({
    source,
    spawn,
    readiness: async () => true,
    onTransition: () => events++,
  });
  for (const key of refused) {
    for (const call of [runtime.ensure, runtime.restart]) {
      const error = await rejectionOf(call(/** @type {any} */ (key)));
      assert.equal(error.code, 'ERR_RUNTIME_INVALID_KEY', String(key));
    }
  }
  assert.deepEqual(runtime.stats(), { running: 0, total: 0, draining: false, backoff: 0 });
  assert.equal(processes.length + events, 0);
  await runtime.dispose();
});

test('all other keys are tenants', async () => {
  const { spawn, processes } = inMemory();
  const runtime = createRuntime({ source, spawn, readiness: async () => true });
  for (const key of accepted) assert.equal((await runtime.ensure(key)).key, key);
  assert.deepEqual(
    processes.map(({ key }) => key),
    accepted,
  );
  await runtime.dispose();
});

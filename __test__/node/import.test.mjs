import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as everything from '@absolutejs/runtime';
import { source } from '../support/surface/node.mjs';

test('the package exports these values by name and no default', () => {
  assert.deepEqual(Object.keys(everything).sort(), [
    'EgressDeniedError',
    'RuntimeExitedBeforeReadyError',
    'createEgressGuard',
    'createRuntime',
    'execCheckpointDriver',
    'isRuntimeError',
    'readProcessTreeStats',
  ]);
});

test('a runtime has exactly the documented members', async () => {
  const runtime = everything.createRuntime({ source });
  const documented = [
    'clearBackoff',
    'dispose',
    'drain',
    'ensure',
    'kill',
    'restart',
    'stats',
    'touch',
  ];
  const members = [...documented, 'adopt', 'inspect', 'list', 'metrics'].sort();
  assert.deepEqual(Object.keys(runtime).sort(), members);
  assert.deepEqual(runtime.stats(), { running: 0, total: 0, draining: false, backoff: 0 });
  await runtime.dispose();
});

test('bad options are refused with a TypeError that names them', () => {
  const bad = /** @type {any} */ ({ source, backoff: { baseMs: '1s' } });
  assert.throws(
    () => everything.createRuntime(bad),
    (error) =>
      error instanceof TypeError &&
      /^backoff\.baseMs must be .*, got "1s"$/.test(error.message) &&
      Reflect.get(error, 'code') === 'ERR_RUNTIME_INVALID_OPTION',
  );
});

// `tenant` and `warm`, as with Bun: settings of one start, wrong ones, and starts without a caller.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRuntime } from '@absolutejs/runtime';
import { inMemory, rejectionOf, source, within } from '../support/surface/node.mjs';

test('what tenant says holds for one start, and a wrong word fails it alone', async () => {
  const { spawn, processes } = inMemory();
  const runtime = createRuntime({
    source,
    spawn,
    readiness: async () => true,
    tenant: async (key) =>
      key === 'wrong' ? /** @type {any} */ ({ limit: {} }) : { env: { KEY: key } },
  });
  const error = await rejectionOf(runtime.ensure('wrong'));
  assert.equal(error.code, 'ERR_RUNTIME_INVALID_OPTION');
  assert.match(
    error.message,
    /^tenant\("wrong"\)\.limit is not an option; did you mean .*limits\?$/,
  );
  await within('the other', runtime.ensure('right'));
  assert.equal(processes.length, 1);
  await within('the end', runtime.dispose());
});

test('warm starts tenants that no call waits for', async () => {
  const { spawn } = inMemory();
  /** @type {(key: string) => void} */
  let ready = () => {};
  /** @type {Promise<string>} */
  const first = new Promise((resolve) => (ready = resolve));
  const runtime = createRuntime({
    source,
    spawn,
    readiness: async () => true,
    onTransition: (event) => event.type === 'ready' && ready(event.key),
  });
  runtime.warm(['a']);
  assert.equal(await within('a is ready', first), 'a');
  assert.throws(() => runtime.warm(['..']), { code: 'ERR_RUNTIME_INVALID_KEY' });
  await within('the end', runtime.dispose());
});

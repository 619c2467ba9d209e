// As `__test__/surface/surface-fuzz.test.ts`, in Node.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const script = fileURLToPath(new URL('../../scripts/fuzz-surface.mjs', import.meta.url));

test('a few seconds of the fuzz break no rule', async () => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [
    script,
    '--seconds',
    '3',
  ]);
  assert.equal(stderr, '');
  assert.match(
    stdout,
    /^Node \S+: [1-9]\d* rounds from seed \d+, \d+ calls, \d+ refused, none broken\n$/,
  );
});

// A few seconds of `scripts/fuzz-surface.mjs` in Bun (in Node:
// `__test__/node/surface-fuzz.test.mjs`): for odd options, keys, calls, processes and functions
// errors are the package's, promises settle, and nothing is uncaught.
import { expect, test } from 'bun:test';
import { join } from 'node:path';

test('a few seconds of the fuzz break no rule', async () => {
  const script = join(import.meta.dir, '../../scripts/fuzz-surface.mjs');
  const fuzz = Bun.spawn([process.execPath, script, '--seconds', '3'], {
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [said, complained] = await Promise.all([
    new Response(fuzz.stdout).text(),
    new Response(fuzz.stderr).text(),
  ]);
  expect(complained).toBe('');
  expect(said).toMatch(
    /^Bun \S+: [1-9]\d* rounds from seed \d+, \d+ calls, \d+ refused, none broken\n$/,
  );
  expect(await fuzz.exited).toBe(0);
}, 60_000);

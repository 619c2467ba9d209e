// Whatever is given as options, keys, calls, processes and functions: errors are ours, promises settle, nothing goes uncaught.
// A few seconds of `scripts/fuzz-surface.mjs` in Bun; in Node it is `__test__/node/whatever-is-given.test.mjs`.
import { expect, test } from 'bun:test';
import { join } from 'node:path';

test('a few seconds of the fuzz break nothing', async () => {
  const script = join(import.meta.dir, '../../scripts/fuzz-surface.mjs');
  const fuzz = Bun.spawn([process.execPath, script, '--seconds', '3'], { stdout: 'pipe', stderr: 'pipe' });
  const [said, complained] = await Promise.all([
    new Response(fuzz.stdout).text(),
    new Response(fuzz.stderr).text(),
  ]);
  expect(complained).toBe('');
  expect(said).toMatch(/^Bun \S+: [1-9]\d* rounds from seed \d+, \d+ calls, \d+ refused, none broken\n$/);
  expect(await fuzz.exited).toBe(0);
}, 60_000);

// `npm run test:frameworks`: runs the frameworks within walls, those with large downloads, too.
import { join } from 'node:path';
import { readArguments } from './lib/arguments.mjs';
import { bun } from './lib/paths.mjs';
import { run, runScript } from './lib/run.mjs';
import { build } from './build.mjs';
import { setup } from './setup.mjs';

/** One test may wait for an installation and a build of Next. */
const TIMEOUT_MS = 120_000;

readArguments({
  usage: `usage: npm run test:frameworks

It installs the frameworks of __test__/walls/frameworks below target/, and runs each within walls.`,
});

await runScript(async () => {
  await setup();
  await build();
  const args = ['test', `--timeout=${TIMEOUT_MS}`, `./${join('__test__', 'walls', 'frameworks')}`];
  const { exitCode } = await run(bun, args, { env: { LARGE_FRAMEWORKS: '1' } });
  return exitCode;
});

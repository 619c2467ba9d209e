// `npm run demo`: sets up what is missing, builds what is stale, and runs the demo host with the
// checkout's own Bun. `npm run demo -- --once` tries everything by itself.
import { setup } from './setup.mjs';
import { build } from './build.mjs';
import { bun } from './lib/paths.mjs';
import { run, runScript } from './lib/run.mjs';
import { isOnce } from '../examples/host/arguments.mjs';

const args = isOnce() ? ['--once'] : [];

await runScript(async () => {
  await setup();
  await build();
  const { exitCode } = await run(bun, ['examples/host.ts', ...args]);
  return exitCode;
});

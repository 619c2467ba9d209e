// `npm run demo`: sets up what is missing, builds what is stale, and runs the demo host with the
// checkout's own Bun. Arguments go to the host: `npm run demo -- --once`.
import { setup } from './setup.mjs';
import { build } from './build.mjs';
import { bun } from './lib/paths.mjs';
import { run, runScript } from './lib/run.mjs';

await runScript(async () => {
  await setup();
  await build();
  const { exitCode } = await run(bun, ['examples/host.ts', ...process.argv.slice(2)]);
  return exitCode;
});

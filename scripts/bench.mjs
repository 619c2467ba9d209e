// `npm run bench`: sets up what is missing, builds what is stale, and measures with the checkout's
// own Bun. Arguments go to bench/run.ts: `npm run bench -- --help`.
import { setup } from './setup.mjs';
import { build } from './build.mjs';
import { bun } from './lib/paths.mjs';
import { run, runScript } from './lib/run.mjs';

await runScript(async () => {
  await setup();
  await build();
  const { exitCode } = await run(bun, ['bench/run.ts', ...process.argv.slice(2)]);
  return exitCode;
});

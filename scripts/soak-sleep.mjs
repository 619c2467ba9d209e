// `npm run soak:sleep`: sets up what is missing, builds what is stale, and has apps that sleep live a
// day's traffic. See `npm run soak:sleep -- --help`.
import { readSleepArguments } from '../soak/sleep/arguments.mjs';
import { setup } from './setup.mjs';
import { build } from './build.mjs';
import { bun } from './lib/paths.mjs';
import { run, runScript } from './lib/run.mjs';

readSleepArguments();
await runScript(async () => {
  await setup();
  await build();
  const { exitCode } = await run(bun, ['soak/sleep/run.ts', ...process.argv.slice(2)]);
  return exitCode;
});

// `npm run soak`: sets up what is missing, builds what is stale, and runs the soak. The arguments
// are checked and passed on to soak/run.ts: `npm run soak -- --help`.
import { readSoakArguments } from '../soak/arguments.mjs';
import { setup } from './setup.mjs';
import { build } from './build.mjs';
import { buildSoakTenant } from './lib/cargo.mjs';
import { bun } from './lib/paths.mjs';
import { run, runScript } from './lib/run.mjs';

readSoakArguments();
await runScript(async () => {
  await setup();
  await build();
  const env = { SOAK_TENANT: await buildSoakTenant() };
  const { exitCode } = await run(bun, ['soak/run.ts', ...process.argv.slice(2)], { env });
  return exitCode;
});

// `npm run soak:survive`: sets up what is missing, builds what is stale, and loses hosts whose tenants
// outlive them. See `npm run soak:survive -- --help`.
import { readSurviveArguments } from '../soak/survive/arguments.mjs';
import { setup } from './setup.mjs';
import { build } from './build.mjs';
import { buildSoakTenant } from './lib/cargo.mjs';
import { bun } from './lib/paths.mjs';
import { run, runScript } from './lib/run.mjs';

readSurviveArguments();
await runScript(async () => {
  await setup();
  await build();
  const env = { SOAK_TENANT: await buildSoakTenant() };
  const { exitCode } = await run(bun, ['soak/survive/run.ts', ...process.argv.slice(2)], { env });
  return exitCode;
});

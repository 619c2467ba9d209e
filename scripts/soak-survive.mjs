// `npm run soak:survive`: sets up what is missing, builds what is stale, and loses or upgrades hosts
// whose tenants outlive them. See `npm run soak:survive -- --help`.
import { readSurviveArguments } from '../soak/survive/arguments.mjs';
import { setup } from './setup.mjs';
import { build } from './build.mjs';
import { buildSoakTenant } from './lib/cargo.mjs';
import { bun } from './lib/paths.mjs';
import { run, runScript } from './lib/run.mjs';

const { losses, upgrades } = readSurviveArguments();
await runScript(async () => {
  await setup();
  await build();
  const env = { SOAK_TENANT: await buildSoakTenant() };
  const programs = [
    ...(losses > 0 ? ['soak/survive/run.ts'] : []),
    ...(upgrades > 0 ? ['soak/survive/upgrades/run.ts'] : []),
  ];
  for (const program of programs) {
    const { exitCode } = await run(bun, [program, ...process.argv.slice(2)], { env });
    if (exitCode !== 0) return exitCode;
  }
  return 0;
});

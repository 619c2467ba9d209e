// `npm run soak:gateway`: sets up what is missing, builds what is stale, and asks tenants behind a
// gateway while they come and go. See `npm run soak:gateway -- --help`.
import { readGatewayArguments } from '../soak/gateway/arguments.mjs';
import { setup } from './setup.mjs';
import { build } from './build.mjs';
import { bun } from './lib/paths.mjs';
import { run, runScript } from './lib/run.mjs';

readGatewayArguments();
await runScript(async () => {
  await setup();
  await build();
  const { exitCode } = await run(bun, ['soak/gateway/run.mjs', ...process.argv.slice(2)]);
  return exitCode;
});

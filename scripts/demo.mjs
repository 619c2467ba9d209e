// `npm run demo`: sets up what is missing, builds what is stale, and serves examples/tenants with
// the dashboard, in the checkout's own Bun. `npm run demo -- --once` tries everything by itself.
import { setup } from './setup.mjs';
import { build } from './build.mjs';
import { bun } from './lib/paths.mjs';
import { run, runScript } from './lib/run.mjs';
import { demoCommand, isOnce } from '../examples/demo/arguments.mjs';

const once = isOnce();

await runScript(async () => {
  await setup();
  await build();
  const command = once ? ['examples/demo/once.ts'] : await demoCommand(console.log);
  const { exitCode } = await run(bun, command);
  return exitCode;
});

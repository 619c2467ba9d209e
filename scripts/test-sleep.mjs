// The tests of tenants that sleep, with a database that they need. `npm test` runs it.
import { readArguments } from './lib/arguments.mjs';
import { bun } from './lib/paths.mjs';
import { installRedis } from './lib/redis.mjs';
import { run, runScript } from './lib/run.mjs';

readArguments({ usage: 'usage: node scripts/test-sleep.mjs' });
await runScript(async () => {
  await installRedis();
  const { exitCode } = await run(bun, ['test', '--timeout=30000', './__test__/sleep']);
  return exitCode;
});

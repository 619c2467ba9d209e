// The tests of the dashboard, with the browser that they need. `npm test` runs it.
import { readArguments } from './lib/arguments.mjs';
import { requireChromium } from './lib/chromium.mjs';
import { bun } from './lib/paths.mjs';
import { run, runScript } from './lib/run.mjs';

readArguments({ usage: 'usage: node scripts/test-dashboard.mjs' });
await runScript(async () => {
  await requireChromium();
  const { exitCode } = await run(bun, ['test', '--timeout=30000', './__test__/dashboard']);
  return exitCode;
});

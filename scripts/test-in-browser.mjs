// Tests with pages in Chromium, which is installed where that is possible. `npm test` runs it.
import { readArguments, wrongUse } from './lib/arguments.mjs';
import { requireChromium } from './lib/chromium.mjs';
import { bun } from './lib/paths.mjs';
import { run, runScript } from './lib/run.mjs';

const USAGE = 'usage: node scripts/test-in-browser.mjs DIRECTORY';
const [directory] = readArguments({ usage: USAGE, maxWords: 1 }).words;
if (directory === undefined) wrongUse('DIRECTORY is missing', USAGE);
await runScript(async () => {
  await requireChromium();
  const { exitCode } = await run(bun, ['test', '--timeout=60000', `./${directory}`]);
  return exitCode;
});

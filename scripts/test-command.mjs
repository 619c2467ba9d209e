// The tests of the commands, with the terminal that they need. `npm test` runs it.
import { readArguments } from './lib/arguments.mjs';
import { bun } from './lib/paths.mjs';
import { run, runScript } from './lib/run.mjs';
import { requireTerminal } from './lib/terminal.mjs';

readArguments({ usage: 'usage: node scripts/test-command.mjs' });
await runScript(async () => {
  await requireTerminal();
  const { exitCode } = await run(bun, ['test', '--timeout=30000', './__test__/command']);
  return exitCode;
});

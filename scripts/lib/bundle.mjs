// Makes `index.js`: one file of all that the package loads at once, since reading fourteen takes Bun a fifth longer.
// What is loaded later (`#…` in package.json) stays in `lib/`.
import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { bun, root } from './paths.mjs';
import { run, ScriptError } from './run.mjs';

// It stays readable, for whoever follows a stack trace. `@bun` tells Bun that there is nothing to transpile.
const FLAGS = ['--target=node', '--external=#*', '--banner=// @bun'];

export async function bundle() {
  // Nobody ever sees half of it.
  const directory = join(root, `index.js.${process.pid}.tmp`);
  const args = ['build', 'lib/index.js', `--outdir=${directory}`, ...FLAGS];
  const { exitCode } = await run(bun, args, { collectStdout: true });
  if (exitCode !== 0) throw new ScriptError(`lib/index.js could not be bundled (exit code ${exitCode})`);
  renameSync(join(directory, 'index.js'), join(root, 'index.js'));
  rmSync(directory, { recursive: true });
}

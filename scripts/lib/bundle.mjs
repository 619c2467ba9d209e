// Makes `dist/index.js`: one file of all that the package loads at once, since reading fourteen takes Bun a fifth longer;
// and `dist/tenancy.js`: one file of what every runtime that is used needs. What few need (`#…` in package.json) stays in
// `lib/`.
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { bun, root } from './paths.mjs';
import { run, ScriptError } from './run.mjs';

const ENTRIES = ['lib/index.js', 'lib/tenancy.js'];
// They stay readable, for whoever follows a stack trace. `@bun` tells Bun that there is nothing to transpile.
const FLAGS = ['--target=node', '--external=#*', '--banner=// @bun'];

export async function bundle() {
  const directory = join(root, `bundles.${process.pid}.tmp`);
  for (const entry of ENTRIES) {
    const args = ['build', entry, `--outdir=${directory}`, ...FLAGS];
    const { exitCode } = await run(bun, args, { collectStdout: true });
    if (exitCode !== 0) throw new ScriptError(`${entry} could not be bundled (exit code ${exitCode})`);
  }
  // Nobody ever sees half of one, nor for long a new one beside an old one.
  const dist = join(root, 'dist');
  mkdirSync(dist, { recursive: true });
  for (const name of ENTRIES.map((entry) => basename(entry))) {
    renameSync(join(directory, name), join(dist, name));
  }
  rmSync(directory, { recursive: true });
}

// Makes the bundles: `dist/index.js`, what an import of the package loads (as single modules it
// takes Bun a fifth longer), `dist/tenancy.js`, what the first call of a runtime loads,
// `dist/gateway.js`, `dist/fleet.js` and `dist/control.js`, what imports of these load. The parts that are loaded on demand (`#…`
// in package.json) stay in `lib/`.
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { bun, root } from './paths.mjs';
import { run, ScriptError } from './run.mjs';

const ENTRIES = [
  'lib/index.js',
  'lib/tenancy.js',
  'lib/gateway.js',
  'lib/fleet.js',
  'lib/control.js',
];
// Not minified, so that stack traces can be followed. `@bun` tells Bun that there is nothing to
// transpile.
const FLAGS = ['--target=node', '--external=#*', '--banner=// @bun'];

export async function bundle() {
  const directory = join(root, `bundles.${process.pid}.tmp`);
  for (const entry of ENTRIES) {
    const args = ['build', entry, `--outdir=${directory}`, ...FLAGS];
    const { exitCode } = await run(bun, args, { collectStdout: true });
    if (exitCode !== 0)
      throw new ScriptError(`${entry} could not be bundled (exit code ${exitCode})`);
  }
  // Renamed into place: no process reads a half-written bundle, and old and new ones are together
  // only for a moment.
  const dist = join(root, 'dist');
  mkdirSync(dist, { recursive: true });
  for (const name of ENTRIES.map((entry) => basename(entry))) {
    renameSync(join(directory, name), join(dist, name));
  }
  rmSync(directory, { recursive: true });
}

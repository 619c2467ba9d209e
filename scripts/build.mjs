// `npm run build`: a release build of the addon and the warden, put where the package loads them
// from, and its bundle. cargo decides what is stale, so running it when nothing changed takes a
// fraction of a second.
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { relative } from 'node:path';
import { readArguments } from './lib/arguments.mjs';
import { bundle } from './lib/bundle.mjs';
import { cargoBuild, requireCargo } from './lib/cargo.mjs';
import { builtFiles, root } from './lib/paths.mjs';
import { isProgram, runScript } from './lib/run.mjs';
import { setup } from './setup.mjs';

export async function build() {
  requireCargo();
  console.log('› building the addon and the warden (cargo build --release)');
  const built = await cargoBuild(['cargo', 'build'], ['--release']);
  const { directory, addon, warden } = builtFiles();
  mkdirSync(directory, { recursive: true });
  place(built.addon, addon);
  place(built.warden, warden);
  console.log('› bundling lib/');
  await bundle();
}

/**
 * Copies a file into place by a rename: a process that has loaded the old file keeps it, and no
 * process can read a half-written one.
 *
 * @param {string} from
 * @param {string} to
 */
function place(from, to) {
  const shown = relative(root, to);
  if (existsSync(to) && readFileSync(to).equals(readFileSync(from))) {
    console.log(`  ${shown} is up to date`);
    return;
  }
  const temporary = `${to}.${process.pid}.tmp`;
  copyFileSync(from, temporary);
  chmodSync(temporary, 0o755);
  renameSync(temporary, to);
  console.log(`  ${shown} written`);
}

if (isProgram(import.meta.url)) {
  readArguments({ usage: 'usage: npm run build' });
  await runScript(async () => {
    await setup();
    await build();
  });
}

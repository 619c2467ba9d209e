// `npm run build`: a release build of the addon and the warden, put where `index.js` loads them from.
// cargo decides what is stale, so running it when nothing changed takes a fraction of a second.
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { relative } from 'node:path';
import { builtFiles, root } from './lib/paths.mjs';
import { isProgram, run, runScript, ScriptError } from './lib/run.mjs';

const ADDON_TARGET = 'absolutejs_runtime';
const WARDEN_TARGET = 'warden';

export async function build() {
  requireCargo();
  console.log('› building the addon and the warden (cargo build --release)');
  const built = await cargoBuild();
  const { directory, addon, warden } = builtFiles();
  mkdirSync(directory, { recursive: true });
  place(artifact(built, ADDON_TARGET, 'cdylib'), addon);
  place(artifact(built, WARDEN_TARGET, 'bin'), warden);
}

function requireCargo() {
  if (spawnSync('cargo', ['--version']).status === 0) return;
  throw new ScriptError(
    'cargo was not found. The native addon is written in Rust: install a Rust toolchain (1.88 or newer, ' +
      'rustup.rs), see that `cargo --version` works in this shell, and run this again.',
  );
}

/** @typedef {{ target: { name: string; kind: string[] }; filenames: string[] }} Artifact */

/** @returns {Promise<Artifact[]>} what cargo made or found fresh, wherever its target directory is */
async function cargoBuild() {
  const { exitCode, stdout } = await run(
    'cargo',
    ['build', '--release', '--workspace', '--message-format=json-render-diagnostics'],
    { collectStdout: true },
  );
  if (exitCode !== 0) throw new ScriptError(`cargo build failed (exit code ${exitCode})`);
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
    .filter(({ reason }) => reason === 'compiler-artifact');
}

/**
 * @param {Artifact[]} artifacts
 * @param {string} name
 * @param {string} kind
 */
function artifact(artifacts, name, kind) {
  const found = artifacts.find(({ target }) => target.name === name && target.kind.includes(kind));
  const file = found?.filenames.find((filename) => !/\.(?:rlib|rmeta|d|dSYM|pdb)$/.test(filename));
  if (!file) throw new ScriptError(`cargo built no ${kind} named ${name}`);
  return file;
}

/**
 * Copies through a temporary file: a running process keeps the file that it loaded, and nobody ever
 * sees half of one.
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

if (isProgram(import.meta.url)) await runScript(build);

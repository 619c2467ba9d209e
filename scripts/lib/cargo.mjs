// Building with cargo, and finding what it built.
import { spawnSync } from 'node:child_process';
import { run, ScriptError } from './run.mjs';

/** @typedef {{ target: { name: string; kind: string[] }; filenames: string[] }} Artifact */
/**
 * @typedef {{ addon: string; warden: string }} Binaries paths of the two files that a package
 * holds
 */

export function requireCargo() {
  if (spawnSync('cargo', ['--version']).status === 0) return;
  throw new ScriptError(
    'cargo was not found. The native addon is written in Rust: install a Rust toolchain (1.88 or newer, ' +
      'rustup.rs), see that `cargo --version` works in this shell, and run this again.',
  );
}

/**
 * Builds the workspace.
 *
 * @param {string[]} buildCommand `['cargo', 'build']`, or a command with the same arguments
 * @param {string[]} args
 * @param {Record<string, string>} [env]
 * @returns {Promise<Binaries>} where cargo put them, wherever its target directory is
 */
export async function cargoBuild([command = '', ...subcommand], args, env) {
  const { exitCode, stdout } = await run(
    command,
    [...subcommand, '--workspace', '--message-format=json-render-diagnostics', ...args],
    { collectStdout: true, env },
  );
  if (exitCode !== 0) throw new ScriptError(`cargo build failed (exit code ${exitCode})`);
  const artifacts = artifactsIn(stdout);
  return {
    addon: fileOf(artifacts, 'absolutejs_runtime', 'cdylib'),
    warden: fileOf(artifacts, 'warden', 'bin'),
  };
}

/**
 * Builds the compiled tenant of the soak.
 *
 * @param {string[]} [args]
 * @returns {Promise<string>} where it is
 */
export async function buildSoakTenant(args = []) {
  const build = ['build', '--release', '--package', 'warden', '--example', 'soak-tenant', ...args];
  const { exitCode, stdout } = await run(
    'cargo',
    [...build, '--message-format=json-render-diagnostics'],
    {
      collectStdout: true,
    },
  );
  if (exitCode !== 0) throw new ScriptError(`cargo build failed (exit code ${exitCode})`);
  return fileOf(artifactsIn(stdout), 'soak-tenant', 'example');
}

/**
 * @param {string} stdout of cargo
 * @returns {Artifact[]}
 */
function artifactsIn(stdout) {
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
function fileOf(artifacts, name, kind) {
  const found = artifacts.find(({ target }) => target.name === name && target.kind.includes(kind));
  const file = found?.filenames.find((filename) => !/\.(?:rlib|rmeta|d|dSYM|pdb)$/.test(filename));
  if (!file) throw new ScriptError(`cargo built no ${kind} named ${name}`);
  return file;
}

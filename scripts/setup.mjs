// `npm run setup`: installs the development dependencies when they are missing or not those of the
// lock file, and makes sure that Bun's binary is there. The other scripts begin with it.
import { copyFileSync, existsSync, linkSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { readArguments } from './lib/arguments.mjs';
import { bun, nodeModules, root } from './lib/paths.mjs';
import { bunBinaryPackage } from './lib/platform.mjs';
import { isProgram, run, runScript, ScriptError } from './lib/run.mjs';

export async function setup() {
  if (!isInstalled()) await install();
  const version = lockedPackages()['node_modules/bun']?.version;
  if (bunVersion() !== version) placeBunBinary(version);
}

async function install() {
  console.log('› installing the development dependencies (npm ci)');
  // Install scripts of dependencies do not run: they are not needed, and some machines forbid
  // them.
  const { exitCode } = await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund']);
  if (exitCode !== 0) throw new ScriptError(`npm ci failed (exit code ${exitCode})`);
}

/** @typedef {Record<string, { version: string; optional?: boolean }>} LockedPackages */

/**
 * Compares what npm noted at its last install with the lock file, rather than their file times,
 * which a checkout changes at will.
 */
function isInstalled() {
  const installedLock = join(nodeModules, '.package-lock.json');
  if (!existsSync(installedLock)) return false;
  const installed = readLock(installedLock);
  return Object.entries(lockedPackages()).every(
    ([path, { version, optional }]) =>
      path === '' || (path in installed ? installed[path]?.version === version : optional),
  );
}

function lockedPackages() {
  return readLock(join(root, 'package-lock.json'));
}

/**
 * @param {string} path
 * @returns {LockedPackages}
 */
function readLock(path) {
  return JSON.parse(readFileSync(path, 'utf8')).packages;
}

function bunVersion() {
  const { status, stdout } = spawnSync(bun, ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

/**
 * Replaces the stub of the `bun` package by the binary of the platform's package, as Bun's install
 * script does.
 *
 * @param {string | undefined} version
 */
function placeBunBinary(version) {
  const packageName = bunBinaryPackage();
  const binary = join(nodeModules, packageName, 'bin', 'bun');
  if (!existsSync(binary)) {
    throw new ScriptError(
      `Bun's binary is missing: ${packageName} did not install; try npm ci again`,
    );
  }
  console.log(`› putting Bun's binary in place (${packageName})`);
  for (const name of ['bun.exe', 'bunx.exe']) {
    const target = join(nodeModules, 'bun', 'bin', name);
    const temporary = `${target}.${process.pid}.tmp`;
    linkOrCopy(binary, temporary);
    renameSync(temporary, target);
  }
  const placed = bunVersion();
  if (placed !== version) {
    throw new ScriptError(
      `Bun ${version} does not run on this machine (bun --version says ${placed})`,
    );
  }
}

/**
 * @param {string} from
 * @param {string} to
 */
function linkOrCopy(from, to) {
  rmSync(to, { force: true });
  try {
    linkSync(from, to);
  } catch {
    // Another file system, or one without hard links.
    copyFileSync(from, to);
  }
}

if (isProgram(import.meta.url)) {
  readArguments({ usage: 'usage: npm run setup' });
  await runScript(setup);
}

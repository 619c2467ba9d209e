// The engines and package managers of the tests. Those that only these tests need are installed
// here.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('..', import.meta.url));
const root = fileURLToPath(new URL('../../..', import.meta.url));

/** @typedef {{ name: string, kind: 'bun' | 'node', program: string }} Engine */

/** @param {string} name @param {'bun' | 'node'} kind @returns {Engine} */
const installed = (name, kind) => ({
  name: name.replace('-', ' '),
  kind,
  program: join(here, 'node_modules', `${name}-${process.arch}`, 'bin', kind),
});

/** @type {Engine} */
export const checkoutBun = {
  name: 'bun 1.4',
  kind: 'bun',
  program: join(root, 'node_modules', 'bun', 'bin', 'bun.exe'),
};

export const olderBun = installed('bun-1.3', 'bun');

/** @type {Engine[]} */
export const engines = [
  olderBun,
  checkoutBun,
  installed('node-20', 'node'),
  installed('node-22', 'node'),
  installed('node-24', 'node'),
];

export const pnpm = join(here, 'node_modules', 'pnpm', 'bin', 'pnpm.cjs');
export const toolsBin = join(here, 'node_modules', '.bin');
export const tsc = join(root, 'node_modules', '.bin', 'tsc');

/** Installs missing engines: some 600 MB, of which npm caches packed copies for the next time. */
export function requireEngines() {
  if (isInstalled()) return;
  const { status, error } = spawnSync(
    'npm',
    ['ci', '--ignore-scripts', '--no-audit', '--no-fund'],
    {
      cwd: here,
      stdio: 'inherit',
    },
  );
  if (status !== 0)
    throw new Error(`npm ci in __test__/install failed: ${error?.message ?? status}`);
}

function isInstalled() {
  const noted = join(here, 'node_modules', '.package-lock.json');
  if (!existsSync(noted)) return false;
  const versions = (/** @type {string} */ file) =>
    Object.entries(JSON.parse(readFileSync(file, 'utf8')).packages)
      .filter(([path]) => path !== '')
      .map(([path, { version }]) => [path, version]);
  const found = new Map(/** @type {[string, string][]} */ (versions(noted)));
  const locked = versions(join(here, 'package-lock.json'));
  const isOfOtherMachine = (/** @type {string} */ path) =>
    /-(?:x64|arm64)$/.test(path) && !path.endsWith(`-${process.arch}`);
  return locked.every(
    ([path = '', version]) => found.get(path) === version || isOfOtherMachine(path),
  );
}

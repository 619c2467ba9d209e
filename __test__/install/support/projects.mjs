// A user's project for each package manager, with the package installed from the registry of the
// test.
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkoutBun, olderBun, pnpm } from './engines.mjs';

const template = fileURLToPath(new URL('../project', import.meta.url));

/** @typedef {{ code: number | null, output: string }} Ended */

/**
 * Installs the package with each package manager, with a new cache: a cache by version would have
 * an earlier build.
 *
 * @type {Record<string, (directory: string, version: string) => Promise<Ended>>}
 */
export const managers = {
  npm: (directory, version) =>
    run('npm', ['install', '--no-audit', '--no-fund', `@absolutejs/runtime@${version}`], {
      cwd: directory,
      env: { npm_config_cache: join(directory, '.cache') },
    }),
  'bun 1.4': (directory, version) => bunAdd(checkoutBun, directory, version),
  // Installs the packages of both libcs, if there are both.
  'bun 1.3': (directory, version) => bunAdd(olderBun, directory, version),
  pnpm: (directory, version) =>
    run(
      process.execPath,
      [pnpm, 'add', '--store-dir', join(directory, '.cache'), `@absolutejs/runtime@${version}`],
      { cwd: directory, env: { XDG_CACHE_HOME: join(directory, '.cache') } },
    ),
};

/** @param {{ program: string }} bun @param {string} directory @param {string} version */
function bunAdd({ program }, directory, version) {
  return run(program, ['add', `@absolutejs/runtime@${version}`], {
    cwd: directory,
    env: { BUN_INSTALL_CACHE_DIR: join(directory, '.cache') },
  });
}

/**
 * A directory with the programs of `project/`, and nothing installed.
 *
 * @param {string} directory
 * @param {string} registryUrl
 */
export function createProject(directory, registryUrl) {
  cpSync(template, directory, { recursive: true });
  writeFileSync(join(directory, '.npmrc'), `@absolutejs:registry=${registryUrl}\n`);
  writeFileSync(
    join(directory, 'package.json'),
    '{ "name": "project", "private": true, "type": "module" }\n',
  );
  // Tenants are started with the `bun` on PATH.
  mkdirSync(join(directory, 'bin'));
  symlinkSync(checkoutBun.program, join(directory, 'bin', 'bun'));
}

let places = 0;

/**
 * A working directory for one program of the project, with tenants of its own: of two hosts that
 * share a root the second gets a warning.
 *
 * @param {string} project
 */
export function placeOf(project) {
  const place = join(project, 'places', String((places += 1)));
  mkdirSync(place, { recursive: true });
  cpSync(join(project, 'tenants'), join(place, 'tenants'), { recursive: true });
  for (const name of ['bin', 'node_modules']) symlinkSync(join(project, name), join(place, name));
  return place;
}

/** How long a program may run: a second or two on an idle machine. */
const LIMIT_MS = 120_000;

/**
 * Runs a program to its end.
 *
 * @param {string} program
 * @param {string[]} args
 * @param {{ cwd: string, env?: NodeJS.ProcessEnv }} options
 * @returns {Promise<Ended>}
 */
export function run(program, args, { cwd, env = {} }) {
  const child = spawn(program, args, {
    cwd,
    env: {
      ...userEnvironment(),
      PATH: [join(cwd, 'bin'), process.env.PATH].join(delimiter),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LIMIT_MS,
  });
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (output += data));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      resolve({ code, output: signal ? `${output}\nended by ${signal}` : output });
    });
  });
}

/** The environment without the variables that `npm test` and `node --test` set. */
export function userEnvironment() {
  const isOfTheTest = (/** @type {string} */ name) => /^(?:npm_|NODE_|INIT_CWD$)/.test(name);
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !isOfTheTest(name)));
}

// The checks that `npm test` runs, in order.
import { existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { checkArrows } from './arrows.mjs';
import { whyNoChromium } from './chromium.mjs';
import {
  countAsOneCheck,
  countBunTests,
  countCargoTests,
  countNodeTests,
  countSoakHosts,
  countVmTests,
} from './count-tests.mjs';
import { checkForbiddenText } from './forbidden-text.mjs';
import { bun, localBin, root } from './paths.mjs';
import { platformTriple } from './platform.mjs';
import { whyNoTerminal } from './terminal.mjs';
import { checkVersions } from './versions.mjs';
import { architectures } from './vm/architectures.mjs';
import { whatIsMissing } from './vm/requirements.mjs';

/**
 * @typedef {object} Step
 * @property {string} name
 * @property {string} command
 * @property {string[]} args
 * @property {import('./count-tests.mjs').Counter} count
 * @property {string} [skipBecause]
 */

/** Checks that are functions of these scripts. They throw when something is wrong. */
export const ownSteps = [
  { name: 'no addresses of this machine', check: checkForbiddenText },
  { name: 'one version', check: checkVersions },
  { name: 'who knows whom', check: checkArrows },
];

/** Tests start real processes, on a machine that may be busy; bun's own limit is 5 s a test. */
const BUN_TEST_TIMEOUT_MS = 30_000;

/** Tests of the gateway that need a browser. */
const IN_BROWSERS = '__test__/gateway/browsers';

/** The pool's simulation with bugs that can be switched on; `planted` is the test that does so. */
export const POOL_WITH_BUGS = [
  'test',
  '--package',
  'pool',
  '--features',
  'planted',
  '--test',
  'simulation',
];

/** As above, of the fleet's. */
const FLEET_WITH_BUGS = POOL_WITH_BUGS.map((word) => (word === 'pool' ? 'fleet' : word));

/**
 * Stages, one after the other. The rows of a stage run side by side: what mostly waits beside what
 * also does, and what a build leaves of the machine while it links. No two rows share a port, a
 * directory that they write to, or a mark by which tests find processes to end.
 *
 * @returns {Step[][][]} stages of rows of steps
 */
export function stages() {
  return [
    [
      [script('build', 'scripts/build.mjs')],
      [
        cargo('cargo fmt', ['fmt', '--all', '--check']),
        installed('tsc', ['--noEmit']),
        // Programs of the browser, with its types.
        installed('tsc, page', ['--project', 'tsconfig.page.json'], 'tsc'),
        installed('prettier', ['--check', '.']),
        cargo('cargo clippy', ['clippy', '--workspace', '--all-targets', '--', '-D', 'warnings']),
        fuzzTargets(),
        // Without --no-fail-fast the first failing test program would hide the others.
        cargo(
          'cargo test',
          ['test', '--workspace', '--exclude', 'store', '--no-fail-fast'],
          countCargoTests,
        ),
      ],
    ],
    [
      [
        script(
          'cargo test, store',
          'scripts/test-store.mjs',
          [],
          process.execPath,
          countCargoTests,
        ),
      ],
      [
        // Whether the simulation would find what the pool could get wrong.
        cargo('planted bugs', [...POOL_WITH_BUGS, 'planted'], countCargoTests),
        cargo('planted bugs, fleet', [...FLEET_WITH_BUGS, 'planted'], countCargoTests),
      ],
    ],
    [
      [
        bunTests('bun test, processes', '__test__/processes'),
        bunTests('bun test, survive', '__test__/survive'),
        bunTests('bun test, control', '__test__/control'),
        bunTests('README and docs', '__test__/readme'),
      ],
      [
        bunTests('bun test, gateway', '__test__/gateway', [IN_BROWSERS]),
        // What is installed is installed one after the other.
        script('bun test, sleep', 'scripts/test-sleep.mjs', [], process.execPath, countBunTests),
        commandTests(),
        inBrowser('dashboard', '__test__/dashboard'),
        inBrowser('gateway in a browser', IN_BROWSERS),
        nodeTests(),
        bunTests('bun test, surface', '__test__', [
          '__test__/command/',
          '__test__/control/',
          '__test__/dashboard/',
          '__test__/gateway/',
          '__test__/node/',
          '__test__/processes/',
          '__test__/readme/',
          '__test__/sleep/',
          '__test__/survive/',
          '__test__/walls/',
        ]),
        installationTests(),
      ],
    ],
    // What takes all of the machine, or of a tenant's share of it, has it for itself.
    [
      [
        bunTests('bun test, walls', '__test__/walls'),
        otherKernels(),
        soak(),
        script('soak of the gateway', 'scripts/soak-gateway.mjs', [
          '--requests',
          '8000',
          '--changes',
          '80',
        ]),
        script('soak of lost hosts', 'scripts/soak-survive.mjs', [
          ...['--losses', '60'],
          ...['--upgrades', '2', '--rate', '500', '--sockets', '100'],
        ]),
        script('soak of sleepers', 'scripts/soak-sleep.mjs', [
          ...['--apps', '12', '--minutes', '0.1'],
        ]),
        script('fleet with faults', 'scripts/test-fleet.mjs', [
          ...['--hosts', '3', '--keys', '6', '--rate', '20', '--lease', '3000', '--faults', '8'],
        ]),
        script('demo --once', 'examples/demo/once.ts', [], bun),
      ],
    ],
  ];
}

/**
 * @param {string} name
 * @param {string[]} args
 * @returns {Step}
 */
function cargo(name, args, count = countAsOneCheck) {
  return { name, command: 'cargo', args, count };
}

/**
 * @param {string} name
 * @param {string} path
 * @param {string[]} [args]
 * @returns {Step}
 */
function script(name, path, args = [], engine = process.execPath, count = countAsOneCheck) {
  return { name, command: engine, args: [path, ...args], count };
}

/**
 * Whether the fuzz targets compile. To run them takes cargo-fuzz: see CONTRIBUTING.md. What they
 * depend on is taken from the target directory in which `cargo clippy` has just checked it.
 *
 * @returns {Step}
 */
function fuzzTargets() {
  const target = process.env.CARGO_TARGET_DIR ?? 'target';
  const where = ['--manifest-path', 'fuzz/Cargo.toml', '--target-dir', target];
  const clippy = ['cargo', 'clippy', ...where, '--', '-D', 'warnings'];
  // Nothing is linked, so the library need not exist: the variable keeps its C++ from being
  // compiled.
  const args = ['CUSTOM_LIBFUZZER_PATH=/lib/libFuzzer.a', ...clippy];
  return { name: 'fuzz targets', command: 'env', args, count: countAsOneCheck };
}

/**
 * @param {string} name
 * @param {string[]} args
 * @param {string} [tool]
 * @returns {Step}
 */
function installed(name, args, tool = name) {
  return { name, command: join(localBin, tool), args, count: countAsOneCheck };
}

/**
 * @param {string} name
 * @param {string} directory
 * @param {string[]} [except]
 * @returns {Step}
 */
function bunTests(name, directory, except) {
  const files = testFiles(directory, /\.test\.(?:ts|js|mjs)$/, except);
  // Paths that begin with ./ are files; without it bun would take them as filters.
  const args = ['test', `--timeout=${BUN_TEST_TIMEOUT_MS}`, ...files.map((file) => `./${file}`)];
  return { name, command: bun, args, count: countBunTests, ...skipWithout(files) };
}

/** @returns {Step} */
function nodeTests() {
  const files = testFiles('__test__/node', /\.test\.mjs$/);
  const args = ['--test', '--test-reporter=spec', ...files];
  return {
    name: 'node --test',
    command: process.execPath,
    args,
    count: countNodeTests,
    ...skipWithout(files),
  };
}

/**
 * Tests of the commands, in pipes and in a terminal.
 *
 * @returns {Step}
 */
function commandTests() {
  const missing = whyNoTerminal();
  return {
    name: 'commands',
    command: process.execPath,
    args: ['scripts/test-command.mjs'],
    count: countBunTests,
    ...(missing ? { skipBecause: missing } : {}),
  };
}

/**
 * Tests with pages in Chromium.
 *
 * @param {string} name
 * @param {string} directory
 * @returns {Step}
 */
function inBrowser(name, directory) {
  const missing = whyNoChromium();
  return {
    name,
    command: process.execPath,
    args: ['scripts/test-in-browser.mjs', directory],
    count: countBunTests,
    ...(missing ? { skipBecause: missing } : {}),
  };
}

/**
 * Tests on kernels that this machine does not have.
 *
 * @returns {Step}
 */
function otherKernels() {
  const missing = whatIsMissing(architectures.x64);
  const skip = missing ? { skipBecause: missing } : {};
  return {
    name: 'other kernels',
    command: process.execPath,
    args: ['scripts/vm.mjs'],
    count: countVmTests,
    ...skip,
  };
}

/**
 * Tests of the packages as users get them, with every engine and package manager.
 *
 * @returns {Step}
 */
function installationTests() {
  return {
    name: 'installation',
    command: process.execPath,
    args: ['--test', '--test-reporter=spec', '__test__/install/installation.mjs'],
    count: countNodeTests,
    ...(isGlibc() ? {} : { skipBecause: 'its engines are made for glibc' }),
  };
}

/**
 * The soak for a minute. What it finds in that time depends on the seed, which is another each
 * day.
 *
 * @returns {Step}
 */
function soak() {
  const seed = new Date().toISOString().slice(0, 10);
  const args = ['scripts/soak.mjs', '--minutes', '1', '--seed', seed];
  const skip = isGlibc() ? {} : { skipBecause: 'it calls functions of glibc' };
  return { name: 'soak', command: process.execPath, args, count: countSoakHosts, ...skip };
}

const isGlibc = () => /^linux-.*-gnu$/.test(platformTriple());

/** @param {string[]} files */
function skipWithout(files) {
  return files.length > 0 ? {} : { skipBecause: 'there are no tests of this kind yet' };
}

/**
 * @param {string} directory below the root
 * @param {RegExp} pattern
 * @param {string[]} [except] the beginnings of paths to leave out
 */
function testFiles(directory, pattern, except = []) {
  const path = join(root, directory);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .map((name) => relative(root, join(path, name)))
    .filter((name) => pattern.test(name) && !name.includes('node_modules'))
    .filter((name) => !except.some((beginning) => name.startsWith(beginning)))
    .sort();
}

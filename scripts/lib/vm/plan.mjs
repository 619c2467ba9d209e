// Which tests run in the machine, as whom, and with what.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../paths.mjs';

/**
 * @typedef {object} Run
 * @property {string} what as the table says it
 * @property {'root' | 'user'} user the user has a part of the control groups of its own
 * @property {'bun' | 'node' | 'shell'} runner
 * @property {string[]} files of a shell: one command
 * @property {number} atMostSeconds then it is ended
 * @property {boolean} [beforeModules] whether it runs before any kernel module is loaded
 */

/**
 * An emulated processor is ten to twenty times slower: so much more time has a test, and what it
 * waits for (`__test__/support`).
 */
const TEST_TIMEOUT_MS = 120_000;
export const PATIENCE_MS = 90_000;

const READINESS = [
  '__test__/processes/a-listener-that-is-not-the-tenant.test.ts',
  '__test__/surface/default-readiness.test.ts',
];

const TREES = [
  '__test__/processes/a-stopped-tree-leaves-nothing.test.ts',
  '__test__/processes/a-lost-warden-or-keeper-is-survived.test.ts',
  '__test__/processes/a-tenant-of-the-same-user-is-kept-out.test.ts',
  '__test__/processes/a-tenant-has-the-rights-of-its-host.test.ts',
];

const IN_NODE = ['__test__/node/real-tenant.test.mjs', '__test__/node/doctor.test.mjs'];

/** Tests of limits and walls: all there are. */
const WALLS = '__test__/walls';

const BUN_TEST = /\.test\.ts$/;
const NODE_TEST = /\.test\.mjs$/;

/** @returns {Run[]} what `npm test` runs on each kernel */
export function usualRuns() {
  const walls = filesIn(WALLS);
  const of = (/** @type {RegExp} */ pattern) => walls.filter((file) => pattern.test(file));
  const inBun = [...READINESS, ...TREES, ...of(BUN_TEST)];
  const inNode = [...IN_NODE, ...of(NODE_TEST)];
  return [
    run('readiness without sock_diag', 'root', 'bun', READINESS, { beforeModules: true }),
    run('in Bun', 'root', 'bun', inBun),
    run('in Node', 'root', 'node', inNode),
    run('in Bun', 'user', 'bun', inBun),
    run('in Node', 'user', 'node', inNode),
  ];
}

/**
 * The given test files, as the given users.
 *
 * @param {string[]} files
 * @param {readonly Run['user'][]} users
 * @returns {Run[]}
 */
export function runsOf(files, users) {
  const inNode = files.filter((file) => NODE_TEST.test(file));
  const inBun = files.filter((file) => !NODE_TEST.test(file));
  return users.flatMap((user) => [
    ...(inBun.length > 0 ? [run('in Bun', user, 'bun', inBun)] : []),
    ...(inNode.length > 0 ? [run('in Node', user, 'node', inNode)] : []),
  ]);
}

/**
 * A command of a shell in the place of tests.
 *
 * @param {string} command
 * @param {readonly Run['user'][]} users
 */
export const runsOfCommand = (command, users) =>
  users.map((user) => run('command', user, 'shell', [command]));

/**
 * @param {Run} run
 * @returns {string} as a shell takes it
 */
export function commandOf({ runner, files }) {
  if (runner === 'shell') return files.join(' ');
  const words = files.map((file) => `./${file}`).join(' ');
  return runner === 'bun'
    ? `bun test --timeout=${TEST_TIMEOUT_MS} ${words}`
    : `node --test --test-reporter=spec ${words}`;
}

const SECONDS_A_FILE = 90;

/**
 * @param {string} what
 * @param {Run['user']} user
 * @param {Run['runner']} runner
 * @param {string[]} files
 * @param {Pick<Run, 'beforeModules'>} [more]
 * @returns {Run}
 */
function run(what, user, runner, files, more) {
  return { what, user, runner, files, atMostSeconds: SECONDS_A_FILE * (1 + files.length), ...more };
}

/** @param {string} directory */
function filesIn(directory) {
  const path = join(root, directory);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .map((name) => `${directory}/${name}`)
    .sort();
}

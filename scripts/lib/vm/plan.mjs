// Which tests run in the machine, as whom, and with what.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../paths.mjs';
import { LINES } from './kernels.mjs';

/**
 * @typedef {object} Run
 * @property {string} what as the table says it
 * @property {User} user
 * @property {Runner} runner
 * @property {string[]} files of a shell: one command
 * @property {number} atMostSeconds then it is ended
 * @property {boolean} [beforeModules] whether it runs before any kernel module is loaded
 */

/** @typedef {'bun' | 'node' | 'shell'} Runner */
/** @typedef {typeof users[number]} User */

/** The user has a part of the control groups of its own. */
export const users = /** @type {const} */ (['root', 'user']);

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
];

/** What depends on who the host is. */
const RIGHTS = [
  '__test__/processes/a-tenant-of-the-same-user-is-kept-out.test.ts',
  '__test__/processes/a-tenant-has-the-rights-of-its-host.test.ts',
];

/** What a process without privileges may not read of itself on an old kernel. */
const IN_ORDER = ['__test__/processes/a-stop-is-in-order-whoever-the-host-is.test.ts'];

/** As in a container, with control groups of version 2. */
const CONTAINED = ['__test__/command/serve-as-the-first-process.test.ts'];

/** As root by `process_madvise`, as a user by the group's `memory.reclaim`; into zram. */
const SLEEP = ['__test__/sleep/paged-out.test.ts'];

const IN_NODE = ['__test__/node/real-tenant.test.mjs', '__test__/node/doctor.test.mjs'];

const WALLS = '__test__/walls';
/** They need packages of the registry. */
const FRAMEWORKS = `${WALLS}/frameworks/`;
/** The attempts of a hostile tenant, more than a hundred, which take minutes. */
const HOSTILE = `${WALLS}/hostile/`;

/**
 * What `npm test` runs on the kernel of a line: those of limits and walls on every kernel as root
 * and as an ordinary user, those of trees and readiness on the oldest, those of a host in a
 * container on the newest, which has less to do. What a hostile tenant tries
 * takes minutes more: `npm run test:vm -- --all`.
 *
 * @param {string} line
 * @returns {Run[]}
 */
export function usualRuns(line) {
  const walls = testsOfWalls().filter((file) => !file.startsWith(HOSTILE));
  const isOldest = line === LINES[0];
  if (!isOldest)
    return [
      ...runsIn('bun', 'root', [...CONTAINED, ...SLEEP, ...walls]),
      ...runsIn('bun', 'user', [...SLEEP, ...walls]),
    ];
  return [
    ...withoutSockDiag(),
    ...runsIn('bun', 'root', [...TREES, ...RIGHTS, ...walls]),
    ...runsIn('node', 'root', IN_NODE),
    ...runsIn('bun', 'user', [...RIGHTS, ...IN_ORDER, ...walls]),
  ];
}

/** @returns {Run[]} all of that, as both */
export function allRuns() {
  const walls = testsOfWalls();
  const inBun = [...READINESS, ...TREES, ...RIGHTS, ...IN_ORDER, ...CONTAINED, ...SLEEP, ...walls];
  return [
    ...withoutSockDiag(),
    ...users.flatMap((user) => [...runsIn('bun', user, inBun), ...runsIn('node', user, IN_NODE)]),
  ];
}

/**
 * The given test files.
 *
 * @param {string[]} files
 * @returns {Run[]}
 */
export function runsOf(files) {
  const isForNode = (/** @type {string} */ file) => file.endsWith('.mjs');
  return users.flatMap((user) => [
    ...runsIn(
      'bun',
      user,
      files.filter((file) => !isForNode(file)),
    ),
    ...runsIn('node', user, files.filter(isForNode)),
  ]);
}

/**
 * A command of a shell in the place of tests.
 *
 * @param {string} command
 * @returns {Run[]}
 */
export const runsOfCommand = (command) => users.flatMap((user) => runsIn('shell', user, [command]));

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

const withoutSockDiag = () =>
  runsIn('bun', 'root', READINESS).map((run) => ({
    ...run,
    what: 'readiness without sock_diag',
    beforeModules: true,
  }));

/** For a machine that is busy with other things. */
const SECONDS_A_FILE = 180;
const WHAT = { bun: 'in Bun', node: 'in Node', shell: 'command' };

/**
 * @param {Runner} runner
 * @param {User} user
 * @param {string[]} files
 * @returns {Run[]} none without files
 */
function runsIn(runner, user, files) {
  if (files.length === 0) return [];
  const atMostSeconds = SECONDS_A_FILE * (1 + files.length);
  return [{ what: WHAT[runner], user, runner, files, atMostSeconds }];
}

function testsOfWalls() {
  const path = join(root, WALLS);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .map((name) => `${WALLS}/${name}`)
    .filter((file) => file.endsWith('.test.ts') && !file.startsWith(FRAMEWORKS))
    .sort();
}

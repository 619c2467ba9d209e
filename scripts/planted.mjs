// `npm run planted`: plants one bug at a time, and checks that the tests find each. Bugs in the
// pool's decisions are looked for by its simulation; bugs that only real processes show (ports,
// output, descriptors, memory, trees) by the soak, with an addon and a warden of their own; and those
// in limits, walls and what outlives a host by the warden's own tests, which need less time than the soak.
import { cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { readArguments } from './lib/arguments.mjs';
import { buildSoakTenant, cargoBuild } from './lib/cargo.mjs';
import { bun, builtFiles, root } from './lib/paths.mjs';
import { run, runScript, ScriptError } from './lib/run.mjs';
import { POOL_WITH_BUGS } from './lib/test-steps.mjs';
import { build } from './build.mjs';
import { setup } from './setup.mjs';

/** Starts of the measured host in which a bug must be found: leaks need many to be seen. */
const STARTS = 5_000;
/** Starts without a bug: fewer are enough to see that nothing is found. */
const STARTS_WITHOUT = 2_000;
const TARGET = join(root, 'target', 'planted');
const PACKAGE = join(TARGET, 'package');

/** The tests of `crates/warden/tests` that must find a bug. */
const TESTS_OF = new Map([
  ['GroupStays', 'control_groups'],
  ['TemporaryDirectoryStays', 'temporary_directory'],
  ['OutOfMemoryIsNotTold', 'memory_limits'],
  ['WallsAreNotPutUp', 'within_walls_files'],
  ['UnfinishedOutlivesItsHost', 'a_lost_host_leaves_what_is_ready'],
  ['UntakenEndIsForgotten', 'a_lost_host_leaves_what_is_ready'],
  ['LostLinesAreNotCounted', 'a_lost_host_leaves_what_is_ready'],
  ['OwnerIsNeverFenced', 'one_host_owns_a_name'],
  ['FallLooksOnce', 'sleep'],
  ['WakeContinuesAll', 'sleep'],
  ['NobodyKeepsVigil', 'a_sleeper_stirs'],
]);

const known = bugsOfTheWarden();
const { words: wanted } = readArguments({
  usage: `usage: npm run planted -- [NAME …]

  NAME  plants these only, by their names in crates/warden/src/planted.rs

names: ${known.join(', ')}`,
  words: { kind: 'bug', known },
  maxWords: Infinity,
});

await runScript(async () => {
  const bugs = wanted.length > 0 ? wanted : known;
  await setup();
  await build();
  if (wanted.length === 0) await plantInPool();
  const missed = [];
  for (const bug of bugs.filter((bug) => TESTS_OF.has(bug))) {
    const test = String(TESTS_OF.get(bug));
    const clean = await testOfWarden(test, '');
    if (clean.exitCode !== 0) throw new ScriptError(`without any bug: ${clean.verdict}`);
    const { exitCode, verdict } = await testOfWarden(test, bug);
    console.log(`${bug}: ${verdict}`);
    if (exitCode === 0) missed.push(bug);
  }
  const bugsOfSoak = bugs.filter((bug) => !TESTS_OF.has(bug));
  if (bugsOfSoak.length > 0) missed.push(...(await missedBySoak(bugsOfSoak)));
  if (missed.length > 0) throw new ScriptError(`not found: ${missed.join(', ')}`);
});

/** @param {string[]} bugs @returns {Promise<string[]>} those that it does not find */
async function missedBySoak(bugs) {
  const tenant = await buildSoakTenant();
  await buildPlanted();
  console.log(`› without a bug, ${STARTS_WITHOUT} starts`);
  const clean = await soak(tenant, '', STARTS_WITHOUT);
  if (clean.exitCode !== 0) throw new ScriptError(`without any bug: ${clean.verdict}`);
  console.log(`  ${clean.verdict}`);
  const missed = [];
  for (const bug of bugs) {
    const { exitCode, verdict } = await soak(tenant, bug, STARTS);
    console.log(`${bug}: ${verdict}`);
    if (exitCode === 0) missed.push(bug);
  }
  return missed;
}

/**
 * @param {string} test a file of `crates/warden/tests`
 * @param {string} bug
 */
async function testOfWarden(test, bug) {
  const target = ['--features', 'planted', '--target-dir', TARGET];
  const args = ['test', '-p', 'warden', ...target, '--no-fail-fast', '--test', test];
  const env = { ABSOLUTE_RUNTIME_PLANTED: bug };
  const { exitCode, stdout } = await run('cargo', args, { collectStdout: true, env });
  const failed = [...stdout.matchAll(/^test (\S+) \.\.\. FAILED$/gm)].map(([, name]) => name);
  const verdict = failed.length > 0 ? `found by ${failed.join(', ')}` : stdout.slice(-500);
  return { exitCode, verdict };
}

/** The names of the warden's bugs: the variants of `Bug` in planted.rs. */
function bugsOfTheWarden() {
  const source = readFileSync(join(root, 'crates', 'warden', 'src', 'planted.rs'), 'utf8');
  const body = /pub enum Bug \{([^}]*)\}/.exec(source)?.[1] ?? '';
  return [...body.matchAll(/^ {4}(\w+),$/gm)].map(([, name = '']) => name);
}

async function plantInPool() {
  const test = [...POOL_WITH_BUGS, 'planted', '--', '--nocapture'];
  const { exitCode } = await run('cargo', test);
  if (exitCode !== 0) throw new ScriptError('the simulation does not find every bug');
}

/**
 * Makes a copy of the package with bugs in its addon and warden, without the slow link-time
 * optimisation.
 */
async function buildPlanted() {
  console.log('› building an addon and a warden that can be broken');
  const features = ['--features', 'absolutejs-runtime/planted,warden/planted'];
  const quick = { CARGO_PROFILE_RELEASE_LTO: 'off', CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '16' };
  const built = await cargoBuild(
    ['cargo', 'build'],
    ['--release', '--target-dir', TARGET, ...features],
    quick,
  );
  rmSync(PACKAGE, { recursive: true, force: true });
  const copy = (/** @type {string} */ from, /** @type {string} */ to) =>
    cpSync(from, join(PACKAGE, to), { recursive: true });
  mkdirSync(PACKAGE, { recursive: true });
  const ours = ['package.json', 'dist', 'lib', 'soak'];
  const ofTheSoak = ['scripts/lib/arguments.mjs', '__test__/support/processes'];
  for (const part of [...ours, ...ofTheSoak]) copy(join(root, part), part);
  const { addon, warden } = builtFiles();
  copy(built.addon, addon.slice(root.length));
  copy(built.warden, warden.slice(root.length));
}

/**
 * @param {string} tenant
 * @param {string} bug
 * @param {number} starts
 */
async function soak(tenant, bug, starts) {
  const args = [join(PACKAGE, 'soak', 'run.ts'), '--starts', String(starts), '--until-found'];
  const env = { SOAK_TENANT: tenant, ABSOLUTE_RUNTIME_PLANTED: bug };
  const { exitCode, stdout } = await run(bun, args, { collectStdout: true, env });
  const verdict =
    stdout.split('\n').find((line) => /^(?:found|nothing) in /.test(line)) ?? stdout.slice(-500);
  return { exitCode, verdict };
}

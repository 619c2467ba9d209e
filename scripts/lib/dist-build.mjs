// Builds the binaries that are published: for the oldest supported libc, without paths of this
// machine, and with their symbols in separate files.
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { problemsOf } from './binary-checks.mjs';
import { cargoBuild, requireCargo } from './cargo.mjs';
import { root } from './paths.mjs';
import { run, ScriptError } from './run.mjs';
import { addonOf, OLDEST_GLIBC, targets, WARDEN } from './targets.mjs';

/** @typedef {import('./targets.mjs').Target} Target */
/** @typedef {import('./cargo.mjs').Binaries} Binaries */

const REQUIREMENTS = join('scripts', 'zig-requirements.txt');
const tools = join(root, 'target', 'tools', 'python');

/** @returns {Target[]} those whose standard library this machine's Rust toolchain has */
export function buildableTargets() {
  const installed = join(sysroot(), 'lib', 'rustlib');
  return targets.filter(({ rustTarget }) => existsSync(join(installed, rustTarget, 'lib')));
}

/**
 * @param {Target} target
 * @returns {Promise<Binaries>} stripped and checked
 */
export async function buildForShipping(target) {
  requireCargo();
  await requireZig();
  await requireSources();
  const { triple, rustTarget, libc } = target;
  console.log(`› building for ${triple}`);
  const built = await cargoBuild(
    [join(tools, 'bin', 'cargo-zigbuild'), 'zigbuild'],
    [
      '--profile=dist',
      '--locked',
      '--target',
      libc === 'glibc' ? `${rustTarget}.${OLDEST_GLIBC}` : rustTarget,
    ],
    {
      CARGO_ZIGBUILD_ZIG_PATH: join(tools, 'ziglang', 'zig'),
      CARGO_ENCODED_RUSTFLAGS: compilerFlags(target).join('\x1f'),
    },
  );
  const binaries = splitSymbols(target, built);
  requireNoProblems(target, binaries);
  return binaries;
}

/** @param {Target} target */
function compilerFlags({ libc }) {
  return [
    // The build id links the symbols to their binary.
    '-Clink-arg=-Wl,--build-id=sha1',
    // An addon uses the libc of the engine that loads it.
    ...(libc === 'musl' ? ['-Ctarget-feature=-crt-static'] : []),
    ...remappedPaths().map(([path, name]) => `--remap-path-prefix=${path}=${name}`),
  ];
}

/**
 * Replacements for the paths of source files that are compiled in (a panic prints them). Later
 * ones win.
 */
function remappedPaths() {
  const cargoHome = process.env.CARGO_HOME ?? join(homedir(), '.cargo');
  const sources = join(cargoHome, 'registry', 'src');
  const registries = existsSync(sources) ? readdirSync(sources) : [];
  return [
    [homedir(), 'home'],
    [cargoHome, 'cargo'],
    [sysroot(), 'rust'],
    ...registries.map((name) => [join(sources, name), 'crates']),
    [root.replace(/\/$/, ''), 'runtime'],
  ];
}

/** Downloads the sources. Called before the flags are made, which name their directories. */
async function requireSources() {
  const { exitCode } = await run('cargo', ['fetch', '--quiet', '--locked']);
  if (exitCode !== 0) throw new ScriptError(`cargo fetch failed (exit code ${exitCode})`);
}

async function requireZig() {
  if (existsSync(join(tools, 'bin', 'cargo-zigbuild')) && existsSync(join(tools, 'ziglang', 'zig')))
    return;
  console.log(`› installing zig and cargo-zigbuild (pip, ${REQUIREMENTS})`);
  const unfinished = `${tools}.${process.pid}.tmp`;
  const { exitCode } = await run('python3', [
    ...[
      '-m',
      'pip',
      'install',
      '--quiet',
      '--disable-pip-version-check',
      '--no-compile',
      '--no-deps',
    ],
    ...[
      '--only-binary=:all:',
      '--require-hashes',
      '--target',
      unfinished,
      '--requirement',
      REQUIREMENTS,
    ],
  ]);
  if (exitCode !== 0) {
    throw new ScriptError(
      'zig could not be installed: the shipped binaries are built with it, so that they run with an old libc. ' +
        'See that `python3 -m pip` works and reaches its package index, and run this again.',
    );
  }
  rmSync(tools, { recursive: true, force: true });
  renameSync(unfinished, tools);
}

/**
 * @param {Target} target
 * @param {Binaries} built
 * @returns {Binaries} copies without symbols; those are in target/symbols
 */
function splitSymbols(target, built) {
  const stripped = join(root, 'target', 'dist', target.triple);
  const symbols = join(root, 'target', 'symbols', target.triple);
  for (const directory of [stripped, symbols]) mkdirSync(directory, { recursive: true });
  /** @param {string} from @param {string} name */
  const split = (from, name) => {
    const [to, symbolFile] = [join(stripped, name), join(symbols, `${name}.debug`)];
    objcopy('--only-keep-debug', from, symbolFile);
    copyFileSync(from, to);
    objcopy('--strip-all', `--add-gnu-debuglink=${symbolFile}`, to);
    chmodSync(to, 0o755);
    return to;
  };
  return { addon: split(built.addon, addonOf(target)), warden: split(built.warden, WARDEN) };
}

/**
 * Runs the toolchain's own objcopy: the system's one often knows only this machine.
 * @param {string[]} args
 */
function objcopy(...args) {
  const own = join(sysroot(), 'lib', 'rustlib', hostTarget(), 'bin', 'rust-objcopy');
  const command = existsSync(own) ? own : 'llvm-objcopy';
  const env = { ...process.env, LD_LIBRARY_PATH: join(sysroot(), 'lib') };
  const { status, stderr, error } = spawnSync(command, args, { env, encoding: 'utf8' });
  if (status === 0) return;
  throw new ScriptError(
    `${basename(command)} ${args.join(' ')} failed: ${error?.message ?? stderr.trim()}`,
  );
}

/** @param {Target} target @param {Binaries} binaries */
function requireNoProblems(target, { addon, warden }) {
  const problems = [
    ...problemsOf(addon, target, 'addon').map(
      (problem) => `${target.triple}: the addon ${problem}`,
    ),
    ...problemsOf(warden, target, 'warden').map(
      (problem) => `${target.triple}: the warden ${problem}`,
    ),
  ];
  if (problems.length > 0) throw new ScriptError(problems.join('\n✘ '));
}

/** @type {string | undefined} */
let knownSysroot;

function sysroot() {
  return (knownSysroot ??= rustc('--print=sysroot'));
}

function hostTarget() {
  return /^host: (.*)$/m.exec(rustc('--version', '--verbose'))?.[1] ?? '';
}

/** @param {string[]} args */
function rustc(...args) {
  const { status, stdout } = spawnSync('rustc', args, { cwd: root, encoding: 'utf8' });
  if (status !== 0) requireCargo();
  return stdout.trim();
}

// Which part may import which (the arrows of ARCHITECTURE.md), and the check that finds other
// imports.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { root } from './paths.mjs';
import { ScriptError } from './run.mjs';

/**
 * For each folder or file in `lib/`: what it may import besides itself, at run time or on demand.
 * Types may be imported from anywhere.
 *
 * @type {Record<string, string[]>}
 */
const LIB = {
  'errors.js': [],
  'checks.js': ['errors.js'],
  bridge: ['errors.js', 'checks.js'],
  tenant: ['errors.js', 'checks.js', 'bridge', 'tenancy.js'],
  observe: ['errors.js', 'bridge', 'tenant'],
  checkpoint: ['errors.js', 'checks.js', 'tenant'],
  egress: ['errors.js', 'checks.js', 'observe'],
  prometheus: ['errors.js', 'checks.js'],
  'options.js': ['errors.js', 'checks.js', 'tenant'],
  'runtime.js': ['errors.js', 'checks.js', 'options.js', 'bridge', 'tenant', 'observe'],
  doctor: ['checks.js', 'bridge', 'runtime.js'],
  // The entries of the bundles.
  'index.js': ['errors.js', 'runtime.js', 'observe', 'checkpoint', 'egress'],
  'tenancy.js': ['bridge', 'tenant', 'observe', 'checkpoint'],
};

/**
 * For each crate the crates of this project that it may depend on.
 *
 * @type {Record<string, string[]>}
 */
const CRATES = {
  'crates/pool': [],
  'crates/warden': [],
  'crates/linux': ['warden'],
  'crates/driver': ['linux', 'pool', 'warden'],
  '.': ['driver', 'linux', 'pool', 'warden'],
};

/** The rooms of crates/linux: each may use those before it. */
const LINUX_ROOMS = [
  'threads',
  'process',
  'output',
  'net',
  'host',
  'confine',
  'warden_link',
  'engine',
];

/**
 * For modules of a crate: the names that they may not use. Their tests may.
 *
 * @type {Record<string, string[]>}
 */
const MODULES = {
  'crates/driver/src/uplink': ['linux'],
  'crates/driver/src/uplink.rs': ['linux'],
  'crates/driver/src/board.rs': ['linux'],
  'crates/driver/src/leases.rs': ['linux'],
  'crates/driver/src/directory.rs': ['linux'],
  'crates/driver/src/callers.rs': ['linux'],
  ...Object.fromEntries(
    LINUX_ROOMS.slice(0, -1).map((room, index) => [
      `crates/linux/src/${room}`,
      LINUX_ROOMS.slice(index + 1).map((later) => `crate::${later}`),
    ]),
  ),
};

export function checkArrows() {
  const wrong = [...wrongInLib(), ...wrongCrates(), ...wrongModules()];
  if (wrong.length > 0) {
    throw new ScriptError(
      `these may not be (scripts/lib/arrows.mjs says what may):\n  ${wrong.join('\n  ')}`,
    );
  }
}

/** @returns {string[]} */
export function wrongInLib() {
  return filesIn('lib', '.js').flatMap((file) => {
    const part = partOf(file);
    const allowed = LIB[part];
    if (allowed === undefined) return [`lib/${part} has no row`];
    return importsIn(readFileSync(join(root, file), 'utf8'))
      .map((path) => partOf(targetOf(file, path)))
      .filter((target) => target !== part && !allowed.includes(target))
      .map((target) => `${file} imports lib/${target}`);
  });
}

/**
 * `#tenancy` and its like: see `imports` in package.json.
 * @param {string} file
 * @param {string} path
 */
function targetOf(file, path) {
  if (!path.startsWith('#')) return join(dirname(file), path);
  const { imports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const target = imports[path];
  return typeof target === 'string' ? target : target.types;
}

/** @param {string} source @returns {string[]} */
export function importsIn(source) {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  return [...code.matchAll(/\b(?:from|import)\s*\(?\s*'((?:\.{1,2}\/|#)[^']+)'/g)].map(
    ([, path = '']) => path,
  );
}

/** The folder or file in `lib/`. @param {string} file */
function partOf(file) {
  const [part = ''] = relative('lib', file).split('/');
  return part;
}

function wrongCrates() {
  const ours = ['pool', 'warden', ...readdirSync(join(root, 'crates'))];
  return [...readdirSync(join(root, 'crates')).map((name) => `crates/${name}`), '.'].flatMap(
    (crate) => {
      const allowed = CRATES[crate];
      if (allowed === undefined) return [`${crate} has no row`];
      const manifest = readFileSync(join(root, crate, 'Cargo.toml'), 'utf8');
      const dependencies =
        /^\[dependencies\]\n([\s\S]*?)(?=^\[|$(?![\s\S]))/m.exec(manifest)?.[1] ?? '';
      const names = [...dependencies.matchAll(/^([\w-]+) *=/gm)].map(([, name = '']) => name);
      return names
        .filter((name) => ours.includes(name) && !allowed.includes(name))
        .map((name) => `${crate}/Cargo.toml depends on ${name}`);
    },
  );
}

function wrongModules() {
  return Object.entries(MODULES).flatMap(([place, banned]) =>
    filesIn(place, '.rs').flatMap((file) => {
      const [code = ''] = readFileSync(join(root, file), 'utf8').split('#[cfg(test)]');
      return banned
        .filter((name) => new RegExp(`^(?!\\s*//).*\\b${name}::`, 'm').test(code))
        .map((name) => `${file} uses ${name}`);
    }),
  );
}

/**
 * @param {string} place a folder, or a file
 * @param {string} extension
 * @returns {string[]} paths in the project
 */
function filesIn(place, extension) {
  if (place.endsWith(extension)) return [place];
  return readdirSync(join(root, place), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(extension))
    .map((name) => join(place, name));
}

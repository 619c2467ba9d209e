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
  'leaving.js': [],
  'socket-paths.js': [],
  'confinement.js': ['errors.js', 'checks.js'],
  bridge: ['errors.js', 'checks.js'],
  survive: ['errors.js', 'checks.js', 'socket-paths.js', 'bridge'],
  sleep: ['errors.js', 'checks.js'],
  tenant: ['errors.js', 'checks.js', 'confinement.js', 'bridge', 'tenancy.js'],
  observe: ['errors.js', 'checks.js', 'bridge', 'tenant'],
  checkpoint: ['errors.js', 'checks.js', 'tenant'],
  egress: ['errors.js', 'checks.js', 'observe'],
  prometheus: ['errors.js', 'checks.js'],
  gateway: ['errors.js', 'checks.js', 'bridge', 'observe'],
  // Of `gateway` the check of certificates.
  fleet: ['errors.js', 'checks.js', 'observe', 'gateway'],
  // Beyond the public surface it has one seam to a runtime: `listen`, and the core, of `observe`.
  control: ['errors.js', 'checks.js', 'leaving.js', 'socket-paths.js', 'observe', 'dashboard'],
  dashboard: ['errors.js', 'checks.js', 'leaving.js'],
  // What `serve` needs it imports by its public name, as users do.
  // Of `dashboard` what a browser loads as well: which characters are hidden, which lines tell.
  command: [
    'checks.js',
    'leaving.js',
    'socket-paths.js',
    'bridge',
    'doctor',
    'control',
    'dashboard',
    'survive',
  ],
  'options.js': ['errors.js', 'checks.js', 'confinement.js', 'sleep', 'survive', 'tenant'],
  'runtime.js': ['errors.js', 'checks.js', 'options.js', 'bridge', 'tenant', 'observe'],
  doctor: ['checks.js', 'bridge', 'runtime.js', 'survive'],
  // The entries of the bundles.
  'index.js': ['errors.js', 'runtime.js', 'observe', 'checkpoint', 'egress'],
  'gateway.js': ['gateway'],
  'fleet.js': ['fleet'],
  'control.js': ['control'],
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
  'crates/gateway': [],
  'crates/fleet': [],
  'crates/store': [],
  // For tests only.
  'crates/stories': [],
  'crates/linux': ['warden'],
  'crates/driver': ['linux', 'pool', 'warden'],
  'crates/member': ['fleet', 'linux', 'store'],
  '.': ['driver', 'fleet', 'gateway', 'linux', 'member', 'pool', 'store', 'warden'],
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
function wrongInLib() {
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
      const names = dependenciesIn(manifest);
      return names
        .filter((name) => ours.includes(name) && !allowed.includes(name))
        .map((name) => `${crate}/Cargo.toml depends on ${name}`);
    },
  );
}

/**
 * What the code of a crate depends on, and not only its tests or its build script.
 *
 * @param {string} manifest the text of its Cargo.toml
 * @returns {string[]}
 */
export function dependenciesIn(manifest) {
  return manifest.split(/^(?=\[)/m).flatMap((section) => {
    const [title = '', ...lines] = section.split('\n');
    const isOfCode = /^\[(?:target\..*\.)?dependencies(?:\.([\w-]+))?\]/.exec(title);
    if (isOfCode === null) return [];
    if (isOfCode[1] !== undefined) return [isOfCode[1]];
    return lines.flatMap((line) => /^([\w-]+)[ .=]/.exec(line)?.[1] ?? []);
  });
}

function wrongModules() {
  return Object.entries(MODULES).flatMap(([place, banned]) =>
    filesIn(place, '.rs').flatMap((file) => {
      const [code = ''] = readFileSync(join(root, file), 'utf8').split('#[cfg(test)]');
      const used = pathsIn(code, file);
      return banned
        .filter((name) => used.some((path) => path === name || path.startsWith(`${name}::`)))
        .map((name) => `${file} uses ${name}`);
    }),
  );
}

/**
 * The paths that Rust code names: `crate::net::ports` for one of the crate's, also where it is
 * written in a group, or relative to the module.
 *
 * @param {string} source
 * @param {string} file it is of
 * @returns {string[]}
 */
export function pathsIn(source, file) {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '');
  const uses = /\buse\s+([^;]+);/g;
  const imported = [...code.matchAll(uses)].flatMap(([, tree = '']) => pathsOf(tree));
  const named = [...code.replace(uses, '').matchAll(/\b\w+(?:::\w+)+/g)].map(([path]) => path);
  return [...imported, ...named].map((path) => fromCrate(path, moduleOf(file)));
}

/**
 * The paths of the tree of a `use`, such as `crate::{net::{self, ports}, process}`.
 *
 * @param {string} tree
 * @returns {string[]}
 */
function pathsOf(tree) {
  const text = tree.replace(/\s+as\s+\w+/g, '').replace(/\s+/g, '');
  const brace = text.indexOf('{');
  if (brace < 0) return [text.replace(/^::/, '')];
  const [head, branches] = [text.slice(0, brace), text.slice(brace + 1, text.lastIndexOf('}'))];
  return branchesOf(branches)
    .flatMap(pathsOf)
    .map((path) => head + path);
}

/** The parts between the commas that are in no braces. @param {string} text */
function branchesOf(text) {
  let depth = 0;
  const branches = [''];
  for (const character of text) {
    depth += character === '{' ? 1 : character === '}' ? -1 : 0;
    if (character === ',' && depth === 0) branches.push('');
    else branches.push(branches.pop() + character);
  }
  return branches.filter((branch) => branch !== '');
}

/**
 * The path with `self` and `super` resolved.
 *
 * @param {string} path
 * @param {string[]} module that names it
 */
function fromCrate(path, module) {
  const parts = path.split('::');
  const ups = parts.findIndex((part) => part !== 'self' && part !== 'super');
  if (ups < 1) return path;
  const depth = module.length - parts.slice(0, ups).filter((part) => part === 'super').length;
  return ['crate', ...module.slice(0, depth), ...parts.slice(ups)].join('::');
}

/** The module that a file of a crate is. @param {string} file */
function moduleOf(file) {
  const [, inCrate = ''] = /(?:^|\/)src\/(.*)\.rs$/.exec(file) ?? [];
  return inCrate.split('/').filter((part) => !['mod', 'lib', 'main'].includes(part));
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

// Checks of a binary before it is published. Each returns its problems as text, or an empty list.
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { readElf } from './elf.mjs';
import { root } from './paths.mjs';
import { OLDEST_GLIBC } from './targets.mjs';

/** @typedef {import('./elf.mjs').Elf} Elf */
/** @typedef {import('./targets.mjs').Target} Target */

/** The libraries that every Linux with that libc has. */
const LIBRARIES = {
  glibc: /^(?:lib(?:c|m|dl|rt|pthread)\.so\.\d|ld-linux-[\w-]+\.so\.\d)$/,
  musl: /^libc\.(?:so|musl-\w+\.so\.1)$/,
};
const ADDON_ENTRY = 'napi_register_module_v1';
/** See `require_glibc` in crates/linux/src/warden_link/program.rs. */
const GLIBC_ONLY = 'gnu_get_libc_release';

/**
 * @param {string} path
 * @param {Target} target
 * @param {'addon' | 'warden'} kind
 * @returns {string[]} what is wrong
 */
export function problemsOf(path, target, kind) {
  const file = readFileSync(path);
  const elf = readElf(file);
  return [
    ...machineProblems(elf, target),
    ...libraryProblems(elf, target),
    ...(kind === 'addon' ? addonProblems(elf, target) : []),
    ...debugProblems(elf),
    ...pathProblems(file),
  ];
}

/** @param {Elf} elf @param {Target} target */
function machineProblems({ machine }, { cpu }) {
  return machine === cpu ? [] : [`is for ${machine}, not for ${cpu}`];
}

/**
 * @param {Pick<Elf, 'needed' | 'searchPaths' | 'versions'>} elf
 * @param {Pick<Target, 'libc'>} target
 */
export function libraryProblems({ needed, searchPaths, versions }, { libc }) {
  const foreign = needed.filter((library) => !LIBRARIES[libc].test(library));
  const tooNew = versions.filter((version) => !isOldEnough(version));
  return [
    ...foreign.map((library) => `needs ${library}, which not every machine has`),
    ...searchPaths.map((path) => `looks for libraries in ${path}`),
    ...tooNew.map((version) => `needs ${version}; the newest allowed is GLIBC_${OLDEST_GLIBC}`),
  ];
}

/** @param {string} version `GLIBC_2.4`, `GLIBC_2.3.4`; of other libraries: `GCC_3.0` */
function isOldEnough(version) {
  const numbers = /^GLIBC_(\d+(?:\.\d+)*)$/.exec(version)?.[1];
  return numbers !== undefined && numbers.localeCompare(OLDEST_GLIBC, 'en', { numeric: true }) <= 0;
}

/**
 * @param {Elf} elf
 * @param {Target} target
 */
function addonProblems({ imports, exports }, { libc }) {
  return [
    ...(exports.includes(ADDON_ENTRY) ? [] : [`does not export ${ADDON_ENTRY}`]),
    ...(libc === 'musl' || imports.includes(GLIBC_ONLY)
      ? []
      : [`would load on musl: no ${GLIBC_ONLY}`]),
  ];
}

/** @param {Elf} elf */
function debugProblems({ sections }) {
  const left = sections.filter((name) => /^\.(?:debug_(?!gdb_scripts)|symtab$)/.test(name));
  return left.length > 0 ? [`still has its symbols (${left.join(', ')})`] : [];
}

/** @param {Buffer} file */
function pathProblems(file) {
  const home = homedir();
  const cargoHome = process.env.CARGO_HOME ?? join(home, '.cargo');
  const rustupHome = process.env.RUSTUP_HOME ?? join(home, '.rustup');
  const paths = new Set(
    [root, home, cargoHome, rustupHome].map((path) => path.replace(/\/*$/, '/')),
  );
  return [...paths]
    .filter((path) => path !== '/' && file.includes(path))
    .map((path) => `has a path of this machine in it: ${textAround(file, path)}`);
}

/** @param {Buffer} file @param {string} path */
function textAround(file, path) {
  const at = file.indexOf(path);
  return file.toString('latin1', at, at + 120).replace(/[^ -~].*/s, '');
}

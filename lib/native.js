/** Finds and loads the addon for this machine, and the warden beside it. */
import { createRequire } from 'node:module';
import { unsupported } from './errors.js';
import { parentOf } from './paths.js';

const packageRoot = decodeURIComponent(new URL('..', import.meta.url).pathname);

/** @typedef {{ openRuntime: Function, availableParallelism: () => number, wardenPath: string }} Native */

/** @type {Native | undefined} */
let loaded;

/** Loads at the first use, so that importing the package works everywhere. */
export function native() {
  return (loaded ??= load());
}

/** @returns {Native} */
function load() {
  if (process.platform !== 'linux') {
    throw unsupported(`@absolutejs/runtime runs on Linux; this is ${process.platform} (${process.arch})`);
  }
  return loadUsual() ?? loadFitting();
}

/**
 * What is nearly always there: a file in this package, for glibc. Opened without looking first, since looking takes
 * longer: `node:fs` in Bun, and in Node finding out which libc this is.
 * @returns {Native | undefined}
 */
function loadUsual() {
  try {
    return open(builtFile(`linux-${process.arch}-gnu`));
  } catch {
    return undefined;
  }
}

/** @returns {Native} */
function loadFitting() {
  const require = createRequire(import.meta.url);
  /** @type {typeof import('node:fs')} */
  const { existsSync } = require('node:fs');
  const triple = `linux-${process.arch}-${libc(existsSync)}`;
  const built = builtFile(triple);
  const file = existsSync(built) ? built : fileOfPlatformPackage(triple, require);
  try {
    return open(file);
  } catch (cause) {
    throw unsupported(`@absolutejs/runtime could not load its addon for ${triple} (${file})`, cause);
  }
}

/** `require` would do the same, and more. @param {string} file @returns {Native} */
function open(file) {
  const module = { exports: /** @type {any} */ ({}) };
  process.dlopen(module, file);
  return { ...module.exports, wardenPath: `${parentOf(file)}/warden` };
}

/** @param {string} triple */
const nameOf = (triple) => `runtime.${triple}.node`;

/** @param {string} triple */
const builtFile = (triple) => `${packageRoot}npm/${triple}/${nameOf(triple)}`;

/** @param {string} triple @param {NodeJS.Require} require */
function fileOfPlatformPackage(triple, require) {
  const platformPackage = `@absolutejs/runtime-${triple}`;
  try {
    return require.resolve(`${platformPackage}/${nameOf(triple)}`);
  } catch (cause) {
    throw unsupported(
      `@absolutejs/runtime needs the package ${platformPackage} on this machine; install it`,
      cause,
    );
  }
}

/** Where each libc has its loader. A system with both was made for glibc. */
const LOADERS = /** @type {Record<string, { musl: string, gnu: string }>} */ ({
  x64: { musl: '/lib/ld-musl-x86_64.so.1', gnu: '/lib64/ld-linux-x86-64.so.2' },
  arm64: { musl: '/lib/ld-musl-aarch64.so.1', gnu: '/lib/ld-linux-aarch64.so.1' },
});

/** @param {(file: string) => boolean} existsSync */
function libc(existsSync) {
  const loaders = LOADERS[process.arch];
  return loaders && existsSync(loaders.musl) && !existsSync(loaders.gnu) ? 'musl' : 'gnu';
}

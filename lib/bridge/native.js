/**
 * The loader: finds the addon for this machine, and the warden beside it.
 *
 * Each platform has a package, `@absolutejs/runtime-linux-x64-gnu` for one, which package managers
 * install as an optional dependency. Bun installs those of both libcs, so the loader chooses one.
 */
import { createRequire } from 'node:module';
import { unsupported } from '../errors.js';
import { parentOf } from '../checks.js';

/** The addon must have this version. `npm version` changes it. */
const VERSION = '0.1.0';

/** Undefined if a bundler has made a CommonJS module of this file. @type {string | undefined} */
const ownUrl = import.meta.url;

/**
 * @typedef {{ openRuntime: Function, confinementProblem: Function, readTree: Function, readHost:
 *   Function, notifyServiceManager: Function, lookAtOwner: Function, endOwned: Function,
 *   wardenPath: string }} Native
 */

/** @type {Native | undefined} */
let loaded;

/**
 * The package's directory, taken from the URL without decoding it. If the path has encoded
 * characters, `loadFitting` finds the addon.
 */
const ownDirectory = ownUrl && parentOf(parentOf(ownUrl.slice('file://'.length)));

/**
 * Loads the addon at the first use, so that importing the package works on every platform. The
 * usual files are opened without looking first, since a look takes longer: for Bun to load
 * `node:fs`, and for Node to find out the libc. A build for glibc does not load on another libc.
 * This path calls few functions, since the first call of each takes Bun 40 µs.
 * @returns {Native}
 */
export function native() {
  if (loaded !== undefined) return loaded;
  if (process.platform === 'linux') {
    for (const file of usualFiles(ownDirectory, `linux-${process.arch}-gnu`)) {
      try {
        return (loaded = open(file));
      } catch {
        // Missing, or for another platform: `loadFitting` finds out which.
      }
    }
  }
  return (loaded = loadFitting());
}

/** Loads the addon that fits this platform, from all places where it may be. @returns {Native} */
function loadFitting() {
  const { platform, arch } = process;
  if (platform !== 'linux' || (arch !== 'x64' && arch !== 'arm64')) {
    throw unsupported(
      `@absolutejs/runtime ${VERSION} runs on Linux, on x64 and arm64; this is ${platform} on ${arch}, ` +
        'for which there is no package',
    );
  }
  /** @type {typeof import('node:fs')} */
  const { existsSync, readFileSync } = createRequire(ownUrl ?? startInWorkingDirectory())(
    'node:fs',
  );
  const libc = libcOf(() => readFileSync('/proc/self/maps', 'latin1'));
  const system = `linux-${arch}`;
  const triple = `${system}-${libc}`;
  const { files, notFound } = filesOfPlatformPackage(triple);
  /** Why the last addon that exists did not load. @type {unknown} */
  let failure;
  for (const file of new Set([
    ...usualFiles(packageDirectory(), triple).filter(existsSync),
    ...files,
  ])) {
    try {
      return open(file);
    } catch (error) {
      failure = error;
    }
  }
  throw notLoaded(system, libc, failure, notFound);
}

/**
 * The error that no addon could be loaded.
 * @param {string} system
 * @param {'gnu' | 'musl'} libc
 * @param {unknown} failure why the addon that is installed did not load; undefined when there is
 *   none
 * @param {unknown} notFound
 */
function notLoaded(system, libc, failure, notFound) {
  const needed = `@absolutejs/runtime-${system}-${libc}@${VERSION}`;
  const machine = `${system.replace('-', ', ')}, ${libc === 'gnu' ? 'glibc' : 'musl'}`;
  const why =
    failure === undefined
      ? 'which is not installed. It is an optional dependency: install without leaving those out, or add it to ' +
        'your own dependencies'
      : `and what is installed cannot be used: ${failure instanceof Error ? failure.message : failure}`;
  return unsupported(
    `@absolutejs/runtime needs the package ${needed} on this machine (${machine}), ${why}`,
    failure ?? notFound,
  );
}

/**
 * Opens an addon file, without the searches and caches of `require`.
 * @param {string} file
 * @returns {Native}
 */
function open(file) {
  const module = { exports: /** @type {any} */ ({}) };
  process.dlopen(module, file);
  const addon = module.exports;
  const version = addon.version?.();
  if (version !== VERSION) {
    throw new Error(
      `${file} is of version ${version ?? 'unknown'}, and @absolutejs/runtime of ${VERSION}`,
    );
  }
  return { ...addon, wardenPath: addon.wardenBeside(file) };
}

/**
 * The files where the addon usually is: built in this checkout, or in the package that npm, Bun
 * and pnpm place beside this one.
 * @param {string | undefined} directory of this package
 * @param {string} triple
 */
function usualFiles(directory, triple) {
  if (directory === undefined) return [];
  const file = `runtime.${triple}.node`;
  return [`${directory}/npm/${triple}/${file}`, `${directory}/../runtime-${triple}/${file}`];
}

/** The package's directory; undefined if it is not known. */
function packageDirectory() {
  if (!ownUrl) return undefined;
  const path = pathOf(ownUrl);
  const directory = parentOf(parentOf(path));
  // This file is part of a bundle in `dist/`, except for the doctor, which loads it from
  // `lib/bridge/`.
  return path.endsWith('/lib/bridge/native.js') ? parentOf(directory) : directory;
}

/**
 * The path of a file URL. Without `new URL`, for which bundlers would look for a file.
 * @param {string} fileUrl
 */
function pathOf(fileUrl) {
  let path = fileUrl.slice('file://'.length);
  if (path.includes('?') || path.includes('#')) [path = ''] = path.split(/[?#]/, 1);
  return path.includes('%') ? decodeURIComponent(path) : path;
}

/**
 * The files of the platform's package that `require` resolves: from this file, which may be in the
 * user's bundle; from the working directory, for a bundle that was moved; and from the package
 * itself as seen from either, since with pnpm only the package sees its dependencies.
 * @param {string} triple
 * @returns {{ files: string[], notFound: unknown }}
 */
function filesOfPlatformPackage(triple) {
  const addon = `@absolutejs/runtime-${triple}/runtime.${triple}.node`;
  /** @type {string[]} */
  const files = [];
  /** @type {unknown} */
  let notFound;
  for (const start of ownUrl ? [ownUrl, startInWorkingDirectory()] : [startInWorkingDirectory()]) {
    const { resolve } = createRequire(start);
    const fromPackage = () =>
      createRequire(resolve('@absolutejs/runtime/package.json')).resolve(addon);
    for (const look of [() => resolve(addon), fromPackage]) {
      try {
        files.push(look());
      } catch (error) {
        notFound ??= error;
      }
    }
  }
  return { files, notFound };
}

/** A file in the working directory for `require` to start at; it need not exist. */
const startInWorkingDirectory = () => `${process.cwd()}/package.json`;

/**
 * The libc of this process. A machine may have both.
 * @param {() => string} readMaps what is mapped into this process
 * @returns {'gnu' | 'musl'}
 */
export function libcOf(readMaps) {
  try {
    return /\/libc(?:\.so\.6|-2\.\d+\.so)$/m.test(readMaps()) ? 'gnu' : 'musl';
  } catch {
    return 'gnu';
  }
}

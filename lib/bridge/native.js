/**
 * Finds and loads the addon for this machine, and the warden beside it.
 *
 * Each machine has a package of its own, `@absolutejs/runtime-linux-x64-gnu`, say, which package managers install as an
 * optional dependency. Bun installs those of both libcs, so which one fits is decided here.
 */
import { createRequire } from 'node:module';
import { unsupported } from '../errors.js';
import { parentOf } from '../checks.js';

/** The addon must be of this version, too. Changed by `npm version`. */
const VERSION = '0.1.0';

/** Undefined where a bundler made a CommonJS module of this. @type {string | undefined} */
const ownUrl = import.meta.url;

/** @typedef {{ openRuntime: Function, readTree: Function, readHost: Function, wardenPath: string }} Native */

/** @type {Native | undefined} */
let loaded;

/** The package's, as the URL has it: where the path is written otherwise, `loadFitting` finds the addon. */
const ownDirectory = ownUrl && parentOf(parentOf(ownUrl.slice('file://'.length)));

/**
 * Loads at the first use, so that importing the package works everywhere. What is nearly always there is opened without
 * looking first, since looking takes longer: `node:fs` in Bun, and in Node finding out which libc this is. A build for
 * glibc does not load on another libc. Few functions are on the way: Bun takes 40 µs for each one's first call.
 * @returns {Native}
 */
export function native() {
  if (loaded !== undefined) return loaded;
  if (process.platform === 'linux') {
    for (const file of usualFiles(ownDirectory, `linux-${process.arch}-gnu`)) {
      try {
        return (loaded = open(file));
      } catch {
        // Not there, or not of this machine: `loadFitting` finds out.
      }
    }
  }
  return (loaded = loadFitting());
}

/** @returns {Native} */
function loadFitting() {
  const { platform, arch } = process;
  if (platform !== 'linux' || (arch !== 'x64' && arch !== 'arm64')) {
    throw unsupported(
      `@absolutejs/runtime ${VERSION} runs on Linux, on x64 and arm64; this is ${platform} on ${arch}, ` +
        'for which there is no package',
    );
  }
  /** @type {typeof import('node:fs')} */
  const { existsSync, readFileSync } = createRequire(ownUrl ?? startInWorkingDirectory())('node:fs');
  const libc = libcOf(() => readFileSync('/proc/self/maps', 'latin1'));
  const system = `linux-${arch}`;
  const triple = `${system}-${libc}`;
  const { files, notFound } = filesOfPlatformPackage(triple);
  /** Why the last one that is there does not do. @type {unknown} */
  let failure;
  for (const file of new Set([...usualFiles(packageDirectory(), triple).filter(existsSync), ...files])) {
    try {
      return open(file);
    } catch (error) {
      failure = error;
    }
  }
  throw notLoaded(system, libc, failure, notFound);
}

/**
 * @param {string} system
 * @param {'gnu' | 'musl'} libc
 * @param {unknown} failure why the addon that is installed did not load; undefined when there is none
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

/** `require` would do the same, and more. @param {string} file @returns {Native} */
function open(file) {
  const module = { exports: /** @type {any} */ ({}) };
  process.dlopen(module, file);
  const addon = module.exports;
  const version = addon.version?.();
  if (version !== VERSION) {
    throw new Error(`${file} is of version ${version ?? 'unknown'}, and @absolutejs/runtime of ${VERSION}`);
  }
  return { ...addon, wardenPath: addon.wardenBeside(file) };
}

/**
 * Where the addon is without any looking around: built in this checkout; or in the package that npm, Bun and pnpm place
 * beside this one.
 * @param {string | undefined} directory of this package
 * @param {string} triple
 */
function usualFiles(directory, triple) {
  if (directory === undefined) return [];
  const file = `runtime.${triple}.node`;
  return [`${directory}/npm/${triple}/${file}`, `${directory}/../runtime-${triple}/${file}`];
}

function packageDirectory() {
  if (!ownUrl) return undefined;
  const path = pathOf(ownUrl);
  const directory = parentOf(parentOf(path));
  // This file is in a bundle in `dist/`, but for the doctor in `lib/bridge/`.
  return path.endsWith('/lib/bridge/native.js') ? parentOf(directory) : directory;
}

/** `new URL` with a relative path would make bundlers look for a file there. @param {string} fileUrl */
function pathOf(fileUrl) {
  let path = fileUrl.slice('file://'.length);
  if (path.includes('?') || path.includes('#')) [path = ''] = path.split(/[?#]/, 1);
  return path.includes('%') ? decodeURIComponent(path) : path;
}

/**
 * Looks from here, which after bundling is the bundle; from the working directory, for a bundle that was put elsewhere;
 * and from the package itself as seen from either, since only it may see what it depends on (pnpm).
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
    const fromPackage = () => createRequire(resolve('@absolutejs/runtime/package.json')).resolve(addon);
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

/** Any file there would do; it need not exist. */
const startInWorkingDirectory = () => `${process.cwd()}/package.json`;

/**
 * The libc of this very process. A machine may have both.
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

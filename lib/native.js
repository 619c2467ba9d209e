/** Finds and loads the addon for this machine, and the warden beside it. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unsupported } from './errors.js';

const require = createRequire(import.meta.url);
const packageRoot = join(dirname(fileURLToPath(import.meta.url)), '..');

/** @typedef {{ NativeRuntime: any, wardenPath: string }} Native */

/** @type {Native | undefined} */
let loaded;

/** Loads at the first use, so that importing the package works everywhere. */
export function native() {
  return (loaded ??= load());
}

/** @returns {Native} */
function load() {
  const triple = `${process.platform}-${process.arch}-${libc()}`;
  if (process.platform !== 'linux') {
    throw unsupported(`@absolutejs/runtime runs on Linux; this is ${process.platform} (${process.arch})`);
  }
  const file = addonFile(triple);
  try {
    return { ...require(file), wardenPath: join(dirname(file), 'warden') };
  } catch (cause) {
    throw unsupported(`@absolutejs/runtime could not load its addon for ${triple} (${file})`, cause);
  }
}

/** @param {string} triple */
function addonFile(triple) {
  const name = `runtime.${triple}.node`;
  const built = join(packageRoot, 'npm', triple, name);
  if (existsSync(built)) return built;
  const platformPackage = `@absolutejs/runtime-${triple}`;
  try {
    return require.resolve(`${platformPackage}/${name}`);
  } catch (cause) {
    throw unsupported(
      `@absolutejs/runtime needs the package ${platformPackage} on this machine; install it`,
      cause,
    );
  }
}

function libc() {
  const report = /** @type {any} */ (process.report?.getReport?.());
  return report?.header?.glibcVersionRuntime
    ? 'gnu'
    : existsSync('/lib/ld-musl-x86_64.so.1') || existsSync('/lib/ld-musl-aarch64.so.1')
      ? 'musl'
      : 'gnu';
}

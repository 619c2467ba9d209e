/** Finds the config file, and loads what it exports. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isRecord, shown } from '../checks.js';
import { Failure, UsageError } from './mistakes.js';

const NAMES = ['ts', 'js', 'mjs', 'json'].map((extension) => `runtime.config.${extension}`);

/**
 * The path of the config file; undefined if there is none.
 *
 * @param {string | undefined} named by `--config`
 * @param {string} cwd
 */
export function findConfig(named, cwd) {
  if (named === undefined) return NAMES.map((name) => resolve(cwd, name)).find(existsSync);
  const path = resolve(cwd, named);
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) {
    throw new Failure(`There is no config file ${path}.`, 'ENOENT');
  }
  return path;
}

let loads = 0;

/**
 * What the file exports, as it is now: a file that has changed since is read again.
 *
 * @param {string} path
 * @returns {Promise<Record<string, unknown>>}
 */
export async function loadConfig(path) {
  refuseTypesWithout(path);
  loads += 1;
  let config;
  try {
    config = path.endsWith('.json')
      ? JSON.parse(readFileSync(path, 'utf8'))
      : (await import(addressOf(path))).default;
  } catch (error) {
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new Failure(`${path} cannot be loaded: ${why}`, 'ERR_CONFIG');
  }
  if (config === undefined) {
    throw new UsageError(`${path} exports no default: it must be export default { … }`);
  }
  if (!isRecord(config)) {
    throw new UsageError(`${path} must export an object, got ${shown(config)}`);
  }
  return config;
}

/**
 * Another address for each load, as modules are kept by theirs. Bun tells them apart by the query
 * of a path, and not by that of a URL.
 *
 * @param {string} path
 */
function addressOf(path) {
  const address = process.versions.bun === undefined ? pathToFileURL(path).href : path;
  return loads === 1 ? address : `${address}?load=${loads}`;
}

/** @param {string} path */
function refuseTypesWithout(path) {
  const readsTypes = process.versions.bun !== undefined || process.features.typescript;
  if (!/\.[mc]?ts$/.test(path) || readsTypes) return;
  throw new Failure(
    `${path} is TypeScript, which Node ${process.versions.node} does not read: run serve with ` +
      'Bun (bunx --bun) or Node 22.18 or newer, or write the file as runtime.config.mjs.',
    'ERR_CONFIG',
  );
}

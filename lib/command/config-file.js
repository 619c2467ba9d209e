/** Finds the config file, and loads what it exports. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { isRecord, shown } from '../checks.js';
import { guardedLoad } from './guarded-load.js';
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
  refuseKind(path);
  refuseTypesWithout(path);
  let config;
  try {
    config = path.endsWith('.json')
      ? JSON.parse(readFileSync(path, 'utf8'))
      : (await loadInTurn(path)).default;
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(`${path} cannot be loaded: ${whyOf(error, path)}`, 'ERR_CONFIG');
  }
  if (config === undefined) {
    throw new UsageError(`${path} exports no default: it must be export default { … }`);
  }
  if (!isRecord(config)) {
    throw new UsageError(`${path} must export an object, got ${shown(config)}`);
  }
  return config;
}

/** The load that is under way, or was the last. @type {Promise<any>} */
let loading = Promise.resolve();

/** One at a time: what guards one would take away what guards another. @param {string} path */
function loadInTurn(path) {
  const next = () => {
    loads += 1;
    return guardedLoad(path, () => import(addressOf(path)), loads > 1);
  };
  loading = loading.then(next, next);
  return loading;
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
function refuseKind(path) {
  if (/\.(?:[cm]?[jt]s|json)$/.test(path)) return;
  throw new Failure(`${path} is no config file: its name must end in .ts, .js, .mjs or .json.`);
}

/**
 * What is wrong, and where in the user's files, in a line. The rest of the stack is not theirs.
 *
 * @param {any} error
 * @param {string} path
 */
function whyOf(error, path) {
  if (!(error instanceof Error) && typeof error?.message !== 'string') return String(error);
  const name = error.position ? 'SyntaxError' : (error.name ?? 'Error');
  const message = String(error.message).replace(/\s*\n\s*/g, ' ');
  const place = placeIn(error) ?? (name === 'SyntaxError' ? lineOfSyntax(path) : undefined);
  return `${name}: ${message}${place === undefined ? '' : ` (${place})`}`;
}

/** Where Bun or the stack says that it was. @param {any} error @returns {string | undefined} */
function placeIn({ position, stack = '' }) {
  if (position?.file) return `${position.file}:${position.line}`;
  for (const frame of String(stack).split('\n').slice(1)) {
    const [, file, line] =
      /^ +at (?:[^/]*\(|async )?((?:file:\/\/)?\/[^()]*?)(?:\?load=\d+)?:(\d+):\d+\)?$/.exec(
        frame,
      ) ?? [];
    if (file === undefined) continue;
    const path = file.startsWith('file:') ? fileURLToPath(file) : file;
    // What has asked for the file is ours.
    return path.startsWith(OWN) ? undefined : `${path}:${line}`;
  }
  return undefined;
}

/** The directory of the commands. */
const OWN = fileURLToPath(new URL('.', import.meta.url));

/** Node tells the line of a module's mistake only to those who ask it to check. @param {string} path */
function lineOfSyntax(path) {
  if (process.versions.bun !== undefined || path.endsWith('.json')) return undefined;
  const { stderr } = spawnSync(process.execPath, ['--check', path], { encoding: 'utf8' });
  const [, place] = /^(?:file:\/\/)?(\/.*:\d+)$/m.exec(stderr) ?? [];
  return place;
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

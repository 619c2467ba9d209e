/**
 * The settings of `serve`: flags, then `ABSOLUTE_RUNTIME_*`, then the config file, then defaults.
 * Everything that is wrong with any of them is told before anything starts.
 */
import { statSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { nearest } from '../checks.js';
import { readValue, wrongVariables } from './arguments.js';
import { findConfig, loadConfig } from './config-file.js';
import { Failure, UsageError } from './mistakes.js';
import { configKey, DIRECTORY, OPTIONS, settingNames, variable } from './options.js';
import { harmless } from './text.js';
import { nameOfHost } from './survival.js';

/**
 * @typedef {object} Settings
 * @property {string} dir absolute
 * @property {Record<string, any>} values of all settings, by the names of their flags
 * @property {Record<string, string>} texts the same, as they were given or are by default
 * @property {Record<string, string>} origins how to say where they were given, or can be
 * @property {((key: string) => any) | undefined} tenant of the config file
 * @property {string | undefined} file the path of the config file
 */

/**
 * @typedef {object} Sources
 * @property {Record<string, string | boolean>} flags
 * @property {string | undefined} directory the positional argument
 * @property {NodeJS.ProcessEnv} env
 * @property {string} cwd
 */

/** @param {Sources} sources @returns {Promise<Settings>} */
export async function readSettings({ flags, directory, env, cwd }) {
  const mistakes = wrongVariables(env);
  const file = findConfig(
    /** @type {string | undefined} */ (flags.config) ?? (env[variable('config')] || undefined),
    cwd,
  );
  const config = file === undefined ? {} : await loadConfig(file);
  const shownFile = file === undefined ? '' : basename(file);
  mistakes.push(...wrongKeys(shownFile, config));

  /** @type {Record<string, any>} */
  const values = {};
  /** @type {Record<string, string>} */
  const texts = {};
  /** @type {Record<string, string>} */
  const origins = {};
  const from = (/** @type {string} */ name, /** @type {unknown} */ flag) =>
    sourceOf({ name, flag, env, config, shownFile });
  for (const name of settingNames) {
    const { byDefault, path } = /** @type {import('./options.js').Option} */ (OPTIONS[name]);
    const { value = byDefault, origin, isOfConfig } = from(name, flags[name]);
    if (value === undefined) continue;
    origins[name] = isOfConfig ? `${configKey(name)} in ${shownFile}` : origin;
    const read = readValue(name, value, origin, mistakes);
    const base = isOfConfig && file !== undefined ? dirname(file) : cwd;
    values[name] = path && typeof read === 'string' ? resolve(base, read) : read;
    texts[name] = String(value);
  }
  const given = from('dir', directory);
  const dir = readValue(
    'dir',
    given.value ?? DIRECTORY.byDefault,
    given.origin === '--dir' ? 'DIR' : given.origin,
    mistakes,
    DIRECTORY.read,
  );
  const { tenant } = config;
  if (tenant !== undefined && typeof tenant !== 'function') {
    mistakes.push(`${shownFile}: tenant must be a function of the key, got ${typeof tenant}`);
  }
  mistakes.push(...contradictions(values));
  if (mistakes.length > 0) throw new UsageError(...mistakes);
  const base = given.isOfConfig && file !== undefined ? dirname(file) : cwd;
  const root = resolve(base, dir);
  assertDirectory(root, given.value === undefined);
  values.name ??= basename(root);
  if (values.survive === 'on') values.survive = nameOfHost(values.name, root);
  return { dir: root, values, texts, origins, tenant: /** @type {any} */ (tenant), file };
}

/**
 * Where a setting comes from, and its value there.
 *
 * @param {{ name: string, flag: unknown, env: NodeJS.ProcessEnv, config: Record<string, unknown>,
 *   shownFile: string }} all
 */
function sourceOf({ name, flag, env, config, shownFile }) {
  if (flag !== undefined) return { value: flag, origin: `--${name}`, isOfConfig: false };
  const inEnv = env[variable(name)];
  if (inEnv) return { value: inEnv, origin: variable(name), isOfConfig: false };
  const key = configKey(name);
  const isOfConfig = config[key] !== undefined;
  return {
    value: config[key],
    origin: isOfConfig ? `${shownFile}: ${key}` : `--${name}`,
    isOfConfig,
  };
}

/** @param {string} file @param {Record<string, unknown>} config */
function wrongKeys(file, config) {
  const known = [...settingNames.map(configKey), 'dir', 'tenant'];
  return Object.keys(config)
    .filter((key) => !known.includes(key))
    .map((key) => {
      const near = nearest(key, known);
      const hint = near === undefined ? '' : `; did you mean ${near}?`;
      return `${file}: ${harmless(key)} is not a setting${hint}`;
    });
}

/** Settings that make no sense together. @param {Record<string, any>} values */
function contradictions(values) {
  const { 'tls-cert': cert, 'tls-key': key, 'user-range': range, isolation } = values;
  const { survive, 'take-over': takesOver, 'sleep-after': sleepAfter } = values;
  const { fleet } = values;
  const ofFleets = ['host-id', 'host-address', 'fleet-secret-file'].filter(
    (name) => values[name] !== undefined && fleet === null,
  );
  const needed = ['host-address', 'fleet-secret-file'].filter(
    (name) => values[name] === undefined && fleet,
  );
  const ofSleepers = ['page-out-after', 'max-asleep', 'outgoing'].filter(
    (name) => values[name] !== undefined && sleepAfter === null,
  );
  return [
    ...(cert !== undefined && key === undefined ? ['--tls-cert also needs --tls-key'] : []),
    ...(key !== undefined && cert === undefined ? ['--tls-key also needs --tls-cert'] : []),
    ...(takesOver && !survive ? ['--take-over also needs --survive'] : []),
    ...ofFleets.map((name) => `--${name} also needs --fleet`),
    ...needed.map((name) => `--fleet also needs --${name}`),
    ...(fleet && survive
      ? ['--survive cannot be with --fleet: others serve the tenants by then']
      : []),
    ...ofSleepers.map((name) => `--${name} also needs --sleep-after`),
    ...(range && isolation === 'none' ? ['--user-range needs --isolation tenant'] : []),
  ];
}

/** @param {string} path @param {boolean} isDefault */
function assertDirectory(path, isDefault) {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory()) return;
  if (stat !== undefined) throw new Failure(`${harmless(path)} is not a directory.`, 'ENOTDIR');
  const hint = isDefault
    ? ' Name the one that holds your apps: absolutejs-runtime serve DIR. Each directory in it, with a ' +
      'package.json that has a start script, is a tenant.'
    : '';
  throw new Failure(`There is no directory ${harmless(path)}.${hint}`, 'ENOENT');
}

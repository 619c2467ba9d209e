/** The environment of a tenant, and how it finds Bun. */
import { spawnFailed } from '../errors.js';
import { parentOf, problemOfVariable, shown } from '../checks.js';

/**
 * @typedef {Record<string, string | undefined>} Variables
 * @typedef {undefined | 'inherit' | Variables | ((key: string) => Variables)} EnvSetting
 */

/**
 * Host variables, besides LC_*, that tell a tenant where it runs and nothing about the host's secrets; the last ones
 * say where Bun keeps its files.
 */
const HARMLESS = new Set([
  ...['PATH', 'HOME', 'LANG', 'LANGUAGE', 'TZ', 'TMPDIR', 'USER', 'LOGNAME', 'SHELL'],
  ...['BUN_INSTALL', 'BUN_TMPDIR', 'BUN_RUNTIME_TRANSPILER_CACHE_PATH', 'XDG_CACHE_HOME'],
]);

/**
 * The environment of one start. `PORT` and `NODE_ENV` are always ours.
 * @param {EnvSetting} setting
 * @param {string} key
 * @param {number} port
 * @returns {Record<string, string>}
 */
export function tenantEnvironment(setting, key, port) {
  const variables = setting === undefined ? harmlessVariables() : checkedVariables(setting, key);
  return { ...variables, NODE_ENV: 'production', PORT: String(port) };
}

/** @param {Exclude<EnvSetting, undefined>} setting @param {string} key */
function checkedVariables(setting, key) {
  /** @type {Record<string, string>} */
  const checked = {};
  for (const [name, value] of Object.entries(chosen(setting, key))) {
    if (value === undefined) continue;
    const problem = problemOfVariable(name, value);
    if (problem !== undefined) throw spawnFailed(`env${problem}, for tenant "${key}"`, { key });
    checked[name] = value;
  }
  return checked;
}

/**
 * What the host had when a tenant was started last: to see that it still has takes half as long as to copy it one by one.
 * `values` stand where the `names` do, null for what is not passed on: to read that would take longer than all the rest.
 * @type {{ names: string[], values: (string | undefined | null)[], harmless: Variables }}
 */
let last = { names: [], values: [], harmless: {} };

function harmlessVariables() {
  const { env } = process;
  const names = Object.keys(env);
  if (!isAsBefore(env, names)) last = { names, ...harmlessOf(env, names) };
  return last.harmless;
}

/** @param {NodeJS.ProcessEnv} env @param {string[]} names */
function harmlessOf(env, names) {
  const isHarmless = (/** @type {string} */ name) => HARMLESS.has(name) || name.startsWith('LC_');
  return {
    values: names.map((name) => (isHarmless(name) ? env[name] : null)),
    harmless: Object.fromEntries(names.filter(isHarmless).map((name) => [name, env[name]])),
  };
}

/** @param {NodeJS.ProcessEnv} env @param {string[]} names of all that is in it */
function isAsBefore(env, names) {
  const { names: namesBefore, values } = last;
  if (names.length !== namesBefore.length) return false;
  for (let index = 0; index < names.length; index += 1) {
    const name = /** @type {string} */ (names[index]);
    if (name !== namesBefore[index]) return false;
    if (values[index] !== null && env[name] !== values[index]) return false;
  }
  return true;
}

/** @param {Exclude<EnvSetting, undefined>} setting @param {string} key @returns {Variables} */
function chosen(setting, key) {
  if (setting === 'inherit') return process.env;
  const variables = typeof setting === 'function' ? setting(key) : setting;
  const refuse = (/** @type {string} */ got) =>
    spawnFailed(`env must return a record of strings for tenant "${key}", got ${got}`, { key });
  if (typeof (/** @type {any} */ (variables)?.then) === 'function') {
    Promise.resolve(variables).catch(() => {});
    throw refuse('a promise');
  }
  if (typeof variables !== 'object' || variables === null) {
    throw refuse(shown(variables));
  }
  return variables;
}

/**
 * Makes `bun` available to a tenant whose PATH does not lead to one, when the host itself is Bun: Bun does not put
 * itself on PATH, and a start script such as `bun server.ts` needs it there. Returns the command to run.
 *
 * A host made by `bun build --compile` runs in Bun and is none: whatever it is started with, it starts itself. Told by
 * BUN_BE_BUN it would act as one, but a Bun that does not know this variable would start hosts without end, and whoever
 * inherits it could start no program of that kind any more. So such a host needs a Bun on the tenants' PATH.
 * @param {readonly string[]} command
 * @param {Record<string, string>} env changed in place
 * @param {string} key
 * @returns {string[]}
 */
export function withHostsBun(command, env, key) {
  if (!process.versions.bun) return [...command];
  const isCompiled = isCompiledHost();
  if (leadsToBun(env.PATH ?? '', isCompiled)) return [...command];
  if (isCompiled) {
    if (command[0] !== 'bun') return [...command];
    throw spawnFailed(
      `there is no bun on PATH (${env.PATH ?? 'not set'}), and this host (${process.execPath}), which was made by ` +
        '`bun build --compile`, cannot take its place: install Bun beside it, or give `command` the path of one',
      { key },
    );
  }
  const directory = directoryOfHostsBun();
  if (directory !== undefined) {
    env.PATH = env.PATH ? `${env.PATH}:${directory}` : directory;
  }
  return command[0] === 'bun' ? [process.execPath, ...command.slice(1)] : [...command];
}

/** What is on a PATH seldom changes; a tenant's start must not search it each time. @type {Map<string, boolean>} */
const searched = new Map();
const SEARCHED_PATHS = 100;

/** @param {string} path @param {boolean} isCompiled */
function leadsToBun(path, isCompiled) {
  const known = searched.get(path);
  if (known !== undefined) return known;
  // Relative directories are the tenant's, not ours.
  const absolute = path.split(':').filter((directory) => directory.startsWith('/'));
  const bun = absolute.length > 0 ? Bun.which('bun', { PATH: absolute.join(':') }) : null;
  // A host that was compiled may well be called `bun`, and then the tenant would find that.
  const found = bun !== null && !(isCompiled && isSameFile(bun, process.execPath));
  if (searched.size >= SEARCHED_PATHS) searched.clear();
  searched.set(path, found);
  return found;
}

/**
 * Whether this process was made by `bun build --compile`. Bun 1.4 says so. Before, the name that such a program goes by
 * gives it away, which otherwise is its path; under BUN_BE_BUN nothing does but the variable.
 */
function isCompiledHost() {
  const { isStandaloneExecutable, main } = /** @type {{ isStandaloneExecutable?: boolean, main: string }} */ (
    Bun
  );
  if (process.env.BUN_BE_BUN !== undefined) return true;
  return isStandaloneExecutable ?? (process.argv[0] === 'bun' || main.startsWith('/$bunfs/'));
}

/** @param {string} one @param {string} other */
function isSameFile(one, other) {
  const { statSync } = process.getBuiltinModule('node:fs');
  try {
    const [first, second] = [statSync(one), statSync(other)];
    return first.dev === second.dev && first.ino === second.ino;
  } catch {
    return false;
  }
}

/**
 * Where the running Bun is called `bun`: beside itself, or where npm links it (`node_modules/bun/bin/bun.exe`).
 * @returns {string | undefined}
 */
function directoryOfHostsBun() {
  const here = parentOf(process.execPath);
  if (process.execPath.endsWith('/bun')) return here;
  const linked = `${parentOf(parentOf(here))}/.bin`;
  // Seldom needed, and not loaded at the top: it takes Bun longer than all of this package.
  const { realpathSync } = process.getBuiltinModule('node:fs');
  try {
    return realpathSync(`${linked}/bun`) === realpathSync(process.execPath) ? linked : undefined;
  } catch {
    return undefined;
  }
}

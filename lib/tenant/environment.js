/**
 * The variables that tenants get. Rust starts tenants with what has been handed down to it, and asks where a function of the
 * user's has a say: `crates/driver/src/recipe.rs`, which adds `PORT`, `NODE_ENV` and a Bun.
 */
import { spawnFailed } from '../errors.js';
import { problemOfVariable, shown } from '../checks.js';

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
 * Makes what tells Rust of the host as it is, before each call that a start may come of: its variables, if they have
 * changed, and what else a tenant inherits. None where a function of the user's has a say in each start.
 * @param {{ settings: import('../options.js').Settings, native: any }} core
 * @returns {(() => void) | undefined}
 */
export function createHandDown({ settings, native }) {
  const { env, spawn, checkpoint, tracerProvider } = settings;
  if (spawn !== undefined) return undefined;
  if (process.versions.bun) native.setBun(process.execPath, isCompiledHost());
  // These are called before each start, the last for the span that the tenant finds in its environment.
  if (typeof env === 'function' || checkpoint !== undefined || tracerProvider !== undefined) return undefined;
  /** @type {Variables | undefined} */
  let handed;
  return () => {
    native.noteHost();
    /** @type {string[] | undefined} */
    let lines;
    try {
      const variables = env === undefined ? harmless() : env === 'inherit' ? inherited() : env;
      if (variables === handed) return;
      lines = linesOf(variables);
      handed = variables;
    } catch {
      // What the user has put in the place of `process.env` cannot be passed on. Each start is prepared here, and says why.
      handed = undefined;
    }
    native.setVariables(lines);
  };
}

/**
 * The variables of one start that JavaScript has a say in, as `KEY=value`.
 * @param {EnvSetting} setting
 * @param {string} key
 * @param {(variables: Record<string, string>) => void} add
 */
export function variablesOf(setting, key, add) {
  const variables = { ...variablesFor(setting, key) };
  add(variables);
  return linesOf(variables);
}

/**
 * The environment that a `spawn` of the user's is given. `PORT` and `NODE_ENV` are always ours.
 * @param {EnvSetting} setting
 * @param {string} key
 * @param {number} port
 * @returns {Record<string, string>}
 */
export function environmentOf(setting, key, port) {
  return { ...variablesFor(setting, key), NODE_ENV: 'production', PORT: String(port) };
}

/** @param {EnvSetting} setting @param {string} key @returns {Record<string, string>} */
const variablesFor = (setting, key) =>
  setting === undefined
    ? /** @type {Record<string, string>} */ (harmless())
    : checkedVariables(chosen(setting, key), (problem) =>
        spawnFailed(`env${problem}, for tenant "${key}"`, { key }),
      );

/** @param {Variables} variables @param {(problem: string) => Error} refuse */
function checkedVariables(variables, refuse) {
  /** @type {Record<string, string>} */
  const checked = {};
  for (const [name, value] of Object.entries(variables)) {
    if (value === undefined) continue;
    const problem = problemOfVariable(name, value);
    if (problem !== undefined) throw refuse(problem);
    checked[name] = value;
  }
  return checked;
}

/** @param {Variables} variables */
function linesOf(variables) {
  const given = Object.entries(variables).filter(([, value]) => value !== undefined);
  return given.map(([name, value]) => `${name}=${value}`);
}

/**
 * Looks at the host's variables, and makes something of them when they have changed: to see that they have not takes half as
 * long as to copy them one by one. Those that are not wanted are not read, which would take longer than all the rest.
 * @param {(name: string) => boolean} isWanted
 * @param {(variables: Variables) => Variables} make
 */
function createLook(isWanted, make) {
  /** What stood where when it was looked last; null for what is not wanted. @type {(string | undefined | null)[]} */
  let values = [];
  /** @type {string[]} */
  let names = [];
  /** @type {Variables} */
  let made = {};

  /** @param {NodeJS.ProcessEnv} env @param {string[]} all */
  function isAsBefore(env, all) {
    if (all.length !== names.length) return false;
    for (let index = 0; index < all.length; index += 1) {
      const name = /** @type {string} */ (all[index]);
      if (name !== names[index]) return false;
      if (values[index] !== null && env[name] !== values[index]) return false;
    }
    return true;
  }

  return () => {
    const { env } = process;
    const all = Object.keys(env);
    if (!isAsBefore(env, all)) {
      made = make(Object.fromEntries(all.filter(isWanted).map((name) => [name, env[name]])));
      values = all.map((name) => (isWanted(name) ? env[name] : null));
      names = all;
    }
    return made;
  };
}

const harmless = createLook(
  (name) => HARMLESS.has(name) || name.startsWith('LC_'),
  (variables) => variables,
);

const inherited = createLook(
  () => true,
  (variables) => checkedVariables(variables, (problem) => new Error(problem)),
);

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

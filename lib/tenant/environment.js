/**
 * The variables of tenants. Rust starts tenants with the variables that were handed down to it,
 * and asks for them in each start if a function of the user's makes them. It adds `PORT`,
 * `NODE_ENV` and a Bun: `crates/driver/src/recipe.rs`.
 */
import { spawnFailed } from '../errors.js';
import { isHarmless, isPromise, isRecord, problemOfVariable, shown } from '../checks.js';
import { asksForSettings } from './settings.js';

/**
 * @typedef {Record<string, string | undefined>} Variables
 * @typedef {undefined | 'inherit' | Variables | ((key: string) => Variables)} EnvSetting
 */

/**
 * Makes the function that is called before each call that may lead to a start. It hands the host's
 * variables down to Rust if they have changed, and notes what else a tenant inherits. Undefined if
 * a function of the user's is called in each start.
 * @param {{ settings: import('../options.js').Settings, native: any }} core
 * @returns {(() => void) | undefined}
 */
export function createHandDown({ settings, native }) {
  const { env, spawn, checkpoint, tracerProvider } = settings;
  if (spawn !== undefined) return undefined;
  if (process.versions.bun) native.setBun(process.execPath, isCompiledHost());
  // These are called in each start, the tracer for the span that the tenant finds in its
  // environment.
  const isAsked = typeof env === 'function' || asksForSettings(settings);
  if (isAsked || checkpoint !== undefined || tracerProvider !== undefined) return undefined;
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
      // The user has replaced `process.env` by something that cannot be passed on. Each start is
      // prepared in JavaScript, and fails with the reason.
      handed = undefined;
    }
    native.setVariables(lines);
  };
}

/**
 * The variables of one start that JavaScript prepares, as `KEY=value`.
 * @param {EnvSetting} setting
 * @param {string} key
 * @param {(variables: Record<string, string>) => void} add adds variables of its own
 */
export function variablesOf(setting, key, add) {
  const variables = { ...variablesFor(setting, key) };
  add(variables);
  return linesOf(variables);
}

/**
 * The environment that the user's `spawn` gets. `PORT`, `NODE_ENV` and, in a fleet, `ABSOLUTE_EPOCH`
 * are set here, whatever the setting says.
 * @param {EnvSetting} setting
 * @param {string} key
 * @param {number} port
 * @param {string | null | undefined} epoch
 * @returns {Record<string, string>}
 */
export function environmentOf(setting, key, port, epoch) {
  const own = { NODE_ENV: 'production', PORT: String(port) };
  const variables = /** @type {Record<string, string>} */ ({
    ...variablesFor(setting, key),
    ...own,
  });
  if (typeof epoch === 'string') variables.ABSOLUTE_EPOCH = epoch;
  return variables;
}

/** @param {EnvSetting} setting @param {string} key @returns {Record<string, string>} */
const variablesFor = (setting, key) =>
  setting === undefined
    ? /** @type {Record<string, string>} */ (harmless())
    : checkedVariables(chosen(setting, key), (problem) =>
        spawnFailed(`env${problem}, for tenant "${key}"`, { key }),
      );

/**
 * A copy of the variables without those that are undefined. Throws if one is invalid.
 * @param {Variables} variables
 * @param {(problem: string) => Error} refuse
 */
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

/** The variables as `KEY=value`. @param {Variables} variables */
function linesOf(variables) {
  const given = Object.entries(variables).filter(([, value]) => value !== undefined);
  return given.map(([name, value]) => `${name}=${value}`);
}

/**
 * Makes a function that returns `make` of the host's variables, and calls `make` again only when
 * they have changed: to compare them takes half as long as to copy them. Unwanted variables are
 * not read, which would take longer than all the rest.
 * @param {(name: string) => boolean} isWanted
 * @param {(variables: Variables) => Variables} make
 */
function createCachedView(isWanted, make) {
  /**
   * The values at the last call, null for unwanted variables.
   * @type {(string | undefined | null)[]}
   */
  let values = [];
  /** The names at the last call. @type {string[]} */
  let names = [];
  /** The last result of `make`. @type {Variables} */
  let made = {};

  /**
   * Whether no wanted variable has changed.
   * @param {NodeJS.ProcessEnv} env
   * @param {string[]} all
   */
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

const harmless = createCachedView(isHarmless, (variables) => variables);

const inherited = createCachedView(
  () => true,
  (variables) => checkedVariables(variables, (problem) => new Error(problem)),
);

/**
 * The variables that the user has set for the key. Throws if a function returns no record.
 * @param {Exclude<EnvSetting, undefined>} setting
 * @param {string} key
 * @returns {Variables}
 */
function chosen(setting, key) {
  if (setting === 'inherit') return process.env;
  const variables = typeof setting === 'function' ? setting(key) : setting;
  const refuse = (/** @type {string} */ got) =>
    spawnFailed(`env must return a record of strings for tenant "${key}", got ${got}`, { key });
  if (isPromise(variables)) {
    Promise.resolve(variables).catch(() => {});
    throw refuse('a promise');
  }
  if (!isRecord(variables)) throw refuse(shown(variables));
  return variables;
}

/**
 * Whether this program was made by `bun build --compile`. Bun 1.4 tells. With an older Bun the
 * name of such a program is `bun`, where otherwise it is a path, or its main file lies in
 * `/$bunfs/`. With BUN_BE_BUN only the variable tells.
 */
function isCompiledHost() {
  const { isStandaloneExecutable, main } =
    /** @type {{ isStandaloneExecutable?: boolean, main: string }} */ (Bun);
  if (process.env.BUN_BE_BUN !== undefined) return true;
  return isStandaloneExecutable ?? (process.argv[0] === 'bun' || main.startsWith('/$bunfs/'));
}

/**
 * What one tenant is started with, where functions of the user's say it: `tenant`, `limits` and
 * `isolation` of the options. Each is called once for a start; what `tenant` leaves out is the
 * runtime's own. `src/tenant_settings.rs` reads the result.
 */
import { invalidOption, spawnFailed, unreadableFor } from '../errors.js';
import {
  commandAt,
  envAt,
  fieldsOf,
  isFunction,
  isPromise,
  number,
  optional,
  readAt,
  TENANT_SETTINGS,
  variablesAt,
} from '../checks.js';
import { isolationAt, limitsAt } from '../confinement.js';
import { LONGEST_TIMER_MS } from './calls.js';

/** @typedef {import('../options.js').Settings} Settings */

/**
 * What is undefined is as for all tenants, but for the last two: then there are no limits, and no
 * walls.
 * @typedef {object} TenantStart
 * @property {import('./environment.js').EnvSetting} env
 * @property {boolean} hasDefaultEnv
 * @property {readonly string[]} [command]
 * @property {number} [idleAfterMs]
 * @property {number} [stopTimeoutMs]
 * @property {number} [readinessTimeoutMs]
 * @property {string} [readinessPath]
 * @property {boolean} warm
 * @property {import('../confinement.js').Limits} [limits]
 * @property {import('../confinement.js').Walls} [isolation]
 */

/** @typedef {Partial<Record<keyof import('../../index.js').TenantSettings, any>>} Said */

/** What it may not say where processes are not the runtime's own. @type {(keyof Said)[]} */
const OURS_ALONE = ['command', 'limits', 'isolation'];

/** The longest path of a readiness request; many servers take no longer ones. */
const PATH_LENGTH_MAX = 2_000;

/** Whether functions of the user's are called in each start. @param {Settings} settings */
export const asksForSettings = ({ tenant, limitsOf, isolationOf }) =>
  tenant !== undefined || limitsOf !== undefined || isolationOf !== undefined;

/**
 * Asks for the settings of a start. Rejects with what a function throws or rejects with, or with
 * an error of ours for what it must not say.
 * @param {Settings} settings
 * @param {string} key
 * @returns {Promise<TenantStart>}
 */
export async function settingsOf(settings, key) {
  /** @type {Said} */
  const said = settings.tenant === undefined ? {} : await saidOf(settings, key);
  const { command, warm } = said;
  const env = envFor(key, said);
  const limits = givenFor('limits', settings.limitsOf, key, said);
  const isolation = givenFor('isolation', settings.isolationOf, key, said);
  const path = pathFor('tenant', key);
  return checkedFor(key, path, () => ({
    env: env === undefined ? settings.env : readAt(env.path, env.value, env.check),
    hasDefaultEnv: env === undefined && settings.hasDefaultEnv,
    command: command === undefined ? undefined : readAt(`${path}.command`, command, commandAt),
    idleAfterMs: number(`${path}.idleAfterMs`, said.idleAfterMs, undefined),
    stopTimeoutMs: number(`${path}.stopTimeoutMs`, said.stopTimeoutMs, undefined, 0),
    readinessTimeoutMs: number(`${path}.readinessTimeoutMs`, said.readinessTimeoutMs, undefined, 1),
    readinessPath: optional(
      `${path}.readinessPath`,
      said.readinessPath,
      isReadinessPath,
      'a path that begins with "/", as a request has it: percent-encoded, without spaces, control ' +
        `characters and "#", and of ${PATH_LENGTH_MAX} characters at most`,
    ),
    warm: optional(`${path}.warm`, warm, isBoolean, 'true or false') ?? false,
    limits: limits ? readAt(limits.path, limits.value, limitsAt) : settings.limits,
    isolation: isolation
      ? readAt(isolation.path, isolation.value, isolationAt)
      : settings.isolation,
  }));
}

/**
 * What `tenant` says of the key.
 * @param {Settings} settings
 * @param {string} key
 * @returns {Promise<Said>}
 */
async function saidOf(settings, key) {
  const answer = /** @type {(key: string) => unknown} */ (settings.tenant)(key);
  const said = isPromise(answer) ? await inTime(answer, settings.readinessTimeoutMs, key) : answer;
  const path = pathFor('tenant', key);
  return checkedFor(key, path, () => {
    const given = fieldsOf(path, /** @type {Said} */ (said), TENANT_SETTINGS);
    for (const [name, value] of Object.entries(given)) assertNoPromise(`${path}.${name}`, value);
    const other = ['spawn', 'checkpoint'].find(
      (name) => settings[/** @type {'spawn' | 'checkpoint'} */ (name)] !== undefined,
    );
    const refused = OURS_ALONE.find(
      (name) => given[name] !== undefined && (other === 'spawn' || name !== 'command'),
    );
    if (other === undefined || refused === undefined) return given;
    throw invalidOption(
      `${path}.${refused} is given together with ${other}: it is for processes that the runtime starts`,
    );
  });
}

/**
 * The limits or walls that are given for this key alone, with the name that errors give them.
 * Undefined: those of all tenants hold.
 * @param {'limits' | 'isolation'} name
 * @param {((key: string) => unknown) | undefined} of the option, if it is a function
 * @param {string} key
 * @param {Said} said
 * @returns {{ path: string, value: unknown } | undefined}
 */
function givenFor(name, of, key, said) {
  if (said[name] !== undefined)
    return { path: `${pathFor('tenant', key)}.${name}`, value: said[name] };
  if (of === undefined) return undefined;
  const value = of(key);
  const path = pathFor(name, key);
  checkedFor(key, path, () => assertNoPromise(path, value));
  return { path, value };
}

/**
 * The variables that `tenant` has said for the key, and how they are checked. A function is called
 * here, so that what it returns is refused as all else that `tenant` says is.
 * @param {string} key
 * @param {Said} said
 */
function envFor(key, { env }) {
  if (env === undefined) return undefined;
  const path = `${pathFor('tenant', key)}.env`;
  if (!isFunction(env)) return { path, value: env, check: envAt };
  const called = { path: `${path}(${JSON.stringify(key)})`, value: env(key), check: variablesAt };
  checkedFor(key, called.path, () => assertNoPromise(called.path, called.value));
  return called;
}

/**
 * Throws for a promise. If it rejects later, that is not reported as unhandled: the start has
 * failed by then.
 * @param {string} path
 * @param {unknown} value
 */
function assertNoPromise(path, value) {
  if (!isPromise(value)) return;
  Promise.resolve(value).catch(() => {});
  throw invalidOption(`${path} must be given at once, got a promise: tenant() may wait`);
}

/**
 * Calls `check`. An error of its own carries the key; one of the user's is passed on.
 * @template T
 * @param {string} key
 * @param {string} path
 * @param {() => T} check
 * @returns {T}
 */
function checkedFor(key, path, check) {
  try {
    return check();
  } catch (error) {
    throw unreadableFor(key, path, error);
  }
}

/**
 * A function's answer for a key, as errors name it: `tenant("acme").command`.
 * @param {string} option
 * @param {string} key
 */
const pathFor = (option, key) => `${option}(${JSON.stringify(key)})`;

/** @param {unknown} value */
const isBoolean = (value) => typeof value === 'boolean';

/** @param {unknown} value */
const isReadinessPath = (value) =>
  typeof value === 'string' &&
  value.length <= PATH_LENGTH_MAX &&
  /^\/(?:(?![#\\])[!-~])*$/.test(value);

/**
 * What the promise resolves to. Rejects if it has not settled in this time.
 * @param {unknown} promise
 * @param {number} ms
 * @param {string} key
 */
async function inTime(promise, ms, key) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @type {Promise<never>} */
  const late = new Promise((_, reject) => {
    const refuse = () =>
      reject(
        spawnFailed(
          `Tenant "${key}" was not started: the promise of tenant() has not settled for ${ms} ms ` +
            '(readinessTimeoutMs)',
          { key },
        ),
      );
    timer = setTimeout(refuse, Math.min(ms, LONGEST_TIMER_MS));
    timer.unref?.();
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

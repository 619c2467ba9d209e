/**
 * What one tenant is started with, where the user's functions say it: `tenant` of the options. It
 * is asked once for each start, and what it leaves out is the runtime's own.
 */
import { invalidOption, spawnFailed, unreadableFor } from '../errors.js';
import { commandAt, envAt, fieldsOf, number, readAt, shown } from '../checks.js';
import { LONGEST_TIMER_MS } from './calls.js';

/** @typedef {import('../options.js').Settings} Settings */

/**
 * @typedef {object} TenantStart what is not given stays undefined
 * @property {number} [readinessTimeoutMs]
 * @property {string} [readinessPath]
 * @property {readonly string[]} [command]
 * @property {import('./environment.js').EnvSetting} env
 */

/** What `tenant` may say; anything else is refused. */
const TENANT_SETTINGS = ['readinessTimeoutMs', 'readinessPath', 'command', 'env'];
/** What it may not say together with `spawn`: these are for processes that the runtime starts. */
const OURS_ALONE = ['command'];

/** The longest path of a readiness request; many servers take no longer ones. */
const PATH_LENGTH_MAX = 2_000;

/**
 * Asks for the settings of a start. Rejects with what the user's function throws or rejects with,
 * or with an error of ours for what it must not say.
 * @param {Settings} settings
 * @param {string} key
 * @returns {Promise<TenantStart>}
 */
export async function settingsOf(settings, key) {
  const answer = /** @type {(key: string) => unknown} */ (settings.tenant)(key);
  const isLater = typeof (/** @type {any} */ (answer)?.then) === 'function';
  const said = isLater ? await inTime(answer, settings.readinessTimeoutMs, key) : answer;
  try {
    return read(settings, key, said);
  } catch (error) {
    throw unreadableFor(key, pathFor('tenant', key), error);
  }
}

/**
 * @param {Settings} settings
 * @param {string} key
 * @param {any} said
 * @returns {TenantStart}
 */
function read(settings, key, said) {
  const path = pathFor('tenant', key);
  const given = fieldsOf(path, said, TENANT_SETTINGS);
  for (const name of OURS_ALONE) {
    if (settings.spawn === undefined || given[name] === undefined) continue;
    throw invalidOption(
      `${path}.${name} is given together with spawn: it is for processes that the runtime starts`,
    );
  }
  const { readinessTimeoutMs, readinessPath, command, env } = given;
  return {
    readinessTimeoutMs: number(`${path}.readinessTimeoutMs`, readinessTimeoutMs, undefined, 1),
    readinessPath:
      readinessPath === undefined
        ? undefined
        : readinessPathAt(`${path}.readinessPath`, readinessPath),
    command: command === undefined ? undefined : readAt(`${path}.command`, command, commandAt),
    env: env === undefined ? settings.env : readAt(`${path}.env`, env, envAt),
  };
}

/**
 * A function's answer for a key, as errors name it: `tenant("acme").command`.
 * @param {string} option
 * @param {string} key
 */
const pathFor = (option, key) => `${option}(${JSON.stringify(key)})`;

/** @param {string} path @param {unknown} value */
function readinessPathAt(path, value) {
  const fits = typeof value === 'string' && /^\/[!-~]*$/.test(value) && !/[#\\]/.test(value);
  if (fits && value.length <= PATH_LENGTH_MAX) return value;
  throw invalidOption(
    `${path} must be a path that begins with "/", as a request has it: without spaces, control characters ` +
      `and "#", percent-encoded, of ${PATH_LENGTH_MAX} characters at most; got ${shown(value)}`,
  );
}

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
          `Tenant ${JSON.stringify(key)} was not started: the promise of tenant() has not settled for ${ms} ms ` +
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

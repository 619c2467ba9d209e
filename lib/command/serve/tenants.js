/** What the settings of `serve` mean for the runtime, and for each tenant at its start. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isHarmless, isOfBun, isRecord, nearest, shown, TENANT_SETTINGS } from '../../checks.js';
import { isKey, isLeftOut } from '../../control/directories.js';
import { readValue } from '../arguments.js';
import { configKey, OPTIONS } from '../options.js';
import { namesIn } from './terms.js';

/** A crash sooner than this after a start counts as a failed start, so that back-off follows. */
const MIN_UPTIME_MS = 5_000;

/** The settings that `tenant` of the config file may give for one. */
const OF_TENANT = [
  'idle',
  'memory',
  'cpus',
  'processes',
  'isolation',
  'user-range',
  'enforce',
  'stop-timeout',
  'readiness-timeout',
];
/** The settings of the library, which it may give, too. @type {readonly string[]} */
const OF_LIBRARY = TENANT_SETTINGS;

/** @typedef {import('../settings.js').Settings} Settings */

/**
 * @param {() => Settings} current the settings as they are at that moment
 * @param {import('./terms.js').Said} [said] is told what `tenant` says
 * @returns {import('../../../index.js').RuntimeOptions}
 */
export function runtimeOptions(current, said) {
  const { dir, values, file } = current();
  return {
    source: { kind: 'directory', root: dir },
    maxConcurrent: values.max,
    backoff: { minUptimeMs: MIN_UPTIME_MS },
    ...(values.survive && { survive: survivalOf(values) }),
    ...(values['sleep-after'] && { sleep: sleepOf(values) }),
    evict: values.evict,
    ...(values['keep-free'] && { memory: { keepFreeBytes: values['keep-free'] } }),
    ...startOptions(values),
    // Asked at each start, so what was read anew holds from the next start on. Without a config
    // file nothing can change, and starts need no turn of JavaScript.
    ...(file !== undefined && { tenant: (key) => tenantOptions(current(), key, said) }),
  };
}

/** @param {Record<string, any>} values by the names of flags */
const survivalOf = ({ survive: name, 'survive-for': forMs, 'take-over': takeOver = false }) => ({
  name,
  // The word for it is null.
  forMs: forMs ?? Infinity,
  takeOver,
});

/**
 * What is left out is the library's default.
 *
 * @param {Record<string, any>} values by the names of flags
 */
function sleepOf({ 'sleep-after': afterMs, 'page-out-after': pageOut, ...values }) {
  return {
    afterMs,
    // The word for never is null; the library's 0 is never.
    pageOutAfterMs: pageOut === null ? 0 : pageOut,
    maxAsleep: values['max-asleep'],
    outgoing: values.outgoing,
  };
}

/** @param {Record<string, any>} values by the names of flags */
function startOptions(values) {
  const { enforce, memory, cpus, processes, isolation, 'user-range': user } = values;
  const limits = {
    ...(memory !== null && { memoryBytes: memory }),
    ...(cpus !== null && { cpus }),
    ...(processes !== null && { processes }),
  };
  return {
    // The library's 0 is never.
    idleAfterMs: values.idle ?? 0,
    stopTimeoutMs: values['stop-timeout'],
    readinessTimeoutMs: values['readiness-timeout'],
    limits: { ...limits, enforce },
    isolation:
      isolation === 'none' ? /** @type {const} */ ('none') : { enforce, ...(user && { user }) },
  };
}

/**
 * @param {Settings} settings
 * @param {string} key
 * @param {import('./terms.js').Said} [said]
 * @returns {import('../../../index.js').TenantSettings | Promise<import('../../../index.js').TenantSettings>}
 */
function tenantOptions({ dir, values, tenant, file }, key, said) {
  said?.delete(key);
  if (tenant === undefined) return startOptions(values);
  const asked = tenant(key);
  const merge = (/** @type {any} */ given) => {
    said?.set(key, namesIn(given ?? {}));
    return merged(values, given, `${file}: tenant("${key}")`, join(dir, key));
  };
  return typeof asked?.then === 'function' ? asked.then(merge) : merge(asked);
}

/**
 * @param {Record<string, any>} values of all tenants
 * @param {unknown} given for this one
 * @param {string} where
 * @param {string} directory of the tenant
 */
function merged(values, given, where, directory) {
  if (given === undefined || given === null) return startOptions(values);
  if (!isRecord(given)) {
    throw new TypeError(`${where} must return an object, got ${shown(given)}`);
  }
  /** @type {string[]} */
  const mistakes = [];
  const own = { ...values };
  /** @type {Record<string, any>} */
  const ofLibrary = {};
  const known = [...new Set([...OF_TENANT.map(configKey), ...OF_LIBRARY])];
  for (const [key, value] of Object.entries(given)) {
    const name = OF_TENANT.find((one) => configKey(one) === key);
    // `isolation` is a word of the flag, or an object as the library takes it.
    const isFlag = name !== undefined && !(name === 'isolation' && typeof value === 'object');
    if (value === undefined) continue;
    if (isFlag) own[name] = readValue(name, value, `${where}.${key}`, mistakes);
    else if (OF_LIBRARY.includes(key)) ofLibrary[key] = value;
    else {
      const near = nearest(key, known);
      const hint = near === undefined ? '' : `; did you mean ${near}?`;
      mistakes.push(`${where}.${key} is not a setting of a tenant${hint}`);
    }
  }
  if (mistakes.length > 0) throw new TypeError(mistakes.join('; '));
  const base = startOptions(own);
  const { limits, isolation: walls, env, ...others } = ofLibrary;
  const isolation =
    walls === undefined
      ? base.isolation
      : {
          enforce: own.enforce,
          ...(own['user-range'] && { user: own['user-range'] }),
          ...walls,
        };
  const home = isolation === 'none' ? undefined : directory;
  return {
    ...base,
    ...others,
    ...(env !== undefined && { env: addedTo(env, home) }),
    limits: { ...base.limits, ...limits },
    isolation,
  };
}

/**
 * The variables that are given for a tenant on top of those that each has. Replacing them, as the
 * library does, would take away PATH, and so Bun.
 *
 * @param {unknown} env as the library takes it, which also refuses what is wrong
 * @param {string | undefined} home of a tenant within walls, which reaches no other
 * @returns {any}
 */
function addedTo(env, home) {
  if (typeof env === 'function') return (/** @type {string} */ key) => addedTo(env(key), home);
  if (!isRecord(env)) return env;
  const own = Object.entries(process.env).filter(
    ([name]) => isHarmless(name) && !(home !== undefined && isOfBun(name)),
  );
  return { ...Object.fromEntries(own), ...(home !== undefined && { HOME: home }), ...env };
}

/** The settings that one tenant may have, as the types know them. */
export const liveNames = Object.keys(OPTIONS).filter((name) => OPTIONS[name]?.isLive);

/** The keys of the directories that are there. @param {string} root @returns {string[]} */
export const keysIn = (root) => directoriesIn(root).filter(isKey);

/** Those whose names no tenant can have. @param {string} root @returns {string[]} */
export const strangersIn = (root) => directoriesIn(root).filter((name) => !isKey(name));

/** All that may be meant as tenants. @param {string} root */
function directoriesIn(root) {
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => !isLeftOut(entry.name) && isDirectory(root, entry))
    .map(({ name }) => name)
    .sort();
}

/** @param {string} root @param {import('node:fs').Dirent} entry */
function isDirectory(root, entry) {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  return statSync(join(root, entry.name), { throwIfNoEntry: false })?.isDirectory() === true;
}

/**
 * Starts the tenants that are to be kept up.
 *
 * @param {import('../../../index.js').Runtime} runtime
 * @param {Settings} settings
 * @param {(text: string) => void} complain
 */
export async function warmTenants(runtime, settings, complain) {
  if (settings.tenant === undefined) return;
  const warm = await Promise.all(
    keysIn(settings.dir).map(async (key) => {
      try {
        return (await tenantOptions(settings, key)).warm === true ? [key] : [];
      } catch (error) {
        complain(`${key} cannot be started: ${/** @type {Error} */ (error).message}`);
        return [];
      }
    }),
  );
  if (warm.flat().length > 0) runtime.warm(warm.flat());
}

/** What operators of `serve` call an option of the library, by where it is set. */
import { basename } from 'node:path';
import { configKey } from '../options.js';

/** @typedef {import('../settings.js').Settings} Settings */
/** By key: what `tenant` of the config file has said at its last start. @typedef {Map<string, Set<string>>} Said */

/** @type {Record<string, string>} */
const FLAGS = {
  'limits.memoryBytes': 'memory',
  'limits.cpus': 'cpus',
  'limits.processes': 'processes',
  'limits.enforce': 'enforce',
  isolation: 'isolation',
  'isolation.user': 'user-range',
  'isolation.enforce': 'enforce',
  idleAfterMs: 'idle',
  maxConcurrent: 'max',
  stopTimeoutMs: 'stop-timeout',
  readinessTimeoutMs: 'readiness-timeout',
  'sleep.afterMs': 'sleep-after',
  'sleep.pageOutAfterMs': 'page-out-after',
  'sleep.maxAsleep': 'max-asleep',
  'sleep.outgoing': 'outgoing',
  evict: 'evict',
  'memory.keepFreeBytes': 'keep-free',
  'survive.name': 'survive',
  'survive.forMs': 'survive-for',
  'survive.takeOver': 'take-over',
};

/**
 * The names that were given, those within `limits` and `isolation` included.
 *
 * @param {Record<string, any>} given
 */
export const namesIn = (given) =>
  new Set(
    Object.entries(given).flatMap(([name, value]) => [
      name,
      ...(typeof value === 'object' && value !== null
        ? Object.keys(value).map((inner) => `${name}.${inner}`)
        : []),
    ]),
  );

/**
 * @param {() => Settings} current
 * @param {Said} said
 * @returns {(option: string, key: string | null) => string}
 */
export function optionNames(current, said) {
  return (option, key) => {
    const { file, origins } = current();
    const flag = FLAGS[option];
    const own = key === null ? undefined : said.get(key);
    // What is said as the library has it wins: see `merged`.
    const name = [option, ...(flag === undefined ? [] : [configKey(flag)])].find((one) =>
      own?.has(one),
    );
    if (name !== undefined) return `${name} of tenant(${JSON.stringify(key)}) ${inFile(file)}`;
    if (flag === undefined) return `${option} of tenant() ${inFile(file)}`;
    return origins[flag] ?? `--${flag}`;
  };
}

/** @param {string | undefined} file */
const inFile = (file) => `in ${file === undefined ? 'a config file' : basename(file)}`;

/**
 * Checks of users' values, for all parts of the package. Each throws an error that names the
 * option.
 */
import { invalidKey, invalidOption, unreadable } from './errors.js';

/**
 * Copies the fields of a user's object. Each is read once: a proxy or a getter could give another
 * value the second time, and what it throws becomes an error that names the option. An unknown
 * field is refused, so that a misspelt option does not pass for one that was left out.
 * @template {object} T
 * @param {string} path the path of the object among the options; empty for the options themselves
 * @param {T} value
 * @param {readonly (keyof T & string)[]} names of all known fields
 * @param {readonly (keyof T & string)[]} [wanted] the fields to read; by default all
 * @returns {T}
 */
export function fieldsOf(path, value, names, wanted = names) {
  let reading = path || 'options';
  const inside = path && `${path}.`;
  /** @type {any} */
  const fields = {};
  try {
    if (!isRecord(value)) throw invalidOption(`${reading} must be an object, got ${shown(value)}`);
    for (const name of Object.keys(value)) {
      if (!names.includes(/** @type {any} */ (name))) throw unknownOption(inside, name, names);
    }
    for (const name of wanted) {
      reading = inside + name;
      fields[name] = value[name];
    }
  } catch (error) {
    throw unreadable(reading, error);
  }
  return fields;
}

/**
 * @param {string} inside the path of its object, with a dot at the end
 * @param {string} name
 * @param {readonly string[]} names
 */
function unknownOption(inside, name, names) {
  const near = nearest(name, names);
  const hint =
    near === undefined ? `; there are ${names.join(', ')}` : `; did you mean ${inside}${near}?`;
  return invalidOption(`${inside}${name.slice(0, 80)} is not an option${hint}`);
}

/**
 * Calls `read`. If looking into the value throws (a revoked proxy does), the error names the
 * option.
 * @template T
 * @param {string} path
 * @param {(path: string, value: unknown) => T} read
 * @param {unknown} value
 * @returns {T}
 */
export function readAt(path, value, read) {
  try {
    return read(path, value);
  } catch (error) {
    throw unreadable(path, error);
  }
}

/**
 * Makes a path absolute and normal, as `resolve` of `node:path` does. That is not imported: a host
 * written for Bun may not need it, and loading it takes longer than loading all of this package.
 * @param {string} path of the option
 * @param {unknown} value
 * @returns {string} absolute, without `.`, `..` and a slash at its end
 */
export function directoryAt(path, value) {
  if (typeof value !== 'string' || value === '' || value.includes('\0')) {
    throw invalidOption(`${path} must be a path, got ${shown(value)}`);
  }
  const segments = [];
  for (const segment of (value.startsWith('/') ? value : `${process.cwd()}/${value}`).split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  return `/${segments.join('/')}`;
}

/**
 * What `tenant` may say of one; anything else is refused.
 * @type {(keyof import('../index.js').TenantSettings)[]}
 */
export const TENANT_SETTINGS = [
  'idleAfterMs',
  'stopTimeoutMs',
  'readinessTimeoutMs',
  'readinessPath',
  'command',
  'env',
  'limits',
  'isolation',
  'warm',
];

/** More arguments than any program gets. A longer array is refused: to copy it would take long. */
const MAX_ARGUMENTS = 10_000;

/**
 * @param {string} path of the option
 * @param {unknown} value
 * @returns {readonly string[]} a copy
 */
export function commandAt(path, value) {
  const isArgument = (/** @type {unknown} */ part) =>
    typeof part === 'string' && !part.includes('\0');
  const parts = copyOf(value, MAX_ARGUMENTS);
  if (parts === undefined || parts.length === 0 || !parts.every(isArgument) || parts[0] === '') {
    throw invalidOption(`${path} must be a non-empty array of strings, got ${shown(value)}`);
  }
  return /** @type {string[]} */ (parts);
}

/**
 * Copies an array; undefined if the value is no array, or is too long. Holes become undefined,
 * which `every` does not skip. The length is used and not the iterator, which a user could replace
 * by an endless one.
 * @param {unknown} value
 * @param {number} most
 * @returns {unknown[] | undefined}
 */
export function copyOf(value, most) {
  if (!Array.isArray(value) || value.length > most) return undefined;
  const { length } = value;
  return Array.from({ length }, (_, index) => value[index]);
}

/**
 * Why this cannot be a variable of a tenant's environment; undefined if it can. The text continues
 * the option's path. An undefined value is fine: the variable is left out.
 * @param {string} name
 * @param {unknown} value
 * @returns {string | undefined}
 */
export function problemOfVariable(name, value) {
  if (value !== undefined && (typeof value !== 'string' || value.includes('\0'))) {
    return `.${name.slice(0, 80)} must be a string without NUL, got ${typeof value}`;
  }
  if (name === '' || name.includes('=') || name.includes('\0')) {
    return ` has the impossible variable name ${JSON.stringify(name.slice(0, 80))}`;
  }
  return undefined;
}

/**
 * The variables of tenants: how they are given, checked.
 * @param {string} path
 * @param {unknown} env
 * @returns {import('./tenant/environment.js').EnvSetting}
 */
export function envAt(path, env) {
  if (env === 'inherit' || isFunction(env))
    return /** @type {import('./tenant/environment.js').EnvSetting} */ (env);
  if (isRecord(env)) return variablesAt(path, env);
  throw invalidOption(
    `${path} must be "inherit", a record of strings or a function, got ${shown(env)}`,
  );
}

/**
 * @param {string} path
 * @param {unknown} env
 * @returns {import('./tenant/environment.js').Variables} a copy
 */
export function variablesAt(path, env) {
  if (!isRecord(env)) {
    throw invalidOption(`${path} must be a record of strings, got ${shown(env)}`);
  }
  const variables = { .../** @type {Record<string, string | undefined>} */ (env) };
  for (const [name, value] of Object.entries(variables)) {
    const problem = problemOfVariable(name, value);
    if (problem !== undefined) throw invalidOption(`${path}${problem}`);
  }
  return variables;
}

/** Where Bun keeps its files, which a tenant within walls cannot reach. */
const OF_BUN = ['BUN_INSTALL', 'BUN_TMPDIR', 'BUN_RUNTIME_TRANSPILER_CACHE_PATH', 'XDG_CACHE_HOME'];
/**
 * The host's variables that a tenant gets by default, besides LC_*: where it runs, where Bun keeps
 * its files, and no secrets.
 */
const HARMLESS = new Set([
  ...['PATH', 'HOME', 'LANG', 'LANGUAGE', 'TZ', 'TMPDIR', 'USER', 'LOGNAME', 'SHELL'],
  ...OF_BUN,
]);

/** @param {string} name of a variable */
export const isHarmless = (name) => HARMLESS.has(name) || name.startsWith('LC_');
/** @param {string} name of one of them */
export const isOfBun = (name) => OF_BUN.includes(name);

/**
 * A number option.
 * @template {number | undefined} D
 * @param {string} path
 * @param {unknown} value
 * @param {D} byDefault
 * @param {number} [least] left out where 0 or less turns something off
 * @returns {number | D}
 */
export function number(path, value, byDefault, least = -Infinity) {
  if (value === undefined) return byDefault;
  if (typeof value === 'number' && value >= least) return value;
  throw notNumber(path, value, 'a number', least);
}

/**
 * A whole-number option; Infinity is one, too.
 * @template {number | undefined} D
 * @param {string} path
 * @param {unknown} value
 * @param {D} byDefault
 * @param {number} least
 * @returns {number | D}
 */
export function wholeNumber(path, value, byDefault, least) {
  if (value === undefined) return byDefault;
  const isWhole = Number.isInteger(value) || value === Infinity;
  if (isWhole && Number(value) >= least) return Number(value);
  throw notNumber(path, value, 'a whole number', least);
}

/** @param {string} path @param {unknown} value @param {string} what @param {number} least */
function notNumber(path, value, what, least) {
  const range = least === -Infinity ? '' : ` of at least ${least}`;
  return invalidOption(`${path} must be ${what}${range}, got ${shown(value)}`);
}

/**
 * An option that may be left out; otherwise it must fit.
 * @template T
 * @param {string} path
 * @param {T} value
 * @param {(value: unknown) => boolean} fits
 * @param {string} what the option must be, for the error's message
 * @returns {T}
 */
export function optional(path, value, fits, what) {
  try {
    if (value === undefined || fits(value)) return value;
  } catch (error) {
    throw unreadable(path, error);
  }
  throw invalidOption(`${path} must be ${what}, got ${shown(value)}`);
}

/** @param {unknown} value */
export const isFunction = (value) => typeof value === 'function';

/** @param {any} value */
export const isTracerProvider = (value) => isFunction(value?.getTracer);

/**
 * Whether the value is an object with fields. A promise, a `Map` and the like are none: all of
 * their fields would seem to have been left out.
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
export const isRecord = (value) =>
  typeof value === 'object' && value !== null && !(Symbol.iterator in value) && !isPromise(value);

/** @param {any} value */
export const isPromise = (value) => isFunction(value?.then);

/** How many of an array's entries a message shows. */
const SHOWN_ENTRIES = 10;

/**
 * A value for an error message, shortened; never throws.
 * @param {unknown} value
 * @returns {string}
 */
export function shown(value) {
  try {
    if (!Array.isArray(value)) return shownOne(value);
    if (value.length === 0) return 'an empty array';
    const entries = Array.prototype.slice.call(value, 0, SHOWN_ENTRIES).map(shownOne);
    return `[${entries.join(', ').slice(0, 80)}]`;
  } catch {
    return 'what cannot be looked into';
  }
}

/** An array within an array is only named: it may contain itself. @param {unknown} value */
function shownOne(value) {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 80));
  if (typeof value === 'bigint') return `the BigInt ${plain(value)}`;
  if (typeof value === 'function') return 'a function';
  if (isPromise(value)) return 'a promise, which must be awaited first';
  if (value instanceof Map || value instanceof Set) return `a ${value.constructor.name}`;
  return Array.isArray(value) ? 'an array' : plain(value);
}

/**
 * A value that is neither an array nor a function, for an error message.
 * @param {unknown} value
 * @returns {string}
 */
export function plain(value) {
  return typeof value === 'object' && value !== null ? 'an object' : String(value).slice(0, 80);
}

/**
 * The nearest of some words, if it is near enough to be meant: one letter in three may differ, or
 * two in a short word that begins alike, but no more than half. The beginning of a word counts as
 * near. Case does not count.
 * @param {string} word
 * @param {readonly string[]} words
 * @returns {string | undefined}
 */
export function nearest(word, words) {
  const meant = word.slice(0, MAX_WORD_LENGTH).toLowerCase();
  /** @type {string | undefined} */
  let best;
  let least = Infinity;
  for (const other of words) {
    const known = other.toLowerCase();
    const isBegun = meant.length >= LEAST_BEGINNING && known.startsWith(meant);
    const changes = isBegun ? Number(known !== meant) : changesBetween(meant, known);
    const few = known[0] === meant[0] ? 2 : 1;
    const most = Math.min(Math.max(few, other.length / 3), other.length / 2);
    if (changes < least && changes <= most) [best, least] = [other, changes];
  }
  return best;
}

/** Fewer letters begin too many words. */
const LEAST_BEGINNING = 3;

/**
 * Longer than every known word. The rest of a longer one is ignored: comparing it would take long.
 */
const MAX_WORD_LENGTH = 100;

/**
 * The edit distance: letters added, removed, changed, or swapped with the next one.
 * @param {string} from
 * @param {string} to
 */
function changesBetween(from, to) {
  // The distances from the first `i` letters of `from` to each prefix of `to`, for `i` and the two
  // before it.
  let row = Array.from({ length: to.length + 1 }, (_, length) => length);
  let before = row;
  let beforeThat = row;
  for (let i = 1; i <= from.length; i += 1) {
    [beforeThat, before, row] = [before, row, [i]];
    for (let j = 1; j <= to.length; j += 1) {
      const same = from[i - 1] === to[j - 1];
      let changes = Math.min(
        /** @type {number} */ (before[j]) + 1,
        /** @type {number} */ (row[j - 1]) + 1,
        /** @type {number} */ (before[j - 1]) + (same ? 0 : 1),
      );
      const isSwapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      if (isSwapped) changes = Math.min(changes, /** @type {number} */ (beforeThat[j - 2]) + 1);
      row.push(changes);
    }
  }
  return /** @type {number} */ (row[to.length]);
}

/** The parent directory. @param {string} path absolute @returns {string} */
export const parentOf = (path) => path.slice(0, path.lastIndexOf('/')) || '/';

const MAX_KEY_BYTES = 512;

/**
 * Throws unless `key` is one or more ordinary path segments, such as `app` or `org/app`: any other
 * text could name a directory outside the root, or be a second name of one inside it.
 * @param {unknown} key
 * @returns {asserts key is string}
 */
export function assertKey(key) {
  const problem = problemOf(key);
  if (problem !== undefined) throw invalidKey(key, problem);
}

const OCTET = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const IPV4 = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`);

/**
 * The version of an IP address without a zone, as `isIP` of `node:net` has it; 0 if it is none. To
 * load `node:net` takes Bun 7 ms.
 * @param {string} text
 * @returns {0 | 4 | 6}
 */
export function ipVersion(text) {
  if (IPV4.test(text)) return 4;
  // An IPv4 address at the end stands for two groups of the eight.
  const ofGroups = text.replace(/(?<=:)[^:]*\.[^:]*$/, (end) => (IPV4.test(end) ? '0:0' : end));
  const halves = ofGroups.split('::');
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')));
  const isComplete = halves.length === 1 ? groups.length === 8 : groups.length < 8;
  const isValid = halves.length <= 2 && groups.every((group) => /^[\da-f]{1,4}$/i.test(group));
  return isComplete && isValid ? 6 : 0;
}

/** More keys than a runtime remembers. */
const MAX_KEYS = 1_000_000;

/**
 * Copies an array of keys. Throws unless each is valid.
 * @param {unknown} keys
 * @returns {string[]}
 */
export function keysAt(keys) {
  const copy = readAt('keys', keys, () => copyOf(keys, MAX_KEYS));
  if (copy === undefined) throw invalidOption(`keys must be an array of keys, got ${shown(keys)}`);
  copy.forEach(assertKey);
  return /** @type {string[]} */ (copy);
}

/** @param {unknown} key @returns {string | undefined} */
function problemOf(key) {
  // The fast path for most keys.
  if (typeof key === 'string' && /^[a-z0-9_-]{1,100}$/i.test(key)) return undefined;
  if (typeof key !== 'string') return `must be a string, got ${key === null ? 'null' : typeof key}`;
  if (key === '') return 'must not be empty';
  if (Buffer.byteLength(key) > MAX_KEY_BYTES)
    return `must not be longer than ${MAX_KEY_BYTES} bytes`;
  if (/[\p{Cc}]/u.test(key)) return 'must not contain control characters';
  if (/\p{Surrogate}/u.test(key)) return 'must be well-formed Unicode';
  if (key.includes('\\')) return 'must not contain a backslash';
  if (key.startsWith('/')) return 'must not be an absolute path';
  for (const segment of key.split('/')) {
    if (segment === '') return 'must not contain an empty segment';
    if (segment === '.' || segment === '..') return `must not contain the segment "${segment}"`;
  }
  return undefined;
}

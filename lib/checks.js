/** Small checks of what users hand over, for all parts of the package. Each throws an error that names the option. */
import { invalidKey, invalidOption, unreadable } from './errors.js';

/**
 * The fields of an object that a user gave, each read once, so that whatever it is (a proxy, an object with getters) it
 * cannot give another answer later, nor throw anything that does not name the option. A field that is none is refused: a
 * misspelt option must not pass for one that was left out.
 * @template {object} T
 * @param {string} path of the option that the object is; empty for the options themselves
 * @param {T} value
 * @param {readonly (keyof T & string)[]} names of all fields that there are
 * @param {readonly (keyof T & string)[]} [wanted] those that are read, all by default
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

/** @param {string} inside what it is in, with a dot @param {string} name @param {readonly string[]} names */
function unknownOption(inside, name, names) {
  const near = nearest(name, names);
  const hint = near === undefined ? `; there are ${names.join(', ')}` : `; did you mean ${inside}${near}?`;
  return invalidOption(`${inside}${name.slice(0, 80)} is not an option${hint}`);
}

/**
 * What `read` makes of a value. What cannot be looked into (a revoked proxy, say) is refused as well.
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
 * `node:path` would do the same, but a host written for Bun may have no use for it, and loading it takes longer than all
 * of this package.
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

/** More than any program is given: what is longer is no command, and would only take long to copy. */
const MOST_ARGUMENTS = 10_000;

/** @param {string} path of the option @param {unknown} value @returns {readonly string[]} a copy */
export function commandAt(path, value) {
  const isArgument = (/** @type {unknown} */ part) => typeof part === 'string' && !part.includes('\0');
  const parts = copyOf(value, MOST_ARGUMENTS);
  if (parts === undefined || parts.length === 0 || !parts.every(isArgument) || parts[0] === '') {
    throw invalidOption(`${path} must be a non-empty array of strings, got ${shown(value)}`);
  }
  return /** @type {string[]} */ (parts);
}

/**
 * A copy of an array, without holes, which `every` would pass over; undefined if it is none, or too long. By its length
 * and not by its iterator, which may be the user's and never end.
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
 * Why this cannot be a variable of a tenant's environment, to be read after where it came from. One that is undefined is
 * left out.
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
 * @template {number | undefined} D
 * @param {string} path
 * @param {unknown} value
 * @param {D} byDefault
 * @param {number} [least] without it, 0 or less turns something off
 * @returns {number | D}
 */
export function number(path, value, byDefault, least = -Infinity) {
  if (value === undefined) return byDefault;
  if (typeof value === 'number' && value >= least) return value;
  throw notNumber(path, value, 'a number', least);
}

/**
 * @template {number | undefined} D
 * @param {string} path
 * @param {unknown} value
 * @param {D} byDefault
 * @param {number} least
 * @returns {number | D} Infinity, too
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
 * @template T
 * @param {string} path
 * @param {T} value
 * @param {(value: unknown) => boolean} fits
 * @param {string} what
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

/** @param {unknown} value */
export const isRecord = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** How much of an array is shown. */
const SHOWN_ENTRIES = 10;

/** A value as it is written in code, short; never an error of its own. @param {unknown} value @returns {string} */
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

/** What is in it is not: it may be itself. @param {unknown} value */
function shownOne(value) {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 80));
  if (typeof value === 'function') return 'a function';
  return Array.isArray(value) ? 'an array' : plain(value);
}

/** @param {unknown} value @returns {string} */
export function plain(value) {
  return typeof value === 'object' && value !== null ? 'an object' : String(value).slice(0, 80);
}

/**
 * The nearest of some words, if one is near enough to be meant: one letter in three may differ, two in a short word, and
 * upper and lower case do not count.
 * @param {string} word
 * @param {readonly string[]} words
 * @returns {string | undefined}
 */
export function nearest(word, words) {
  const meant = word.slice(0, LONGEST_WORD).toLowerCase();
  /** @type {string | undefined} */
  let best;
  let least = Infinity;
  for (const other of words) {
    const changes = changesBetween(meant, other.toLowerCase());
    if (changes < least && changes <= Math.max(2, other.length / 3)) [best, least] = [other, changes];
  }
  return best;
}

/** Longer than every word that there is to be meant. */
const LONGEST_WORD = 100;

/** How many letters must be added, removed or changed, or swapped with the next one. @param {string} from @param {string} to */
function changesBetween(from, to) {
  /** The changes from the first letters of `from` to each beginning of `to`; the row before; and the one before that. */
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

/** @param {string} path absolute */
export const parentOf = (path) => path.slice(0, path.lastIndexOf('/')) || '/';

const LONGEST_KEY_BYTES = 512;

/**
 * Throws unless `key` is one or more ordinary path segments, such as `app` or `org/app`: anything else could name a
 * directory outside the root, or two names for the same one.
 * @param {unknown} key
 * @returns {asserts key is string}
 */
export function assertKey(key) {
  const problem = problemOf(key);
  if (problem !== undefined) throw invalidKey(key, problem);
}

/** @param {unknown} key @returns {string | undefined} */
function problemOf(key) {
  // What most keys are: one look is enough.
  if (typeof key === 'string' && /^[a-z0-9_-]{1,100}$/i.test(key)) return undefined;
  if (typeof key !== 'string') return `must be a string, got ${key === null ? 'null' : typeof key}`;
  if (key === '') return 'must not be empty';
  if (Buffer.byteLength(key) > LONGEST_KEY_BYTES) return `must not be longer than ${LONGEST_KEY_BYTES} bytes`;
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

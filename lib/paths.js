/**
 * Keys, the directory each stands for, and paths as far as they are needed here: absolute, and of Linux. `node:path`
 * would do the same, but a host written for Bun may have no use for it, and loading it takes Bun longer than loading all
 * of this package.
 */
import { invalidKey } from './errors.js';

/** Absolute, without `.`, `..` and empty segments. @param {string} path */
export function absolutePath(path) {
  /** @type {string[]} */
  const segments = [];
  for (const segment of (path.startsWith('/') ? path : `${process.cwd()}/${path}`).split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  return `/${segments.join('/')}`;
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

/** What most keys are: one look is enough. */
const PLAIN_WORD = /^[a-z0-9_-]{1,100}$/i;

/** @param {unknown} key @returns {string | undefined} */
function problemOf(key) {
  if (typeof key === 'string' && PLAIN_WORD.test(key)) return undefined;
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

/**
 * The directory that a valid key stands for.
 * @param {string} root as `absolutePath` makes it
 * @param {string} key
 */
export function directoryOf(root, key) {
  return root === '/' ? `/${key}` : `${root}/${key}`;
}

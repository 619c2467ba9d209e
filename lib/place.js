/** Where a tenant runs: its key, and the directory that the key stands for. */
import { invalidKey } from './errors.js';

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

/**
 * The directory that a valid key stands for.
 * @param {string} root as `directoryAt` makes it
 * @param {string} key
 */
export function directoryOf(root, key) {
  return root === '/' ? `/${key}` : `${root}/${key}`;
}

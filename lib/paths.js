/**
 * Paths, as far as they are needed here: absolute, and of Linux. `node:path` would do the same, but a host written for
 * Bun may have no use for it, and loading it takes Bun longer than loading all of this package.
 */

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

/** Which directories a runtime's root has: each is a tenant, also before it has been started. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { assertKey } from '../checks.js';

/** The directory is listed again after this time, also if it seems unchanged. */
const LONGEST_MS = 30_000;
/** Two changes that are nearer to each other may have the same time. */
const CLOCK_STEP_MS = 1_000;

/** @param {string} root */
export function createDirectories(root) {
  /** @type {ReadonlySet<string>} */
  let keys = new Set();
  let isKnown = false;
  let changedAtMs = NaN;
  let listedAt = -Infinity;
  /** @type {Promise<void> | undefined} */
  let looking;

  async function list() {
    try {
      const { mtimeMs } = await stat(root);
      const isFresh = performance.now() - listedAt < LONGEST_MS;
      if (mtimeMs === changedAtMs && isFresh) return;
      const entries = await readdir(root, { withFileTypes: true });
      const found = new Set();
      for (const entry of entries) {
        const { name } = entry;
        if (!isLeftOut(name) && isKey(name) && (await isDirectory(root, entry))) found.add(name);
      }
      [keys, listedAt, isKnown] = [found, performance.now(), true];
      changedAtMs = Date.now() - mtimeMs > CLOCK_STEP_MS ? mtimeMs : NaN;
    } catch {
      // There is no such root: a runtime with a `spawn` of its own needs none.
      [keys, isKnown, changedAtMs] = [new Set(), false, NaN];
    }
  }

  return {
    /** Looks, unless that is under way. @returns {Promise<void>} */
    look: () => (looking ??= list().finally(() => (looking = undefined))),
    get keys() {
      return keys;
    },
    /** Whether the root was there, and was listed. */
    get isKnown() {
      return isKnown;
    },
  };
}

/** @param {string} root @param {import('node:fs').Dirent} entry */
async function isDirectory(root, entry) {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  try {
    return (await stat(join(root, entry.name))).isDirectory();
  } catch {
    return false;
  }
}

/** A directory that nobody means as a tenant. @param {string} name */
export const isLeftOut = (name) => name.startsWith('.') || name === 'node_modules';

/** @param {string} name */
export function isKey(name) {
  try {
    assertKey(name);
    return true;
  } catch {
    return false;
  }
}

/** Whether there is such a tenant, at any depth. @param {string} root @param {string} key */
export async function isKnownDirectory(root, key) {
  try {
    return (await stat(join(root, key))).isDirectory();
  } catch {
    return false;
  }
}

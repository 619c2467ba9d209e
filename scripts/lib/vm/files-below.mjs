// All files below a directory, without the packages in it.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/**
 * @param {string} directory
 * @returns {{ path: string, from: string }[]} path: below the directory; none if it is not there
 */
export function filesBelow(directory) {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((path) => !/(?:^|\/)node_modules(?:\/|$)/.test(path))
    .map((path) => ({ path, from: join(directory, path) }))
    .filter(({ from }) => statSync(from, { throwIfNoEntry: false })?.isFile());
}

// The tarballs under test: those in the directory PACKED_DIR (made by `npm run pack:all`), or else
// new ones of what `npm run build` has built.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { builtFiles } from '../../../scripts/lib/paths.mjs';
import { platformTriple } from '../../../scripts/lib/platform.mjs';
import { packMain, packPlatform } from '../../../scripts/lib/tarballs.mjs';
import { targets } from '../../../scripts/lib/targets.mjs';

/**
 * @param {string} directory for new ones
 * @returns {Promise<string[]>} paths, the main package's first
 */
export async function tarballs(directory) {
  const { PACKED_DIR } = process.env;
  if (PACKED_DIR !== undefined) return packedIn(PACKED_DIR);
  const target = targets.find(({ triple }) => triple === platformTriple());
  if (!target) throw new Error(`there is no package for ${platformTriple()}`);
  const main = await packMain(directory);
  const platform = await packPlatform(target, builtFiles(), directory);
  return [main.path, platform.path];
}

/** @param {string} directory */
function packedIn(directory) {
  const names = readdirSync(directory).filter((name) => name.endsWith('.tgz'));
  const isOfPlatform = (/** @type {string} */ name) => Number(/-(?:gnu|musl)-/.test(name));
  return names
    .sort((a, b) => isOfPlatform(a) - isOfPlatform(b))
    .map((name) => join(directory, name));
}

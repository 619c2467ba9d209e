// The system below the tests: Debian's own programs and libraries, as tests expect them, and the
// libraries of this machine's programs where Debian's packages do not have them.
import { spawnSync } from 'node:child_process';
import { lstatSync, readlinkSync, realpathSync } from 'node:fs';
import { filesBelow } from './files-below.mjs';

/** @typedef {import('./archive.mjs').Entry} Entry */
/** @typedef {import('./architectures.mjs').Architecture} Architecture */

const PROGRAMS = ['coreutils', 'dash', 'mount', 'util-linux'];
const LIBRARIES = [
  ...['libacl1', 'libattr1', 'libblkid1', 'libc6', 'libcap-ng0', 'libgcc-s1', 'libgmp10'],
  ...['libmount1', 'libpcre2-8-0', 'libselinux1', 'libsmartcols1', 'libstdc++6', 'libtinfo6'],
  ...['libudev1', 'libuuid1'],
];

/**
 * @param {Architecture} architecture
 * @param {import('./debian.mjs').Packages} packages
 * @returns {Map<string, Entry>} by path, with its first slash
 */
export function baseSystem({ libraries }, packages) {
  // Some releases of Debian have these below /usr alone, with links from where they were.
  const wanted = new RegExp(
    `^(?:usr/)?(?:s?bin/|lib(?:32|64)?/ld-|lib/${libraries}/.*\\.so|lib64/)`,
  );
  /** @type {Map<string, Entry>} */
  const entries = new Map();
  for (const name of [...PROGRAMS, ...LIBRARIES]) {
    for (const { path, from } of filesBelow(packages.unpack(name))) {
      if (!wanted.test(path)) continue;
      entries.set(`/${path.replace(/^usr\/(?=lib)/, '')}`, copyOf(from));
    }
  }
  return entries.set('/bin/sh', { kind: 'link', text: 'dash' });
}

/**
 * The libraries that programs of this machine need, and that are not there yet.
 *
 * @param {string[]} programs
 * @param {ReadonlyMap<string, Entry>} there
 * @returns {Map<string, Entry>}
 */
export function librariesOf(programs, there) {
  const { stdout } = spawnSync('ldd', programs, { encoding: 'utf8' });
  const found = [...stdout.matchAll(/(?:=> |^\t)(\/\S+)/gm)].map(([, path = '']) => path);
  const missing = found.filter((path) => !there.has(path) && !there.has(path.replace('/usr', '')));
  return new Map(missing.map((path) => [path, { kind: 'file', from: realpathSync(path) }]));
}

/** @param {string} from @returns {Entry} */
function copyOf(from) {
  const found = lstatSync(from);
  if (found.isSymbolicLink()) return { kind: 'link', text: readlinkSync(from) };
  return { kind: 'file', mode: found.mode & 0o111 ? 0o755 : 0o644, from };
}

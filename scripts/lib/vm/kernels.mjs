// Which of Debian's cloud kernels are booted: the newest package of each line.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ScriptError } from '../run.mjs';

/**
 * 6.1 is the oldest kernel of a supported Debian: control groups v2, Landlock 2. 6.12 has Landlock
 * 6, with ports, signals and abstract sockets.
 */
export const LINES = ['6.1', '6.12'];

/**
 * The newest package of a line, neither one of debug symbols, nor an unsigned one, nor one that
 * only depends on others.
 *
 * @param {string} found what `apt-cache search` prints: a package a line, its name first
 * @param {string} line
 * @param {string} debianArchitecture
 * @returns {string | undefined}
 */
export function newestKernel(found, line, debianArchitecture) {
  const pattern = new RegExp(
    `^linux-image-(${line.replaceAll('.', '\\.')}\\.\\S+)-cloud-${debianArchitecture}$`,
  );
  return found
    .split('\n')
    .map((entry) => pattern.exec(entry.split(' ')[0] ?? ''))
    .filter((match) => match !== null)
    .toSorted(([, one = ''], [, other = '']) => compareVersions(one, other))
    .at(-1)?.[0];
}

/**
 * Compares the numbers in two versions, one after the other: 6.12.117+deb12 is newer than
 * 6.12.99+deb12.
 *
 * @param {string} one
 * @param {string} other
 */
function compareVersions(one, other) {
  const [numbers, others] = [numbersIn(one), numbersIn(other)];
  const length = Math.max(numbers.length, others.length);
  for (let index = 0; index < length; index += 1) {
    const difference = (numbers[index] ?? -1) - (others[index] ?? -1);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** @param {string} version */
const numbersIn = (version) => (version.match(/\d+/g) ?? []).map(Number);

/**
 * The kernel of a line, unpacked. Where the newest cannot be downloaded, it is the one of last time.
 *
 * @param {import('./debian.mjs').Packages} packages
 * @param {string} line
 * @param {string} debianArchitecture
 * @returns {{ directory: string, image: string } | undefined} undefined where Debian has none
 */
export function unpackKernel(packages, line, debianArchitecture) {
  const suffix = `-cloud-${debianArchitecture}`;
  const newest = newestKernel(
    packages.search(`^linux-image-.*${suffix}$`),
    line,
    debianArchitecture,
  );
  const former = newestKernel(
    packages.unpacked('linux-image-').join('\n'),
    line,
    debianArchitecture,
  );
  const name = newest ?? former;
  if (name === undefined) return undefined;
  const directory = unpackOr(packages, name, former);
  const boot = join(directory, 'boot');
  const image = readdirSync(boot).find((file) => file.startsWith('vmlinuz-'));
  if (image === undefined) throw new ScriptError(`there is no kernel in ${boot}`);
  return { directory, image: join(boot, image) };
}

/**
 * @param {import('./debian.mjs').Packages} packages
 * @param {string} name
 * @param {string | undefined} former the package to fall back on, which goes if it is not needed
 */
function unpackOr(packages, name, former) {
  try {
    const directory = packages.unpack(name);
    if (former !== undefined && former !== name) packages.forget(former);
    return directory;
  } catch (error) {
    if (former === undefined || !(error instanceof ScriptError)) throw error;
    console.log(`› ${error.message}\n› going on with ${former}`);
    return packages.unpack(former);
  }
}

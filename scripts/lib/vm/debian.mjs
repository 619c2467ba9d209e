// Debian's packages, unpacked below target/vm and never installed. apt works with lists of its own
// there: for another processor, too, without root, and without a change of this machine.
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { root } from '../paths.mjs';
import { ScriptError } from '../run.mjs';

/** @typedef {import('./architectures.mjs').Architecture} Architecture */

export const cache = join(root, 'target', 'vm');

/** For how long the lists of packages are taken as they are. */
const LISTS_KEEP_MS = 24 * 3_600_000;

/** @param {Architecture} architecture */
export function debianPackages(architecture) {
  const directory = join(cache, architecture.name);
  const lists = join(directory, 'lists');
  const archives = join(directory, 'archives');
  const updated = join(directory, 'updated');
  const options = [
    `APT::Architecture=${architecture.debian}`,
    'APT::Sandbox::User=root',
    'Acquire::http::Timeout=20',
    `Dir::State::Lists=${lists}`,
    'Dir::State::status=/dev/null',
    `Dir::Cache=${archives}`,
  ].flatMap((option) => ['-o', option]);
  let areFresh = false;

  /** Reads the lists anew, unless that was done lately. Offline the old ones go on to be used. */
  function refresh(keepMs = LISTS_KEEP_MS) {
    if (areFresh || ageOf(updated) < keepMs) return;
    for (const each of [lists, join(archives, 'archives')])
      mkdirSync(join(each, 'partial'), { recursive: true });
    console.log(`› reading Debian's lists of packages for ${architecture.debian}`);
    const { status } = apt('apt-get', ['-qq', 'update']);
    areFresh = true;
    if (status === 0) writeFileSync(updated, '');
  }

  /**
   * @param {'apt-get' | 'apt-cache'} program
   * @param {string[]} args
   * @param {string} [cwd]
   */
  const apt = (program, args, cwd = directory) =>
    spawnSync(program, [...options, ...args], { cwd, encoding: 'utf8' });

  return {
    /** @param {string} pattern @returns {string} a package a line, its name first */
    search(pattern) {
      mkdirSync(directory, { recursive: true });
      refresh();
      return apt('apt-cache', ['search', '--names-only', pattern]).stdout;
    },

    /**
     * Downloads and unpacks a package, unless that was done before.
     *
     * @param {string} name
     * @returns {string} the directory with its files
     */
    unpack(name) {
      const unpacked = join(directory, 'packages', name);
      if (existsSync(unpacked)) return unpacked;
      mkdirSync(join(directory, 'packages'), { recursive: true });
      refresh();
      console.log(`› downloading ${name} (${architecture.debian})`);
      const temporary = mkdtempSync(join(directory, 'unpacking-'));
      try {
        let { status, stderr } = apt('apt-get', ['-qq', 'download', name], temporary);
        if (status !== 0) {
          // What an old list names may have been replaced by a newer package.
          refresh(0);
          ({ status, stderr } = apt('apt-get', ['-qq', 'download', name], temporary));
        }
        const [file] = readdirSync(temporary).filter((entry) => entry.endsWith('.deb'));
        if (status !== 0 || file === undefined)
          throw new ScriptError(`apt-get download ${name} failed:\n${stderr.trim()}`);
        const files = join(temporary, 'files');
        const unpacking = spawnSync('dpkg', ['-x', join(temporary, file), files]);
        if (unpacking.status !== 0)
          throw new ScriptError(`dpkg -x ${file} failed:\n${unpacking.stderr}`);
        renameSync(files, unpacked);
        return unpacked;
      } finally {
        rmSync(temporary, { recursive: true, force: true });
      }
    },

    /**
     * The packages unpacked before whose name begins so.
     *
     * @param {string} beginning
     */
    unpacked(beginning) {
      const packages = join(directory, 'packages');
      const names = existsSync(packages) ? readdirSync(packages) : [];
      return names.filter((name) => name.startsWith(beginning));
    },

    /** @param {string} name */
    forget(name) {
      rmSync(join(directory, 'packages', name), { recursive: true, force: true });
    },
  };
}

/** @typedef {ReturnType<typeof debianPackages>} Packages */

/** @param {string} path @returns {number} milliseconds; without the file, infinitely many */
function ageOf(path) {
  const { mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? { mtimeMs: -Infinity };
  return Date.now() - mtimeMs;
}

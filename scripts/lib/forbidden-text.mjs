// Fails when a file of the project names a package registry's host or a directory of the machine
// it was written on: both are true in one place only.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join, relative } from 'node:path';
import { root } from './paths.mjs';
import { ScriptError } from './run.mjs';

// Written so that this file does not match itself. The standard source line of Cargo.lock names
// the index's repository, not its host, and does not match either.
const FORBIDDEN = [
  {
    what: "a registry's address",
    pattern: /registry\.(?:npmjs|yarnpkg)|(?:index|static)\.crates\.io/,
  },
  { what: 'an absolute path of a machine', pattern: /(?<![\w.~*-])\/(?:root|work|home|Users)\// },
];
const NOT_OURS = new Set(['node_modules', 'target', '.git']);

/** @throws {ScriptError} naming every place */
export function checkForbiddenText() {
  const files = projectFiles();
  const found = files.flatMap(forbiddenPlaces);
  if (found.length > 0) throw new ScriptError(found.join('\n✘ '));
  console.log(`${files.length} files checked`);
}

/** What is committed or would be; every file when this is not a git checkout. */
function projectFiles() {
  const git = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  });
  return git.status === 0 ? git.stdout.split('\0').filter(isFile) : filesBelow(root);
}

/** @param {string} name */
function isFile(name) {
  return name !== '' && statSync(join(root, name), { throwIfNoEntry: false })?.isFile() === true;
}

/**
 * @param {string} directory
 * @returns {string[]}
 */
function filesBelow(directory) {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return NOT_OURS.has(entry.name) ? [] : filesBelow(path);
    return entry.isFile() ? [relative(root, path)] : [];
  });
}

/** @param {string} name */
function forbiddenPlaces(name) {
  const content = readFileSync(join(root, name));
  if (content.includes(0)) return [];
  return content
    .toString()
    .split('\n')
    .flatMap((line, index) =>
      FORBIDDEN.filter(({ pattern }) => pattern.test(line)).map(
        ({ what }) => `${name}:${index + 1} has ${what}`,
      ),
    );
}

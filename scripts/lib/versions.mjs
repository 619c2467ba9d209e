// The version of the main package.json, and its copies in other files: `npm version` keeps them
// equal; `npm test` and packing check it.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './paths.mjs';
import { ScriptError } from './run.mjs';

const VERSION = String.raw`(\d+\.\d+\.\d+[\w.+-]*)`;

/** The other files that have the version, with the text around it. */
const copies = () => [
  ...readdirSync(join(root, 'npm')).map((triple) => ({
    name: `npm/${triple}/package.json`,
    pattern: new RegExp(`(^  "version": ")${VERSION}(")`, 'm'),
  })),
  { name: 'lib/bridge/native.js', pattern: new RegExp(`(const VERSION = ')${VERSION}(')`) },
  {
    name: 'Cargo.toml',
    pattern: new RegExp(`(\\[workspace\\.package\\]\\nversion = ")${VERSION}(")`),
  },
  ...['absolutejs-runtime', ...readdirSync(join(root, 'crates'))].map((crate) => ({
    name: 'Cargo.lock',
    pattern: new RegExp(`(name = "${crate}"\\nversion = ")${VERSION}(")`),
  })),
  // npm updates these two itself. They are checked since a change by hand tends to miss them.
  { name: 'package-lock.json', pattern: new RegExp(`(^  "version": ")${VERSION}(")`, 'm') },
  { name: 'package-lock.json', pattern: new RegExp(`(^      "version": ")${VERSION}(")`, 'm') },
];

/** @returns {string} */
export function packageVersion() {
  return JSON.parse(read('package.json')).version;
}

/** @throws {ScriptError} naming every file of another version */
export function checkVersions() {
  const version = packageVersion();
  const different = copies()
    .map(({ name, pattern }) => ({ name, found: pattern.exec(read(name))?.[2] ?? 'no version' }))
    .filter(({ found }) => found !== version);
  if (different.length > 0) {
    const places = different.map(({ name, found }) => `${name} (${found})`).join(', ');
    throw new ScriptError(
      `package.json says ${version}, and not so ${places}: run node scripts/set-version.mjs`,
    );
  }
  console.log(`${version} everywhere`);
}

export function setVersions() {
  const version = packageVersion();
  for (const { name, pattern } of copies()) {
    writeFileSync(join(root, name), read(name).replace(pattern, `$1${version}$3`));
  }
}

/** @param {string} name */
function read(name) {
  return readFileSync(join(root, name), 'utf8');
}

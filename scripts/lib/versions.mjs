// The version is that of the main package.json. Everything else that carries it is kept equal by `npm version`, and
// checked by `npm test` and before packing.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './paths.mjs';
import { ScriptError } from './run.mjs';

const VERSION = String.raw`(\d+\.\d+\.\d+[\w.+-]*)`;

/** Where else it is written: a file, and the text around it. */
const copies = () => [
  ...readdirSync(join(root, 'npm')).map((triple) => ({
    name: `npm/${triple}/package.json`,
    pattern: new RegExp(`(^  "version": ")${VERSION}(")`, 'm'),
  })),
  { name: 'lib/bridge/native.js', pattern: new RegExp(`(const VERSION = ')${VERSION}(')`) },
  { name: 'Cargo.toml', pattern: new RegExp(`(\\[workspace\\.package\\]\\nversion = ")${VERSION}(")`) },
  ...['absolutejs-runtime', ...readdirSync(join(root, 'crates'))].map((crate) => ({
    name: 'Cargo.lock',
    pattern: new RegExp(`(name = "${crate}"\\nversion = ")${VERSION}(")`),
  })),
  // npm keeps these itself; after a change by hand they are the ones that are forgotten.
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

// Importing or requiring the package in a Node that is too old throws an error that says so.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/**
 * Loads the package in a program that pretends to be that version of Node.
 * @param {string} version
 * @param {string} load a promise of the package
 */
function hostOn(version, load) {
  const pretend = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } });`;
  const tell = (/** @type {string} */ what) => `(${what}) => console.log(JSON.stringify(${what}))`;
  const program = `${pretend}\n${load}.then(() => 'loaded', ({ code, message }) => ({ code, message })).then(${tell('outcome')});`;
  return JSON.parse(
    execFileSync(process.execPath, ['-e', program], { cwd: root, encoding: 'utf8' }),
  );
}

/** @type {[string, string][]} */
const ways = [
  ['import', "import('@absolutejs/runtime')"],
  ['require', "(async () => require('./index.cjs'))()"],
];

for (const [way, load] of ways) {
  test(`${way} on Node 18 names the version found and the one needed`, () => {
    assert.deepEqual(hostOn('18.20.8', load), {
      code: 'ERR_RUNTIME_UNSUPPORTED',
      message: '@absolutejs/runtime needs Node 20 or newer, or Bun; this is Node 18.20.8',
    });
  });
}

test('Node 20 and newer load it', () => {
  for (const version of ['20.0.0', '24.11.1', '100.0.0']) {
    assert.equal(hostOn(version, "import('@absolutejs/runtime')"), 'loaded');
  }
});

test('engines of package.json has the same version', () => {
  const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  assert.equal(engines.node, '>=20');
});

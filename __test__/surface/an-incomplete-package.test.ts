// Parts that are loaded on demand are missing: every call that needs one rejects with an error
// that says so, and none hangs.
import { expect, test } from 'bun:test';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../../scripts/lib/paths.mjs';

const CREATE = `
import { createRuntime } from './dist/index.js';
const create = (more) => createRuntime({ source: { kind: 'directory', root: '.' }, ...more });
const why = ({ code, key, message }) => console.log(code, key, message);
`;

const LACKS = (key: string, part: string) =>
  new RegExp(
    `^ERR_RUNTIME_UNSUPPORTED ${key} @absolutejs/runtime cannot load a part of itself: .*${part}.*\\. If it is not there, reinstall`,
  );

/** The output of a program that uses a package without most of its parts. */
function linesOf(program: string, source: string, links = ['npm', 'node_modules']) {
  const directory = mkdtempSync(join(tmpdir(), 'runtime-incomplete-'));
  try {
    mkdirSync(join(directory, 'dist'));
    for (const name of ['dist/index.js', 'package.json'])
      copyFileSync(join(root, name), join(directory, name));
    for (const name of links) symlinkSync(join(root, name), join(directory, name));
    for (const key of ['a', 'c', 'd', 'e', 'f']) mkdirSync(join(directory, key));
    writeFileSync(join(directory, 'program.mjs'), source);
    const { stdout, stderr, exitCode } = Bun.spawnSync([program, 'program.mjs'], {
      cwd: directory,
    });
    expect([stderr.toString(), exitCode]).toEqual(['', 0]);
    return stdout.toString().trim().split('\n');
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const OWN_SPAWN = '{ spawn: () => new Promise(() => {}) }';
const USED = (options: string) => `${CREATE}
const runtime = create(${options});
await Promise.all([runtime.ensure('a').catch(why), runtime.kill('b')]);
await runtime.ensure('c').catch(why);
await runtime.restart('d').catch(why);
await runtime.adopt('e', { pid: 1, exited: new Promise(() => {}), kill() {} }).catch(why);
await runtime.kill('c');
await runtime.dispose();
await runtime.dispose();
await runtime.kill('c');
await runtime.ensure('f').catch(why);
`;

test.each([
  ['bun', OWN_SPAWN],
  ['node', OWN_SPAWN],
  ['bun', ''],
  ['node', ''],
])('%s: without its late part it starts nothing, and has nothing to end %s', (program, options) => {
  const lines = linesOf(program, USED(options));
  expect(lines).toHaveLength(5);
  for (const [at, key] of ['a', 'c', 'd', 'e'].entries())
    expect(lines[at]).toMatch(LACKS(key, 'tenancy'));
  expect(lines[4]).toStartWith('ERR_RUNTIME_DISPOSED f');
});

const UNUSED = `${CREATE}
await create().kill('a');
await create().dispose();
const runtime = create();
await Promise.all([runtime.kill('a'), runtime.dispose(), runtime.dispose()]);
console.log('done');
`;

test.each(['bun', 'node'])(
  '%s: kill and dispose of a runtime that never started anything resolve',
  (program) => {
    expect(linesOf(program, UNUSED)).toEqual(['done']);
  },
);

const GUARD_AND_DRIVER = `
import { createEgressGuard, execCheckpointDriver } from './dist/index.js';
const why = ({ code, key, message }) => console.log(code, key, message);
const guard = createEgressGuard();
await guard.fetch('a', 'https://example.com/').catch(why);
await guard.fetchFor('b')('https://example.com/').catch(why);
const command = ['true'];
const driver = execCheckpointDriver({ checkpointCommand: command, restoreCommand: command, imageDir: '.' });
await driver.checkpoint({ key: 'c', pid: 1 }).catch(why);
await driver.restore({ key: 'd' }).catch(why);
await driver.drop('e').catch(why);
await driver.has('f').catch(why);
await driver.has('g').catch(why);
`;

test.each(['bun', 'node'])(
  '%s: calls of a guard and a driver without their engine are refused',
  (program) => {
    const lines = linesOf(program, GUARD_AND_DRIVER);
    expect(lines).toHaveLength(7);
    for (const [at, key] of [...'abcdefg'].entries()) {
      expect(lines[at]).toMatch(LACKS(key, at < 2 ? 'engine' : 'exec-operations'));
    }
  },
);

const RANGES = `
import { createEgressGuard } from './dist/index.js';
try {
  createEgressGuard({ allow: ['10.0.0.0/8'] });
} catch ({ code, key, message }) {
  console.log(code, key, message.replaceAll('\\n', ' '));
}
`;

// Bun would install what is missing.
test('node: creating a guard without the library for addresses is refused', () => {
  const lines = linesOf('node', RANGES, ['npm']);
  expect(lines).toEqual([expect.stringMatching(LACKS('undefined', 'ipaddr'))]);
});

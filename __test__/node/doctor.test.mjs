import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { PATH } from '../support/surface/node.mjs';

const program = fileURLToPath(new URL('../../bin/absolutejs-runtime.js', import.meta.url));
const env = { ...process.env, PATH };

test('the doctor runs in Node and finds that tenants can run here', () => {
  const { ok, findings } = JSON.parse(
    execFileSync(program, ['doctor', '--json'], { env, encoding: 'utf8' }),
  );
  assert.equal(ok, true);
  const levels = Object.fromEntries(
    findings.map((/** @type {any} */ { check, level }) => [check, level]),
  );
  assert.equal(levels.addon, 'ok');
  assert.equal(levels['trial start'], 'ok');
});

test('in an older Node the doctor says so, and ends with 1', () => {
  // Simulates Node 18 by removing what it lacks.
  const older = `
    import os from 'node:os';
    import { syncBuiltinESMExports } from 'node:module';
    Object.defineProperty(process.versions, 'node', { value: '18.20.8' });
    for (const name of ['toSorted', 'toReversed', 'toSpliced', 'with']) delete Array.prototype[name];
    delete os.availableParallelism;
    syncBuiltinESMExports();
  `;
  const preload = `--import=data:text/javascript,${encodeURIComponent(older)}`;
  for (const flags of [[], ['--json']]) {
    const args = [preload, program, 'doctor', ...flags];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
    assert.equal(status, 1, stderr);
    assert.match(stdout, /Node 18\.20\.8/);
    assert.match(stdout, /older than Node 20\.0\.0/);
    assert.match(stdout, /update Node/);
    assert.equal(stderr, '');
  }
});

test('an unknown command ends with 2', () => {
  const { status, stderr } = spawnSync(program, ['cure'], { env, encoding: 'utf8' });
  assert.equal(status, 2);
  assert.match(stderr, /^Unknown command: cure\n\nUsage: /);
});

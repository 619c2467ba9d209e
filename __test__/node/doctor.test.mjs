import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { PATH } from '../support/surface/node.mjs';

const program = fileURLToPath(new URL('../../bin/absolutejs-runtime.js', import.meta.url));
const env = { ...process.env, PATH };

test('the doctor runs in Node and finds that tenants can run here', () => {
  const { ok, findings } = JSON.parse(execFileSync(program, ['doctor', '--json'], { env, encoding: 'utf8' }));
  assert.equal(ok, true);
  const levels = Object.fromEntries(findings.map((/** @type {any} */ { check, level }) => [check, level]));
  assert.equal(levels.addon, 'ok');
  assert.equal(levels['trial start'], 'ok');
});

test('an unknown command ends with 2', () => {
  const { status, stderr } = spawnSync(program, ['cure'], { env, encoding: 'utf8' });
  assert.equal(status, 2);
  assert.match(stderr, /^Unknown command: cure\n\nUsage: /);
});

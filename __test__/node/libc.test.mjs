import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { libcOf } from '../../lib/bridge/native.js';

const mapped = (/** @type {string} */ path) => () =>
  `7f0000000000-7f0000001000 r-xp 00000000 fe:00 1    ${path}\n7ffd00000000-7ffd00001000 rw-p 0 0:0 0 [stack]\n`;

test('the libc of a process is read from its mapped files', () => {
  assert.equal(libcOf(mapped('/usr/lib/x86_64-linux-gnu/libc.so.6')), 'gnu');
  assert.equal(libcOf(mapped('/lib64/libc-2.17.so')), 'gnu');
  assert.equal(libcOf(mapped('/lib/ld-musl-x86_64.so.1')), 'musl');
  assert.equal(libcOf(mapped('/usr/lib/x86_64-linux-musl/libc.so')), 'musl');
});

test('a process that cannot read its mapped files assumes glibc', () => {
  assert.equal(
    libcOf(() => readFileSync('/proc/self/there-is-no-such-file', 'latin1')),
    'gnu',
  );
});

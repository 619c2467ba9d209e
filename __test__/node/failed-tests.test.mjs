// The part of each runner's output that `npm test` repeats at its end.
import assert from 'node:assert/strict';
import test from 'node:test';
import { countSoakHosts, failuresIn } from '../../scripts/lib/count-tests.mjs';

test('bun: what was printed before the line that names the test, and after the one before it', () => {
  const output =
    'a.test.ts:\n(pass) one [1.00ms]\nerror: two is three\n(fail) two [2.00ms]\n(pass) three\n';
  assert.deepEqual(failuresIn(output), ['error: two is three\n(fail) two [2.00ms]']);
});

test('bun: once, though it names them again at its end', () => {
  const again = '\n1 tests failed:\n(fail) two [2.00ms]\n\n 2 pass\n 1 fail\n';
  const output = `(pass) one\nerror: two is three\n(fail) two [2.00ms]\n(pass) three\n${again}`;
  assert.equal(failuresIn(output).filter((failure) => failure.includes('two is three')).length, 1);
});

test('node: all that stands together at its end', () => {
  const together =
    '✖ failing tests:\n\ntest at a.test.mjs:3:1\n✖ two (1ms)\n  AssertionError: 1 == 2';
  assert.deepEqual(failuresIn(`✔ one (1ms)\n✖ two (1ms)\nℹ fail 1\n\n${together}\n`), [together]);
});

test('cargo: the failures of each test program', () => {
  const failures = (/** @type {string} */ name) =>
    `failures:\n\n---- ${name} stdout ----\nthread panicked\n\nfailures:\n    ${name}\n\ntest result: FAILED. 0 passed; 1 failed`;
  const output = `test a ... FAILED\n\n${failures('a')}\n\ntest b ... ok\n\ntest result: ok. 1 passed\n\n${failures('c')}\n`;
  assert.deepEqual(failuresIn(output), [failures('a'), failures('c')]);
});

test('soak: its hosts are its tests', () => {
  const output = '✘ 3 things were not well\nsoak: 30 hosts passed, 2 failed\n';
  assert.deepEqual(countSoakHosts(output, 1), { passed: 30, failed: 2 });
});

test('what names no test: the end of its output', () => {
  const lines = Array.from({ length: 100 }, (_, index) => `line ${index}`);
  assert.deepEqual(failuresIn(`\x1b[31m${lines.join('\n')}\x1b[0m\n`), [
    lines.slice(-30).join('\n'),
  ]);
});

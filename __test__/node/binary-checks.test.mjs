import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { libraryProblems, problemsOf } from '../../scripts/lib/binary-checks.mjs';
import { readElf } from '../../scripts/lib/elf.mjs';
import { builtFiles } from '../../scripts/lib/paths.mjs';
import { platformTriple } from '../../scripts/lib/platform.mjs';
import { targets } from '../../scripts/lib/targets.mjs';

const own = targets.find(({ triple }) => triple === platformTriple());
const other = targets.find(({ cpu }) => cpu !== process.arch);
const { addon } = builtFiles();

test('the machine, libraries and entry of an ELF file are read', () => {
  const { machine, needed, exports } = readElf(readFileSync(addon));
  assert.equal(machine, process.arch);
  assert.ok(needed.some((library) => /^libc\./.test(library)));
  assert.ok(exports.includes('napi_register_module_v1'));
});

test('a file that is not ELF is refused', () => {
  assert.throws(
    () => readElf(Buffer.from('#!/usr/bin/env node')),
    /not a 64-bit little-endian ELF file/,
  );
});

// Node itself is built for a glibc that is newer than the oldest allowed, and is no addon.
test('a program that needs a newer glibc is refused', { skip: own?.libc !== 'glibc' }, () => {
  assert.ok(own && other);
  const problems = problemsOf(process.execPath, own, 'addon').join('\n');
  assert.match(problems, /needs GLIBC_2\.\d+; the newest allowed is GLIBC_2\.17/);
  assert.match(problems, /needs libstdc\+\+\.so\.6, which not every machine has/);
  assert.match(problems, /does not export napi_register_module_v1/);
  assert.match(problemsOf(process.execPath, other, 'warden').join('\n'), /is for \w+, not for \w+/);
});

test('versions of glibc are compared as numbers', () => {
  const problems = (/** @type {string} */ version) =>
    libraryProblems(
      { needed: ['libc.so.6'], searchPaths: [], versions: [version] },
      { libc: 'glibc' },
    );
  for (const old of ['GLIBC_2.2.5', 'GLIBC_2.9', 'GLIBC_2.17']) assert.deepEqual(problems(old), []);
  for (const tooNew of [
    'GLIBC_2.17.1',
    'GLIBC_2.18',
    'GLIBC_2.100',
    'GLIBC_3.0',
    'GLIBC_PRIVATE',
    'GCC_3.0',
  ]) {
    assert.deepEqual(problems(tooNew), [`needs ${tooNew}; the newest allowed is GLIBC_2.17`]);
  }
});

// The option `survive` is checked when it is given, and what takes it is refused without it.
import { expect, test } from 'bun:test';
import { createRuntime, type RuntimeOptions } from '@absolutejs/runtime';
import * as errors from '../../lib/errors.js';
import { namesDirectory } from '../../lib/socket-paths.js';
import { survivalOf } from '../../lib/survive/option.js';
import { setUp, source } from '../support/surface/bench.ts';
import { rejectionOf } from '../support/surface/wait.ts';

function refusal(options: object): any {
  try {
    createRuntime({ source, ...options } as RuntimeOptions);
  } catch (error) {
    return error;
  }
  throw new Error('the options were accepted');
}

const RULE = '1 to 64 letters, digits, ".", "_" and "-", not beginning with "."';
const wrong: [unknown, string | RegExp][] = [
  ...[
    undefined,
    null,
    7,
    '',
    '.',
    '.apps',
    '../apps',
    'a/b',
    'ä',
    'a b',
    'a\0',
    'x'.repeat(65),
  ].map((name): [unknown, RegExp] => [
    { name },
    /^survive\.name must be 1 to 64 letters, .*, got /,
  ]),
  [{ name: 'a/b' }, `survive.name must be ${RULE}, got "a/b"`],
  [
    { name: 'control' },
    `survive.name must be ${RULE}, and not "control", as the control's socket is called, got "control"`,
  ],
  ...[-1, NaN, '60', null, 1n].map((forMs): [unknown, RegExp] => [
    { name: 'apps', forMs },
    /^survive\.forMs must be a number of at least 0, got /,
  ]),
  ...[0, 1, 'yes', null].map((takeOver): [unknown, RegExp] => [
    { name: 'apps', takeOver },
    /^survive\.takeOver must be true or false, got /,
  ]),
  ['apps', 'survive must be an object, got "apps"'],
  [true, 'survive must be an object, got true'],
  [{ nme: 'apps' }, 'survive.nme is not an option; did you mean survive.name?'],
  [{ name: 'apps', takeover: true }, /did you mean survive\.takeOver\?$/],
];

test.each(wrong)('survive %p', (survive, message) => {
  const error = refusal({ survive });
  expect(error).toBeInstanceOf(TypeError);
  expect(error.code).toBe('ERR_RUNTIME_INVALID_OPTION');
  expect(error.message).toEqual(
    typeof message === 'string' ? message : expect.stringMatching(message),
  );
});

test('it is refused beside processes that the runtime does not start', () => {
  const driver = { checkpoint() {}, restore() {}, drop() {}, has() {} };
  const survive = { name: 'apps' };
  expect(refusal({ survive, spawn() {} }).message).toBe(
    'survive and spawn are given together: a host can be outlived by processes that the runtime ' +
      'starts, not by what your own spawn starts',
  );
  expect(refusal({ survive, checkpoint: { driver } }).message).toBe(
    'survive and checkpoint are given together: a host can be outlived by processes that the ' +
      'runtime starts, not by what your driver restores',
  );
});

test('what is left out has its default', () => {
  expect(survivalOf({ name: 'apps' })).toEqual({
    name: 'apps',
    directory: namesDirectory(),
    forMs: 60_000,
    takeOver: false,
  });
  expect(survivalOf({ name: 'a'.repeat(64), forMs: Infinity, takeOver: true })).toMatchObject({
    forMs: Infinity,
    takeOver: true,
  });
});

test('names are kept in a directory of the user', () => {
  const uid = process.getuid!();
  expect(namesDirectory({ XDG_RUNTIME_DIR: '/run/user/7/' })).toBe('/run/user/7/absolute-runtime');
  expect(namesDirectory({})).toBe(`/tmp/absolute-runtime-${uid}`);
  expect(namesDirectory({ XDG_RUNTIME_DIR: 'relative' })).toBe(`/tmp/absolute-runtime-${uid}`);
});

test('a name that is too long for its directory is refused', () => {
  const before = process.env.XDG_RUNTIME_DIR;
  process.env.XDG_RUNTIME_DIR = `/${'d'.repeat(80)}`;
  try {
    expect(refusal({ survive: { name: 'n'.repeat(20) } }).message).toMatch(
      /^survive\.name is too long for .*: the path of its socket has 107 bytes at most, got "n+"; /,
    );
  } finally {
    if (before === undefined) delete process.env.XDG_RUNTIME_DIR;
    else process.env.XDG_RUNTIME_DIR = before;
  }
});

test('what is refused for a name says whose it is, and what to do', () => {
  const ours = errors.inUse('a', 'apps', 7, null);
  expect<object>({ ...ours }).toEqual({ code: 'ERR_RUNTIME_IN_USE', pid: 7, key: 'a' });
  expect(ours.message).toBe(
    'the tenants of the name "apps" belong to process 7, and a name has one host at a time: end or ' +
      'detach that one, give this one another survive.name, or take over with survive.takeOver',
  );
  const other = errors.inUse('', 'apps', 7, '0.3.0');
  expect<object>({ ...other }).toEqual({ code: 'ERR_RUNTIME_IN_USE', pid: 7, version: '0.3.0' });
  expect(other.message).toBe(
    'the tenants of the name "apps" are held by process 7 of @absolutejs/runtime 0.3.0, with which ' +
      'this version cannot speak: start a host of that version, or end them with ' +
      '`npx @absolutejs/runtime end apps`',
  );
  const lost = errors.notRecovered('', 'apps', 'there is no room');
  expect<object>({ ...lost }).toEqual({ code: 'ERR_RUNTIME_UNSUPPORTED' });
});

test('without it there is nothing to recover, and nothing to leave', async () => {
  await using bench = setUp();
  await bench.runtime.recovered;
  const error: any = await rejectionOf(bench.runtime.detach());
  expect(error.code).toBe('ERR_RUNTIME_UNSUPPORTED');
  expect(error.message).toBe(
    'detach() leaves tenants running for the next host, which takes the option survive: without it ' +
      'they end with this one',
  );
  // It has left nothing.
  await bench.runtime.ensure('a');
});

test('recovered and detach are no enumerable members', async () => {
  await using bench = setUp();
  expect(Object.keys(bench.runtime)).not.toContain('detach');
  expect(Object.keys(bench.runtime)).not.toContain('recovered');
});

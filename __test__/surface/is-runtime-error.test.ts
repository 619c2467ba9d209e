// `isRuntimeError` tells an error of the package from any other, whichever copy of the package
// made it.
import { expect, test } from 'bun:test';
import {
  createEgressGuard,
  createRuntime,
  EgressDeniedError,
  isRuntimeError,
  RuntimeExitedBeforeReadyError,
} from '@absolutejs/runtime';
import { createContext, runInContext } from 'node:vm';
import { invalidOption } from '../../lib/errors.js';
import { setUp, source } from '../support/surface/bench.ts';
import { rejectionOf } from '../support/surface/wait.ts';

function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

test('errors of the runtime are, with their code and without', async () => {
  await using bench = setUp({ readiness: async () => false });
  const errors: [string, unknown][] = [
    [
      'ERR_RUNTIME_INVALID_OPTION',
      thrownBy(() => createRuntime({ source, idleAfterMs: 'x' } as any)),
    ],
    ['ERR_RUNTIME_INVALID_KEY', await rejectionOf(bench.runtime.ensure('..'))],
    ['ERR_RUNTIME_READINESS_TIMEOUT', await rejectionOf(bench.runtime.ensure('a'))],
    ['ERR_RUNTIME_BACKOFF', await rejectionOf(bench.runtime.ensure('a'))],
    ['ERR_RUNTIME_EXITED_EARLY', new RuntimeExitedBeforeReadyError('a', 1)],
    [
      'ERR_RUNTIME_EGRESS_DENIED',
      await rejectionOf(createEgressGuard().fetch('a', 'http://127.0.0.1/')),
    ],
  ];
  for (const [code, error] of errors) {
    expect([code, isRuntimeError(error)]).toEqual([code, true]);
    expect([code, isRuntimeError(error, code as any)]).toEqual([code, true]);
    expect([code, isRuntimeError(error, 'ERR_RUNTIME_DRAINING')]).toEqual([code, false]);
    expect([code, Object.keys(error as object)]).not.toContain('Symbol(@absolutejs/runtime.error)');
  }
});

test('errors that another copy of the package, or one in another realm, has made are', () => {
  // `lib/` has copies of the classes that `index.js` has.
  expect(isRuntimeError(invalidOption('x'), 'ERR_RUNTIME_INVALID_OPTION')).toBeTrue();
  const foreign = runInContext(
    `Object.defineProperty(Object.assign(new Error(), { code: 'ERR_RUNTIME_SPAWN' }),
       Symbol.for('@absolutejs/runtime.error'), { value: true })`,
    createContext(),
  );
  expect(foreign).not.toBeInstanceOf(Error);
  expect(isRuntimeError(foreign, 'ERR_RUNTIME_SPAWN')).toBeTrue();
});

test('nothing else is, and nothing makes it throw', () => {
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const others = [undefined, null, 0, '', 'ERR_RUNTIME_SPAWN', Symbol('x'), {}, [], new Error('x')];
  others.push(Object.assign(new Error('x'), { code: 'ERR_RUNTIME_SPAWN' }), revoked.proxy);
  for (const other of others) expect(isRuntimeError(other)).toBeFalse();
});

test('users can make the errors that are classes, as for their own tests', () => {
  const exited = new RuntimeExitedBeforeReadyError('acme', 3);
  expect(exited).toMatchObject({
    name: 'RuntimeExitedBeforeReadyError',
    key: 'acme',
    exitCode: 3,
    message: 'Runtime process for "acme" exited with code 3 before it was ready',
  });
  expect(new RuntimeExitedBeforeReadyError('acme', null).message).toContain('with no exit code');
  const url = new URL('http://user:secret@10.0.0.1/x');
  const denied = new EgressDeniedError({ tenant: 'acme', url, reason: 'not-allowed' });
  expect(denied).toMatchObject({
    name: 'EgressDeniedError',
    code: 'ERR_RUNTIME_EGRESS_DENIED',
    key: 'acme',
    tenant: 'acme',
    url: 'http://10.0.0.1/x',
    reason: 'not-allowed',
  });
  expect(denied.message).toBe('Egress of tenant "acme" to 10.0.0.1 denied: not-allowed');
});

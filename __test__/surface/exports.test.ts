import { expect, test } from 'bun:test';
import * as everything from '@absolutejs/runtime';

test('the package exports its values by name and no default', () => {
  expect(Object.keys(everything).sort()).toEqual([
    'EgressDeniedError',
    'RuntimeExitedBeforeReadyError',
    'createEgressGuard',
    'createRuntime',
    'execCheckpointDriver',
    'isRuntimeError',
    'readProcessTreeStats',
  ]);
});

test('createRuntime is a function and RuntimeExitedBeforeReadyError an Error class', () => {
  expect(everything.createRuntime).toBeFunction();
  expect(everything.RuntimeExitedBeforeReadyError.prototype).toBeInstanceOf(Error);
  expect(everything.RuntimeExitedBeforeReadyError.name).toBe('RuntimeExitedBeforeReadyError');
});

// What the types of the checkpoint driver must accept, infer and reject. `tsc` checks this file;
// nothing runs it.
import {
  execCheckpointDriver,
  type CheckpointDriver,
  type ExecCheckpointDriverOptions,
  type RuntimeErrorCode,
} from '@absolutejs/runtime';

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function assertType<_T extends true>(): void {}

// Two commands and a directory are enough; commands may be read-only arrays.
const checkpointCommand = ['criu', 'dump', '-t', '{pid}', '-D', '{dir}'] as const;
const restoreCommand = ['restore', '{dir}'];
const required: ExecCheckpointDriverOptions = {
  checkpointCommand,
  restoreCommand,
  imageDir: 'images',
};
const driver: CheckpointDriver = execCheckpointDriver(required);
const everyOption: Required<ExecCheckpointDriverOptions> = {
  ...required,
  timeoutMs: Infinity,
  onError: ({ code, message }) => {
    assertType<Equal<typeof code, RuntimeErrorCode>>();
    console.error(message);
  },
};
execCheckpointDriver(everyOption);
execCheckpointDriver({ ...required, onError: async () => {} });
// @ts-expect-error imageDir is required
execCheckpointDriver({ checkpointCommand, restoreCommand });
// @ts-expect-error a program and its arguments, not one string
execCheckpointDriver({ ...required, restoreCommand: 'criu restore' });
// @ts-expect-error there is no such option
execCheckpointDriver({ ...required, shell: true });
// @ts-expect-error options are required
execCheckpointDriver();

// The methods of a driver.
assertType<Equal<keyof CheckpointDriver, 'checkpoint' | 'restore' | 'drop' | 'has'>>();
const saved = driver.checkpoint({ key: 'app', pid: 7 });
assertType<Equal<typeof saved, Promise<boolean>>>();
const restored = driver.restore({ key: 'app' });
assertType<Equal<typeof restored, Promise<{ pid: number } | null>>>();
const dropped = driver.drop('app');
assertType<Equal<typeof dropped, Promise<void>>>();
const there = driver.has('app');
assertType<Equal<typeof there, Promise<boolean>>>();
// @ts-expect-error a pid is needed
void driver.checkpoint({ key: 'app' });

// A driver written by hand fits.
const inMemory = new Map<string, number>();
const own: CheckpointDriver = {
  checkpoint: async ({ key, pid }) => inMemory.set(key, pid).has(key),
  restore: async ({ key }) => {
    const pid = inMemory.get(key);
    return pid === undefined ? null : { pid };
  },
  drop: async (key) => void inMemory.delete(key),
  has: async (key) => inMemory.has(key),
};
void own;

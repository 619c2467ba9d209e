// The AsyncLocalStorage of a host's request is visible to functions that its calls lead to, and is
// not retained afterwards.
import { expect, test } from 'bun:test';
import { AsyncLocalStorage } from 'node:async_hooks';
import { root } from '../../scripts/lib/paths.mjs';
import { type Bench, setUp } from '../support/surface/bench.ts';

const RUNTIMES = 40;
/** Objects that are still on the stack are not collected. */
const FEW = 10;

const contexts = new AsyncLocalStorage<object>();

/**
 * Makes the first call of each runtime in a context of its own. No process is left, which would
 * keep its context.
 */
async function firstCalls(benches: Bench[]): Promise<WeakRef<object>[]> {
  const made = benches.map(({ runtime }) => {
    const context = { request: {} };
    return {
      first: contexts.run(context, () => runtime.ensure('a').catch(() => {})),
      context: new WeakRef(context),
    };
  });
  await Promise.all(made.map(({ first }) => first));
  return made.map(({ context }) => context);
}

test('no runtime retains the context of its first caller', async () => {
  const benches = Array.from({ length: RUNTIMES }, () =>
    setUp({ spawn: () => Promise.reject(new Error('no process')) }),
  );
  const kept = await firstCalls(benches);
  const left = () => kept.filter((context) => context.deref() !== undefined).length;
  for (let tries = 0; tries < 100 && left() > FEW; tries += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    Bun.gc(true);
  }
  expect(left()).toBeLessThanOrEqual(FEW);
  for (const bench of benches) await bench[Symbol.asyncDispose]();
});

const PROGRAM = `
import { AsyncLocalStorage } from 'node:async_hooks';
import { createRuntime } from '${root}/dist/index.js';
const contexts = new AsyncLocalStorage();
const spawn = async ({ key }) => {
  console.log(key, contexts.getStore());
  throw new Error('no process');
};
const runtime = createRuntime({ source: { kind: 'directory', root: '.' }, spawn });
for (const key of ['a', 'b']) await contexts.run('of ' + key, () => runtime.ensure(key).catch(() => {}));
await runtime.dispose();
`;

test.each(['bun -e', 'node --input-type=module -e'])(
  '%s: `spawn` has the context of its caller, for the first call of a program too',
  (command) => {
    const { stdout } = Bun.spawnSync([...command.split(' '), PROGRAM]);
    expect(stdout.toString()).toBe('a of a\nb of b\n');
  },
);

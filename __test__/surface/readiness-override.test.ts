import { expect, test } from 'bun:test';
import { RuntimeExitedBeforeReadyError } from '@absolutejs/runtime';
import { manualReadiness, never, setUp } from '../support/surface/bench.ts';
import { ignoresKill } from '../support/surface/fleet.ts';
import { aFewTurns, isPending, rejectionOf, within } from '../support/surface/wait.ts';

const boom = new Error('no answer');

test('false: the start has failed with a readiness error of ours', async () => {
  await using bench = setUp({ readiness: async () => false });
  const error = await rejectionOf(bench.runtime.ensure('a'));
  expect(error).toBeInstanceOf(Error);
  expect(error.code).toBe('ERR_RUNTIME_READINESS_TIMEOUT');
  expect(bench.runtime.stats()).toEqual({ running: 0, total: 0, draining: false, backoff: 1 });
});

for (const [how, readiness] of [
  ['rejects', () => Promise.reject(boom)],
  ['rejects later', () => Bun.sleep(1).then(() => Promise.reject(boom))],
  [
    'throws',
    () => {
      throw boom;
    },
  ],
] as [string, () => Promise<boolean>][]) {
  test(`a check that ${how}: every caller gets the same object, after the process is gone`, async () => {
    await using bench = setUp({ readiness });
    const all = [bench.runtime.ensure('a'), bench.runtime.ensure('a')];
    for (const pending of all) expect(await rejectionOf(pending)).toBe(boom);
    expect(bench.events.story).toEqual(['spawn a', 'exit a']);
    expect(bench.fleet.the('a').kills).toEqual([undefined]);
  });
}

test.each(['words', 42, null, undefined])('a check that rejects with %p', async (thrown) => {
  await using bench = setUp({ readiness: () => Promise.reject(thrown) });
  expect(await rejectionOf(bench.runtime.ensure('a'))).toBe(thrown);
});

test('a check that answers without a promise counts', async () => {
  await using bench = setUp({ readiness: (({ key }: { key: string }) => key === 'good') as any });
  expect((await bench.runtime.ensure('good')).key).toBe('good');
  await rejectionOf(bench.runtime.ensure('bad'));
});

test.each([undefined, null, 0, '', 'no', {}])(
  'a check that resolves with %p means ready',
  async (answer) => {
    for (const readiness of [() => answer, async () => answer]) {
      await using bench = setUp({ readiness: readiness as any });
      expect((await bench.runtime.ensure('a')).key).toBe('a');
    }
  },
);

test('of a thenable only the first answer counts', async () => {
  await using bench = setUp({
    readiness: (() => ({
      then(resolve: (isReady: boolean) => void, reject: (error: unknown) => void) {
        resolve(true);
        resolve(false);
        reject(boom);
      },
    })) as any,
  });
  expect((await bench.runtime.ensure('a')).key).toBe('a');
  await aFewTurns();
  expect(bench.events.story).toEqual(['spawn a', 'metric spawn a', 'ready a']);
});

test('it is called once, after the spawn event, and not again for a reused tenant', async () => {
  const { readiness, calls, answer } = manualReadiness();
  await using bench = setUp({ readiness });
  const pending = bench.runtime.ensure('a');
  await bench.events.seen('spawn', 'a');
  await aFewTurns();
  expect(calls).toHaveLength(1);
  answer('a', true);
  await pending;
  await bench.runtime.ensure('a');
  expect(calls).toHaveLength(1);
  await bench.runtime.restart('a');
  expect(calls).toHaveLength(2);
});

test('a check that never settles: kill, restart and dispose go on', async () => {
  await using bench = setUp({
    readiness: ({ key }) => (key === 'stuck' ? never() : Promise.resolve(true)),
  });
  const pending = bench.runtime.ensure('stuck');
  await bench.events.seen('spawn', 'stuck');
  expect(await isPending(pending)).toBeTrue();
  expect((await bench.runtime.ensure('other')).key).toBe('other');
  await within('kill', bench.runtime.kill('stuck'));
  await rejectionOf(pending);

  const again = rejectionOf(bench.runtime.ensure('stuck'));
  await bench.events.seen('spawn', 'stuck', 2);
  await within('dispose', bench.runtime.dispose());
  expect((await again).code).toBe('ERR_RUNTIME_DISPOSED');
});

test('an exit ends the wait at once, and an answer after it changes nothing', async () => {
  for (const late of [true, false]) {
    const { readiness, answer } = manualReadiness();
    await using bench = setUp({ readiness });
    const pending = bench.runtime.ensure('a');
    await bench.events.seen('spawn', 'a');
    bench.fleet.the('a').exit(1);
    expect(await rejectionOf(pending)).toBeInstanceOf(RuntimeExitedBeforeReadyError);
    const before = { ...bench.runtime.stats() };
    answer('a', late);
    await aFewTurns();
    expect(bench.events.story).toEqual(['spawn a', 'exit a']);
    expect(bench.runtime.stats()).toEqual(before);
  }
});

test('a check that rejects after the exit causes no unhandled rejection', async () => {
  const unhandled: unknown[] = [];
  const note = (error: unknown): void => void unhandled.push(error);
  process.on('unhandledRejection', note);
  try {
    const { readiness, fail } = manualReadiness();
    await using bench = setUp({ readiness });
    const pending = bench.runtime.ensure('a');
    await bench.events.seen('spawn', 'a');
    bench.fleet.the('a').exit(1);
    await rejectionOf(pending);
    fail('a', boom);
    await aFewTurns();
    expect(unhandled).toEqual([]);
  } finally {
    process.off('unhandledRejection', note);
  }
});

test('a late answer for an earlier process does not affect the next one', async () => {
  const answers: ((isReady: boolean) => void)[] = [];
  const readiness = (): Promise<boolean> => new Promise((resolve) => answers.push(resolve));
  await using bench = setUp({ readiness });
  const first = bench.runtime.ensure('a');
  await bench.events.seen('spawn', 'a');
  await bench.runtime.kill('a');
  await rejectionOf(first);
  const second = bench.runtime.ensure('a');
  await bench.events.seen('spawn', 'a', 2);
  answers[0]!(true);
  expect(await isPending(second)).toBeTrue();
  answers[1]!(true);
  expect((await second).pid).toBe(bench.fleet.of('a')[1]!.pid);
});

test('a process that cannot be killed after its check failed: callers get the check’s error, and it stays tracked', async () => {
  await using bench = setUp({ readiness: () => Promise.reject(boom), backoff: { baseMs: 0 } });
  bench.fleet.prepare = (process) =>
    void (process.onKill = () => Promise.reject(new Error('I stay')));
  expect(await rejectionOf(bench.runtime.ensure('a'))).toBe(boom);
  expect(bench.runtime.stats()).toMatchObject({ running: 0, total: 1 });
  bench.fleet.the('a').onKill = ignoresKill;
  bench.fleet.the('a').exit(0);
  const exit = await bench.events.seen('exit', 'a');
  expect(exit.exitCode).toBe(0);
  expect(bench.runtime.stats()).toMatchObject({ running: 0, total: 0 });
});

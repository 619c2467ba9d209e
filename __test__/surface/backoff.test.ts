import { expect, test } from 'bun:test';
import { manualReadiness, setUp } from '../support/surface/bench.ts';
import { nextMillisecond, rejectionOf } from '../support/surface/wait.ts';

const LONG = { baseMs: 60_000, maxMs: 600_000 };
const boom = new Error('boom');

test('inside the window ensure emits backoff and rejects with the documented message and fields', async () => {
  await using bench = setUp({ readiness: () => Promise.reject(boom), backoff: LONG });
  expect(await rejectionOf(bench.runtime.ensure('a'))).toBe(boom);
  expect(bench.events.all('backoff')).toEqual([]);

  const error = await rejectionOf(bench.runtime.ensure('a'));
  const { retryAfterMs } = error;
  expect(error).toBeInstanceOf(Error);
  expect(error.message).toBe(
    `Tenant "a" is backing off after 1 failure(s); retry in ${retryAfterMs}ms. Last error: boom`,
  );
  expect({ code: error.code, attempt: error.attempt }).toEqual({
    code: 'ERR_RUNTIME_BACKOFF',
    attempt: 1,
  });
  expect(Number.isInteger(retryAfterMs)).toBeTrue();
  expect(retryAfterMs).toBeWithin(1, LONG.baseMs + 1);
  expect(bench.events.all('backoff')).toEqual([
    { type: 'backoff', key: 'a', attempt: 1, retryAfterMs },
  ]);
  expect(bench.fleet.processes).toHaveLength(1);
});

test('each refused ensure emits its own backoff event, with what is left of the window', async () => {
  await using bench = setUp({ readiness: async () => false, backoff: LONG });
  await rejectionOf(bench.runtime.ensure('a'));
  const first = await rejectionOf(bench.runtime.ensure('a'));
  await nextMillisecond();
  await nextMillisecond();
  const second = await rejectionOf(bench.runtime.ensure('a'));
  expect(second.retryAfterMs).toBeLessThan(first.retryAfterMs);
  expect(bench.events.all('backoff').map(({ retryAfterMs }) => retryAfterMs)).toEqual([
    first.retryAfterMs,
    second.retryAfterMs,
  ]);
});

test('the window doubles with each failure, up to maxMs', async () => {
  await using bench = setUp({
    readiness: async () => false,
    backoff: { baseMs: 100_000, maxMs: 350_000 },
  });
  const windows: number[] = [];
  for (let failure = 1; failure <= 4; failure++) {
    await rejectionOf(bench.runtime.restart('a'));
    const error = await rejectionOf(bench.runtime.ensure('a'));
    expect(error.attempt).toBe(failure);
    windows.push(error.retryAfterMs);
  }
  for (const [index, longest] of [100_000, 200_000, 350_000, 350_000].entries()) {
    expect(windows[index]).toBeWithin(longest - 30_000, longest + 1);
  }
});

test('after the window ensure spawns, and not before', async () => {
  const baseMs = 60;
  let failedAt = 0;
  await using bench = setUp({
    readiness: async () => {
      failedAt = performance.now();
      return false;
    },
    backoff: { baseMs },
  });
  await rejectionOf(bench.runtime.ensure('a'));
  const firstFailedAt = failedAt;
  while (bench.fleet.processes.length === 1) {
    const error = await rejectionOf(bench.runtime.ensure('a'));
    if (error.code === 'ERR_RUNTIME_BACKOFF') await Bun.sleep(1);
  }
  // The window is counted in whole milliseconds.
  expect(failedAt - firstFailedAt).toBeGreaterThan(baseMs - 2);
});

for (const [what, options, text] of [
  ['spawn that rejects', { spawn: () => Promise.reject(boom) }, 'boom'],
  [
    'spawn that throws',
    {
      spawn: () => {
        throw boom;
      },
    },
    'boom',
  ],
  ['spawn that rejects with a string', { spawn: () => Promise.reject('just words') }, 'just words'],
  ['readiness that rejects', { readiness: () => Promise.reject(boom) }, 'boom'],
  [
    'readiness that throws',
    {
      readiness: () => {
        throw boom;
      },
    },
    'boom',
  ],
] as [string, object, string][]) {
  test(`a ${what} is a failure, and is the last error`, async () => {
    await using bench = setUp({ backoff: LONG, ...options });
    await rejectionOf(bench.runtime.ensure('a'));
    const error = await rejectionOf(bench.runtime.ensure('a'));
    expect(error.message).toBe(
      `Tenant "a" is backing off after 1 failure(s); retry in ${error.retryAfterMs}ms. Last error: ${text}`,
    );
  });
}

test('a process that ends before it is ready is a failure, and is the last error', async () => {
  const { readiness } = manualReadiness();
  await using bench = setUp({ readiness, backoff: LONG });
  for (const [key, code, how] of [
    ['code', 3, 'code 3'],
    ['clean', 0, 'code 0'],
    ['signal', null, 'no exit code'],
  ] as const) {
    const pending = bench.runtime.ensure(key);
    await bench.events.seen('spawn', key);
    bench.fleet.the(key).exit(code);
    await rejectionOf(pending);
    expect((await rejectionOf(bench.runtime.ensure(key))).message).toEndWith(
      ` Last error: Runtime process for "${key}" exited with ${how} before it was ready`,
    );
  }
});

test('from maxFailures on, ensure is refused with the documented message and without an event', async () => {
  await using bench = setUp({
    readiness: () => Promise.reject(boom),
    backoff: { baseMs: 0, maxFailures: 3 },
  });
  for (let failure = 0; failure < 3; failure++) {
    expect(await rejectionOf(bench.runtime.ensure('a'))).toBe(boom);
  }
  await nextMillisecond();
  const error = await rejectionOf(bench.runtime.ensure('a'));
  expect(error.message).toBe(
    'Tenant "a" exceeded 3 consecutive spawn failures; clearBackoff() to retry. Last error: boom',
  );
  expect(error.code).toBe('ERR_RUNTIME_MAX_FAILURES');
  expect(bench.events.all('backoff')).toEqual([]);
  expect(bench.fleet.processes).toHaveLength(3);
});

test('baseMs 0: no window at all', async () => {
  await using bench = setUp({ readiness: () => Promise.reject(boom), backoff: { baseMs: 0 } });
  for (let failure = 0; failure < 9; failure++) {
    expect(await rejectionOf(bench.runtime.ensure('a'))).toBe(boom);
  }
  expect(bench.events.all('backoff')).toEqual([]);
});

test('clearBackoff lets the key be started at once, and counting begins anew', async () => {
  await using bench = setUp({
    readiness: () => Promise.reject(boom),
    backoff: { ...LONG, maxFailures: 2 },
  });
  await rejectionOf(bench.runtime.restart('a'));
  await rejectionOf(bench.runtime.restart('a'));
  expect((await rejectionOf(bench.runtime.ensure('a'))).code).toBe('ERR_RUNTIME_MAX_FAILURES');
  bench.runtime.clearBackoff('a');
  expect(await rejectionOf(bench.runtime.ensure('a'))).toBe(boom);
  expect((await rejectionOf(bench.runtime.ensure('a'))).attempt).toBe(1);
});

test('becoming ready resets the failures, and a crash after that does not count', async () => {
  let isReady = false;
  await using bench = setUp({ readiness: async () => isReady, backoff: LONG });
  await rejectionOf(bench.runtime.ensure('a'));
  await rejectionOf(bench.runtime.restart('a'));
  isReady = true;
  await bench.runtime.restart('a');
  bench.fleet.the('a').exit(1);
  await bench.events.seen('exit', 'a', 3);
  expect(bench.runtime.stats().backoff).toBe(0);
  expect((await bench.runtime.ensure('a')).key).toBe('a');

  isReady = false;
  await rejectionOf(bench.runtime.restart('a'));
  expect((await rejectionOf(bench.runtime.ensure('a'))).attempt).toBe(1);
});

test('failures of one key do not delay another one', async () => {
  await using bench = setUp({ readiness: async ({ key }) => key !== 'bad', backoff: LONG });
  await rejectionOf(bench.runtime.ensure('bad'));
  expect((await bench.runtime.ensure('good')).key).toBe('good');
  expect(bench.runtime.stats().backoff).toBe(1);
});

test('all callers of a failed start count as one failure', async () => {
  await using bench = setUp({ readiness: async () => false, backoff: LONG });
  await Promise.all([1, 2, 3].map(() => rejectionOf(bench.runtime.ensure('a'))));
  expect((await rejectionOf(bench.runtime.ensure('a'))).attempt).toBe(1);
});

test('a failed start can be ensured again right after its rejection', async () => {
  await using bench = setUp({ spawn: () => Promise.reject(boom), backoff: LONG });
  const codes = await bench.runtime
    .ensure('a')
    .catch(() =>
      Promise.all([
        rejectionOf(bench.runtime.ensure('a')).then((error) => error.code),
        Promise.resolve(bench.runtime.stats().backoff),
      ]),
    );
  expect(codes as unknown).toEqual(['ERR_RUNTIME_BACKOFF', 1]);
});

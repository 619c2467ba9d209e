import { once } from 'node:events';
import { expect, test } from 'bun:test';
import type { CheckpointDriver } from '@absolutejs/runtime';
import {
  answerOf,
  createSavingPool,
  DEAF,
  isRunning,
  type Process,
  processOf,
  type SavingPool,
  until,
  untilGone,
  within,
} from '../support/processes/index.ts';

type Restore = CheckpointDriver['restore'];
const SOON_MS = 1_000;

/** Saves `a`, then ensures it with a driver that fails. */
async function failsToRestore(pool: SavingPool, instead: Partial<CheckpointDriver>) {
  pool.add('a');
  const { port } = await pool.saved('a');
  Object.assign(pool.snapshots.instead, instead);
  const tenant = await within('a cold start', pool.runtime.ensure('a'));
  return { tenant, port };
}

/**
 * Checks that the `ensure` whose restore failed has started the tenant cold, and that the pool
 * works on.
 */
async function expectColdStart(
  pool: SavingPool,
  { tenant, port }: Awaited<ReturnType<typeof failsToRestore>>,
) {
  const { runtime, events, snapshots } = pool;
  expect(await answerOf(tenant)).toBe('cold');
  expect(tenant.port).toBe(port);
  expect(events.of('restored')).toEqual([]);
  expect(events.of('spawn', 'a')).toHaveLength(2);
  expect(snapshots.calls.slice(-2)).toEqual(['restore a', 'drop a']);
  expect(runtime.metrics().checkpoints).toMatchObject({
    restores: 0,
    restoreFailures: 1,
    lastRestoreMs: 0,
  });
  expect(runtime.stats()).toEqual({ running: 1, total: 1, draining: false, backoff: 0 });
  snapshots.instead = {};
  await pool.saved('a');
  expect(events.of('exit', 'a').map(({ reason }) => reason)).toEqual([
    'checkpointed',
    'checkpointed',
  ]);
  expect(await answerOf(await runtime.ensure('a'))).toBe('image of a');
  await pool.dispose();
}

const boom = () => {
  throw new Error('criu: Restoring FAILED');
};

const NO_PROCESS: [string, () => unknown][] = [
  ['null', async () => null],
  ['nothing', async () => undefined],
  ['no promise', () => null],
  ['a number', async () => 4711],
  ['a throw', boom],
  ['a rejection', async () => boom()],
  ['pid 0', async () => ({ pid: 0 })],
  ['pid 1', async () => ({ pid: 1 })],
  ['pid -1', async () => ({ pid: -1 })],
  ['pid NaN', async () => ({ pid: NaN })],
  ['pid 1.5', async () => ({ pid: 1.5 })],
  ['pid 2^40', async () => ({ pid: 2 ** 40 })],
  ['a pid that is text', async () => ({ pid: '4711' })],
  ['the pid of the host', async () => ({ pid: process.pid })],
  [
    'a pid that throws',
    async () => ({
      get pid() {
        return boom();
      },
    }),
  ],
];

for (const [name, restore] of NO_PROCESS) {
  test(`restore answers with ${name}: dropped, counted, started cold within the same ensure`, async () => {
    await using pool = createSavingPool();
    await expectColdStart(pool, await failsToRestore(pool, { restore: restore as Restore }));
  });
}

test('a process that existed before the restore is neither taken nor signalled', async () => {
  await using pool = createSavingPool();
  pool.add('b');
  const stranger = pool.snapshots.start('b', DEAF);
  const signals: unknown[] = [];
  stranger.on('exit', (...how) => signals.push(how));
  const { tenant } = await failsToRestore(pool, { restore: async () => ({ pid: stranger.pid! }) });
  expect(await answerOf(tenant)).toBe('cold');
  expect(signals).toEqual([]);
  expect(processOf(stranger.pid!)).toMatchObject({ name: 'sleep' });
  expect(
    pool.events.told.some(({ event }) => 'pid' in event && event.pid === stranger.pid),
  ).toBeFalse();
  stranger.kill('SIGKILL');
  await once(stranger, 'exit');
  await pool.dispose();
});

test('a running tenant of another key is not taken', async () => {
  await using pool = createSavingPool();
  pool.add('b');
  const other = await pool.runtime.ensure('b');
  const { tenant } = await failsToRestore(pool, { restore: async () => ({ pid: other.pid }) });
  expect(tenant.pid).not.toBe(other.pid);
  expect(await answerOf(tenant)).toBe('cold');
  expect(await pool.runtime.ensure('b')).toBe(other);
  expect(await answerOf(other)).toBe('cold');
  await pool.dispose();
});

test('a restored process that has already ended: started cold', async () => {
  await using pool = createSavingPool();
  const restore: Restore = async ({ key }) => {
    const child = pool.snapshots.start(key, ['true']);
    await once(child, 'exit');
    return { pid: child.pid! };
  };
  await expectColdStart(pool, await failsToRestore(pool, { restore }));
});

test('a restored process that ends at once: started cold', async () => {
  await using pool = createSavingPool();
  const restore: Restore = async ({ key }) => ({
    pid: pool.snapshots.start(key, ['sh', '-c', 'exit 3']).pid!,
  });
  await expectColdStart(pool, await failsToRestore(pool, { restore }));
});

test('a restored process that does not answer in time is ended before the cold start', async () => {
  await using pool = createSavingPool({ restoreTimeoutMs: SOON_MS });
  let deaf: Process | undefined;
  pool.events.once(
    (event) => 'type' in event && event.type === 'spawn' && deaf !== undefined,
    () => expect(isRunning(deaf!)).toBeFalse(),
  );
  const restore: Restore = async ({ key }) => {
    const { pid } = pool.snapshots.start(key, DEAF);
    deaf = processOf(pid!);
    return { pid: pid! };
  };
  const outcome = await failsToRestore(pool, { restore });
  await untilGone('what did not answer', [deaf!]);
  pool.snapshots.instead = {};
  expect(await answerOf(outcome.tenant)).toBe('cold');
  expect(pool.runtime.metrics().checkpoints.restoreFailures).toBe(1);
  await pool.dispose();
});

for (const [name, readiness] of [
  ['says no', async () => false],
  ['rejects', async () => boom()],
  ['throws', boom],
] as [string, () => Promise<boolean>][]) {
  test(`a readiness check that ${name} about the restored process: that is ended, and the check is called again for the cold start`, async () => {
    let isRestoring = false;
    const check = (tenant: { port: number }) => {
      if (!isRestoring) return untilAnswered(tenant);
      isRestoring = false;
      return readiness();
    };
    await using pool = createSavingPool({ readiness: check });
    pool.add('a');
    await pool.saved('a');
    let back: Process | undefined;
    pool.snapshots.instead.restore = async (args) => {
      const { pid } = await pool.snapshots.bringBack(args);
      back = processOf(pid);
      isRestoring = true;
      return { pid };
    };
    const tenant = await within('a cold start', pool.runtime.ensure('a'));
    expect(await answerOf(tenant)).toBe('cold');
    expect(isRunning(back!)).toBeFalse();
    expect(pool.runtime.metrics().checkpoints.restoreFailures).toBe(1);
    await pool.dispose();
  });
}

async function untilAnswered(tenant: { port: number }): Promise<boolean> {
  for (;;) {
    if ((await answerOf(tenant).catch(() => undefined)) !== undefined) return true;
    await Bun.sleep(2);
  }
}

test('a restore that is late because the event loop was blocked is waited for', async () => {
  await using pool = createSavingPool({ restoreTimeoutMs: SOON_MS });
  pool.add('a');
  await pool.saved('a');
  pool.snapshots.instead.restore = async (args) => {
    // The restored process needs some more time.
    Bun.sleepSync(SOON_MS + 1_500);
    return pool.snapshots.bringBack(args);
  };
  expect(await answerOf(await pool.runtime.ensure('a'))).toBe('image of a');
  expect(pool.runtime.metrics().checkpoints).toMatchObject({ restores: 1, restoreFailures: 0 });
  await pool.dispose();
});

test('a restore that comes too late is ended, and the tenant is started cold after it', async () => {
  // A restore that was given up may still answer within the same time once more.
  const restoreTimeoutMs = 1_500;
  await using pool = createSavingPool({ restoreTimeoutMs });
  const { promise: late, resolve: comes } = Promise.withResolvers<void>();
  let back: Process | undefined;
  const restore: Restore = async (args) => {
    setTimeout(comes, restoreTimeoutMs + 100);
    await late;
    const { pid } = await pool.snapshots.bringBack(args);
    back = processOf(pid);
    return { pid };
  };
  pool.events.once(
    (event) => 'type' in event && event.type === 'spawn' && back !== undefined,
    () => (wasThereAtSpawn = back !== undefined && isRunning(back)),
  );
  let wasThereAtSpawn: boolean | undefined;
  const { tenant } = await failsToRestore(pool, { restore });
  expect(await answerOf(tenant)).toBe('cold');
  expect(wasThereAtSpawn).toBe(false);
  expect(pool.events.of('restored')).toEqual([]);
  await pool.dispose();
});

test('a restore that never answers: ensure says so, nothing is started beside it, and dispose works', async () => {
  await using pool = createSavingPool({ restoreTimeoutMs: SOON_MS, backoff: { baseMs: 0 } });
  pool.add('a');
  await pool.saved('a');
  const { promise, resolve } = Promise.withResolvers<{ pid: number }>();
  pool.snapshots.instead.restore = () => promise;
  for (let attempt = 1; attempt <= 2; attempt++) {
    const error = await within(
      'an error',
      pool.runtime.ensure('a').catch((reason: unknown) => reason),
    );
    expect(error).toMatchObject({ code: 'ERR_RUNTIME_SPAWN' });
    expect((error as Error).message).toMatch(new RegExp(`"a".*checkpoint driver.*${SOON_MS} ms`));
  }
  expect(pool.processesOf('a')).toEqual([]);
  expect(pool.events.of('spawn', 'a')).toHaveLength(1);
  await pool.dispose();
  // A process that is restored after dispose is ended, too.
  const child = pool.snapshots.start('a', DEAF);
  const back = processOf(child.pid!)!;
  resolve({ pid: child.pid! });
  await untilGone('what came back after dispose', [back]);
  await until('the snapshot is dropped', () => pool.snapshots.callsOf('drop').length > 0);
});

for (const [name, has] of [
  ['throws', boom],
  ['rejects', async () => boom()],
  ['answers with something else', async () => 'yes' as never],
] as [string, () => Promise<boolean>][]) {
  test(`has ${name}: started cold, and nothing is restored`, async () => {
    await using pool = createSavingPool();
    const { tenant } = await failsToRestore(pool, { has });
    expect(await answerOf(tenant)).toBe('cold');
    expect(pool.snapshots.callsOf('restore')).toEqual([]);
    expect(pool.runtime.metrics().checkpoints).toMatchObject({ restores: 0, restoreFailures: 0 });
    await pool.dispose();
  });
}

test('has that never answers: ensure says so', async () => {
  await using pool = createSavingPool({ restoreTimeoutMs: SOON_MS });
  pool.add('a');
  pool.snapshots.instead.has = () => new Promise(() => {});
  const error = await within(
    'an error',
    pool.runtime.ensure('a').catch((reason: unknown) => reason),
  );
  expect(error).toMatchObject({ code: 'ERR_RUNTIME_SPAWN' });
  expect(pool.events.of('spawn')).toEqual([]);
  await pool.dispose();
});

test('drop that never answers: ensure says that the driver has not answered', async () => {
  await using pool = createSavingPool({ restoreTimeoutMs: SOON_MS });
  pool.add('a');
  await pool.saved('a');
  pool.snapshots.instead.drop = () => new Promise(() => {});
  const error = await within(
    'an error',
    pool.runtime.restart('a').catch((reason: unknown) => reason),
  );
  expect(error).toMatchObject({ code: 'ERR_RUNTIME_SPAWN' });
  expect(pool.processesOf('a')).toEqual([]);
  await pool.dispose();
});

for (const [name, drop] of [
  ['throws', boom],
  ['rejects', async () => boom()],
] as [string, () => Promise<void>][]) {
  test(`drop ${name}: started cold, and the snapshot that should be gone is never restored`, async () => {
    await using pool = createSavingPool();
    pool.add('a');
    await pool.saved('a');
    pool.snapshots.instead.drop = drop;
    expect(await answerOf(await pool.runtime.restart('a'))).toBe('cold');
    await pool.runtime.kill('a');
    expect(pool.snapshots.images.has('a')).toBeTrue();
    expect(await answerOf(await pool.runtime.ensure('a'))).toBe('cold');
    expect(pool.snapshots.callsOf('restore')).toEqual([]);
    // A new snapshot replaces it.
    pool.snapshots.instead = {};
    await pool.saved('a');
    expect(await answerOf(await pool.runtime.ensure('a'))).toBe('image of a');
    await pool.dispose();
  });
}

test('a snapshot of an earlier host, whose port is not known, is restored on the port where it listens', async () => {
  await using pool = createSavingPool();
  pool.add('a');
  // A port below the range of those that the runtime gives to tenants.
  pool.snapshots.images.set('a', '20123');
  const tenant = await within('a restore', pool.runtime.ensure('a'));
  expect(tenant.port).toBe(20123);
  expect(await answerOf(tenant)).toBe('image of a');
  expect(pool.runtime.metrics().checkpoints).toMatchObject({ restores: 1, restoreFailures: 0 });
  expect(pool.runtime.inspect('a')).toMatchObject({ state: 'ready', port: 20123 });
  await pool.dispose();
});

test('a snapshot of an earlier host that listens nowhere is given up', async () => {
  await using pool = createSavingPool({ restoreTimeoutMs: 1_000 });
  pool.add('a');
  pool.snapshots.images.set('a', '20123');
  pool.snapshots.instead.restore = async ({ key }) => ({
    pid: pool.snapshots.start(key, DEAF).pid ?? 0,
  });
  const tenant = await within('a cold start', pool.runtime.ensure('a'));
  expect(await answerOf(tenant)).toBe('cold');
  expect(pool.runtime.metrics().checkpoints.restoreFailures).toBe(1);
  await pool.dispose();
});

test.each([0, Infinity, 2 ** 40])(
  'restoreTimeoutMs %p is as long as it says',
  async (restoreTimeoutMs) => {
    await using pool = createSavingPool({ restoreTimeoutMs });
    pool.add('a');
    await pool.saved('a');
    expect(await answerOf(await pool.runtime.ensure('a'))).toBe('image of a');
    await pool.dispose();
  },
);

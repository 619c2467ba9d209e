import { spawn as spawnChild } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'bun:test';
import type { RuntimeTransitionEvent } from '@absolutejs/runtime';
import {
  answerOf,
  createSavingPool,
  processOf,
  type SavingPool,
  until,
  untilGone,
  within,
} from '../support/processes/index.ts';

const transitions = ({ events }: SavingPool, key: string): RuntimeTransitionEvent[] =>
  events.told.flatMap(({ of, event }) =>
    of === 'transition' && 'key' in event && event.key === key
      ? [event as RuntimeTransitionEvent]
      : [],
  );

const NOTHING = { checkpoints: 0, restores: 0, restoreFailures: 0, lastRestoreMs: 0 };

for (const endsTree of [true, false]) {
  test(`a driver that ${endsTree ? 'ends' : 'leaves'} what it has saved: stopped as checkpointed, restored on its port`, async () => {
    await using pool = createSavingPool();
    const { runtime, snapshots } = pool;
    pool.add('a');
    snapshots.endsTree = endsTree;
    const seen: unknown[] = [];
    snapshots.instead.checkpoint = (args) => (seen.push(args), snapshots.save(args));
    expect(runtime.metrics().checkpoints).toEqual(NOTHING);

    const first = await pool.saved('a');
    expect(seen).toEqual([{ key: 'a', pid: first.pid }]);
    expect(processOf(first.pid)).toBeUndefined();
    const [, , exit, ...more] = transitions(pool, 'a');
    expect(more).toEqual([]);
    expect(exit).toEqual({
      type: 'exit',
      key: 'a',
      pid: first.pid,
      exitCode: null,
      reason: 'checkpointed',
    });
    expect(runtime.stats()).toEqual({ running: 0, total: 0, draining: false, backoff: 0 });
    expect(runtime.metrics()).toMatchObject({
      checkpoints: { ...NOTHING, checkpoints: 1 },
      totalSpawns: 1,
    });
    expect(runtime.metrics().totalExits.checkpointed).toBe(1);
    expect(runtime.inspect('a')).toMatchObject({
      key: 'a',
      state: 'checkpointed',
      pid: null,
      port: null,
    });
    expect(runtime.list().map(({ key, state }) => [key, state])).toEqual([['a', 'checkpointed']]);

    const tenant = await runtime.ensure('a');
    expect(await answerOf(tenant)).toBe('image of a');
    expect(tenant.port).toBe(first.port);
    expect(tenant.pid).not.toBe(first.pid);
    const [restored, ...others] = transitions(pool, 'a').slice(3);
    expect(others).toEqual([]);
    const { durationMs } = restored as Extract<RuntimeTransitionEvent, { type: 'restored' }>;
    const { pid, port } = tenant;
    expect(restored).toEqual({ type: 'restored', key: 'a', pid, port, durationMs });
    expect(durationMs).toBeGreaterThanOrEqual(0);
    expect(
      pool.events.told.filter(({ of, event }) => of === 'metric' && event.type === 'spawn'),
    ).toHaveLength(1);
    const checkpoints = {
      checkpoints: 1,
      restores: 1,
      restoreFailures: 0,
      lastRestoreMs: durationMs,
    };
    expect(runtime.metrics()).toMatchObject({ checkpoints, totalSpawns: 1, running: 1, total: 1 });
    expect(runtime.inspect('a')).toMatchObject({ state: 'ready', pid, port });
    expect(await runtime.ensure('a')).toBe(tenant);
    // The snapshot is dropped after it was restored.
    expect(snapshots.calls).toEqual(['has a', 'checkpoint a', 'has a', 'restore a', 'drop a']);
    expect(snapshots.images.size).toBe(0);
    await pool.dispose();
  });
}

test('a restored tenant is saved and restored again', async () => {
  await using pool = createSavingPool();
  pool.add('a');
  const { port } = await pool.saved('a');
  for (let round = 1; round <= 3; round++) {
    const again = await pool.saved('a');
    expect(again.port).toBe(port);
    expect(pool.events.of('exit', 'a').at(-1)!.reason).toBe('checkpointed');
  }
  expect(pool.runtime.metrics().checkpoints).toMatchObject({
    checkpoints: 4,
    restores: 3,
    restoreFailures: 0,
  });
  expect(pool.events.of('spawn')).toHaveLength(1);
  expect(pool.snapshots.callsOf('drop')).toEqual(['drop a', 'drop a', 'drop a']);
  await pool.dispose();
});

test('the exit event and what can be asked within it agree', async () => {
  await using pool = createSavingPool({
    onTransition: (event) => {
      pool.events.callbacks.onTransition(event);
      if (event.type !== 'exit') return;
      const { checkpoints, totalExits } = pool.runtime.metrics();
      seen.push([checkpoints.checkpoints, totalExits.checkpointed]);
    },
  });
  const seen: unknown[] = [];
  pool.add('a');
  await pool.saved('a');
  expect(seen).toEqual([[1, 1]]);
  await pool.dispose();
});

test('idleness alone is enough: no question has to be asked', async () => {
  await using pool = createSavingPool({
    shouldIdleKill: undefined,
    idleAfterMs: 300,
    sweepIntervalMs: 20,
  });
  pool.add('a');
  const { port } = await pool.runtime.ensure('a');
  expect((await pool.events.exit('a')).reason).toBe('checkpointed');
  expect(pool.events.of('idle-kill')).toEqual([]);
  expect((await pool.runtime.ensure('a')).port).toBe(port);
  await pool.dispose();
});

const STOPS = {
  killed: ({ runtime }) => runtime.kill('a'),
  restarted: ({ runtime }) => runtime.restart('a'),
  'lru-evicted': ({ runtime }) => runtime.ensure('b'),
  disposed: ({ runtime }) => runtime.dispose(),
  crashed: async ({ runtime }) => process.kill(runtime.inspect('a')!.pid!, 'SIGKILL'),
} satisfies Record<string, (pool: SavingPool) => Promise<unknown>>;

for (const [reason, stop] of Object.entries(STOPS)) {
  test(`${reason}: not saved`, async () => {
    await using pool = createSavingPool({ maxConcurrent: 1 });
    pool.add('a', 'b');
    await pool.runtime.ensure('a');
    await stop(pool);
    expect((await pool.events.exit('a')).reason).toBe(reason as keyof typeof STOPS);
    expect(pool.snapshots.callsOf('checkpoint')).toEqual([]);
    expect(pool.runtime.metrics().checkpoints).toEqual(NOTHING);
    await pool.dispose();
  });

  test(`${reason} after it was restored: the tenant and its snapshot are gone`, async () => {
    await using pool = createSavingPool({ maxConcurrent: 1 });
    pool.add('a', 'b');
    await pool.saved('a');
    const { pid } = await pool.runtime.ensure('a');
    const before = processOf(pid)!;
    await stop(pool);
    const exit = await pool.events.exit('a', 2);
    expect(exit).toMatchObject({ pid, reason });
    await untilGone(`the process that was brought back`, [before]);
    await until('its snapshot is dropped', () => pool.snapshots.images.size === 0);
    if (reason === 'disposed') return;
    await pool.runtime.kill('a');
    await pool.runtime.kill('b');
    expect(pool.runtime.inspect('a')?.state ?? 'stopped').toBe('stopped');
    expect(await answerOf(await pool.runtime.ensure('a'))).toBe('cold');
    expect(pool.runtime.metrics().checkpoints).toMatchObject({ restores: 1, restoreFailures: 0 });
    await pool.dispose();
  });
}

test('restart of a saved key drops its snapshot and starts afresh', async () => {
  await using pool = createSavingPool();
  pool.add('a');
  await pool.saved('a');
  const tenant = await pool.runtime.restart('a');
  expect(await answerOf(tenant)).toBe('cold');
  expect(pool.events.of('spawn', 'a')).toHaveLength(2);
  expect(pool.events.of('restored')).toEqual([]);
  expect(pool.snapshots.calls.slice(-1)).toEqual(['drop a']);
  expect(pool.snapshots.images.size).toBe(0);
  await pool.dispose();
});

test('kill of a saved key resolves, and keeps its snapshot', async () => {
  await using pool = createSavingPool();
  pool.add('a');
  await pool.saved('a');
  await within('kill', pool.runtime.kill('a'));
  expect(pool.runtime.inspect('a')?.state).toBe('checkpointed');
  expect(await answerOf(await pool.runtime.ensure('a'))).toBe('image of a');
  await pool.dispose();
});

test('each key has its own snapshot', async () => {
  await using pool = createSavingPool();
  const keys = ['a', 'b', 'org/a'];
  pool.add(...keys);
  const ports = new Map<string, number>();
  for (const key of keys) ports.set(key, (await pool.saved(key)).port);
  expect(new Set(ports.values()).size).toBe(3);
  for (const key of keys.toReversed()) {
    const tenant = await pool.runtime.ensure(key);
    expect([tenant.port, await answerOf(tenant)]).toEqual([ports.get(key)!, `image of ${key}`]);
  }
  expect(pool.snapshots.images.size).toBe(0);
  await pool.dispose();
});

test('a restored tenant takes room like any other', async () => {
  await using pool = createSavingPool({ maxConcurrent: 1 });
  pool.add('a', 'b');
  await pool.saved('a');
  await pool.runtime.ensure('b');
  expect(await answerOf(await pool.runtime.ensure('a'))).toBe('image of a');
  expect((await pool.events.exit('b')).reason).toBe('lru-evicted');
  expect(pool.runtime.stats()).toMatchObject({ running: 1, total: 1 });
  await pool.runtime.ensure('b');
  expect(pool.events.of('exit', 'a').map(({ reason }) => reason)).toEqual([
    'checkpointed',
    'lru-evicted',
  ]);
  await pool.dispose();
});

test('concurrent calls of ensure get the one restored tenant', async () => {
  await using pool = createSavingPool();
  pool.add('a');
  await pool.saved('a');
  const tenants = await Promise.all(Array.from({ length: 20 }, () => pool.runtime.ensure('a')));
  expect(new Set(tenants).size).toBe(1);
  expect(pool.snapshots.callsOf('restore')).toHaveLength(1);
  expect(pool.events.of('restored')).toHaveLength(1);
  await pool.dispose();
});

test('without a snapshot nothing is restored', async () => {
  await using pool = createSavingPool();
  pool.add('a');
  expect(await answerOf(await pool.runtime.ensure('a'))).toBe('cold');
  expect(pool.snapshots.calls).toEqual(['has a']);
  expect(pool.runtime.metrics().checkpoints).toEqual(NOTHING);
  await pool.dispose();
});

test('while draining a saved key stays saved', async () => {
  await using pool = createSavingPool();
  pool.add('a');
  await pool.runtime.ensure('a');
  pool.runtime.drain();
  await pool.becomesIdle('a');
  expect((await pool.events.exit('a')).reason).toBe('checkpointed');
  await expect(pool.runtime.ensure('a')).rejects.toMatchObject({ code: 'ERR_RUNTIME_DRAINING' });
  expect(pool.snapshots.callsOf('restore')).toEqual([]);
  await pool.dispose();
});

test('tenants of your own spawn are saved and restored, too', async () => {
  await using pool = createSavingPool({
    spawn: async ({ cwd, env }) => {
      const child = spawnChild(process.execPath, ['server.ts'], {
        cwd,
        env,
        detached: true,
        stdio: 'ignore',
      });
      await once(child, 'spawn');
      const exited = once(child, 'exit').then(([code]) => code as number | null);
      return {
        pid: child.pid ?? 0,
        exited,
        kill: (signal) => void child.kill(signal),
        resourceId: 'mine',
      };
    },
  });
  pool.add('a');
  for (const endsTree of [true, false]) {
    pool.snapshots.endsTree = endsTree;
    const { port } = await pool.saved('a');
    expect(pool.events.of('exit').at(-1)).toMatchObject({ reason: 'checkpointed', exitCode: null });
    const tenant = await pool.runtime.ensure('a');
    expect([tenant.port, await answerOf(tenant)]).toEqual([port, 'image of a']);
    const before = pool.processesOf('a');
    await pool.runtime.kill('a');
    // The process is a child of this one, which may reap it later.
    await untilGone('the restored process', before);
  }
  await pool.dispose();
});

import { join } from 'node:path';
import { expect, test } from 'bun:test';
import type { CheckpointDriver, ExitReason } from '@absolutejs/runtime';
import {
  answerOf,
  createSavingPool,
  DEAF,
  isThere,
  markedWith,
  pause,
  type Process,
  processOf,
  type SavingPool,
  treeOf,
  until,
  untilGone,
  within,
} from '../support/processes/index.ts';

const SOON_MS = 1_000;

/** A driver whose `checkpoint` or `restore` waits until the test lets it go on. */
function heldUp(pool: SavingPool, method: 'checkpoint' | 'restore') {
  const began = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const { snapshots } = pool;
  const really = method === 'checkpoint' ? snapshots.save : snapshots.bringBack;
  snapshots.instead[method] = (async (args: { key: string; pid: number }) => {
    began.resolve();
    await goOn.promise;
    return really(args);
  }) as never;
  return { began: within(`${method} begins`, began.promise), goOn: goOn.resolve };
}

/** Collects processes of the key that are alive when another is started or restored for it. */
function watchForAnother(pool: SavingPool, key: string): string[] {
  const problems: string[] = [];
  const look = () =>
    pool.events.once(
      (event) =>
        'type' in event &&
        (event.type === 'spawn' || event.type === 'restored') &&
        event.key === key,
      () => {
        const { pid } = pool.events.told.at(-1)!.event as { pid: number };
        // The list is read first: processes that appear after it are the new process's own.
        const all = markedWith(join(pool.tenants.root, key));
        const own = new Set([pid, ...treeOf(pid).map((process) => process.pid)]);
        const others = all.filter((process) => !own.has(process.pid));
        problems.push(...others.map((other) => `${other.name} ${other.pid} beside ${pid}`));
        look();
      },
    );
  look();
  return problems;
}

const reasons = ({ events }: SavingPool, key = 'a') =>
  events.of('exit', key).map(({ reason }) => reason);

for (const [name, checkpoint] of [
  ['false', async () => false],
  ['nothing', (async () => undefined) as never],
  ['something that is merely truthy', (async () => 1) as never],
  [
    'a throw',
    () => {
      throw new Error('criu: Dumping FAILED');
    },
  ],
  ['a rejection', () => Promise.reject(new Error('criu: Dumping FAILED'))],
] as [string, CheckpointDriver['checkpoint']][]) {
  test(`checkpoint answers with ${name}: a plain idle stop`, async () => {
    await using pool = createSavingPool();
    pool.add('a');
    pool.snapshots.instead.checkpoint = checkpoint;
    await pool.saved('a');
    expect(reasons(pool)).toEqual(['idle-killed']);
    expect(pool.runtime.metrics().checkpoints.checkpoints).toBe(0);
    expect(pool.runtime.inspect('a')?.state ?? 'stopped').toBe('stopped');
    expect(await answerOf(await pool.runtime.ensure('a'))).toBe('cold');
    expect(pool.snapshots.callsOf('restore')).toEqual([]);
    await pool.dispose();
  });
}

test('a checkpoint that never answers: a plain idle stop after restoreTimeoutMs', async () => {
  await using pool = createSavingPool({ restoreTimeoutMs: SOON_MS });
  pool.add('a');
  pool.snapshots.instead.checkpoint = () => new Promise(() => {});
  await pool.runtime.ensure('a');
  await pool.becomesIdle('a');
  const since = performance.now();
  expect((await pool.events.exit('a')).reason).toBe('idle-killed');
  expect(performance.now() - since).toBeGreaterThanOrEqual(SOON_MS - 20);
  // The driver is still at work on the key.
  const error = await within(
    'an error',
    pool.runtime.ensure('a').catch((reason: unknown) => reason),
  );
  expect(error).toMatchObject({ code: 'ERR_RUNTIME_SPAWN' });
  expect(pool.events.of('spawn', 'a')).toHaveLength(1);
  await pool.dispose();
});

test('a checkpoint that comes too late is dropped', async () => {
  await using pool = createSavingPool({ restoreTimeoutMs: SOON_MS });
  pool.add('a');
  const { began, goOn } = heldUp(pool, 'checkpoint');
  pool.snapshots.instead.checkpoint = ((hold) => async (args) => {
    // Its process will be gone when it answers.
    const saved = hold(args).catch(() => true);
    pool.snapshots.images.set('a', '1');
    return saved;
  })(pool.snapshots.instead.checkpoint!);
  await pool.runtime.ensure('a');
  await pool.becomesIdle('a');
  await began;
  await pool.events.exit('a');
  const pending = pool.runtime.ensure('a');
  goOn();
  expect(await answerOf(await within('a cold start', pending))).toBe('cold');
  expect(reasons(pool)).toEqual(['idle-killed']);
  expect(pool.snapshots.images.size).toBe(0);
  expect(pool.snapshots.callsOf('restore')).toEqual([]);
  expect(pool.runtime.metrics().checkpoints).toMatchObject({ checkpoints: 0, restores: 0 });
  await pool.dispose();
});

test('ensure while it is being saved waits, and gets the restored process', async () => {
  await using pool = createSavingPool();
  pool.add('a');
  const beside = watchForAnother(pool, 'a');
  const { began, goOn } = heldUp(pool, 'checkpoint');
  const first = await pool.runtime.ensure('a');
  await pool.becomesIdle('a');
  await began;
  const calls = [pool.runtime.ensure('a'), pool.runtime.ensure('a')];
  expect(pool.runtime.inspect('a')?.state).toBe('stopping');
  pool.runtime.touch('a');
  await pause(50);
  expect(pool.events.of('spawn', 'a')).toHaveLength(1);
  expect(isThere(processOf(first.pid)!)).toBeTrue();
  goOn();
  const [tenant, same] = await within('it is back', Promise.all(calls));
  expect(same).toBe(tenant!);
  expect(await answerOf(tenant!)).toBe('image of a');
  expect(reasons(pool)).toEqual(['checkpointed']);
  expect(beside).toEqual([]);
  await pool.dispose();
});

test('ended by itself while it is being saved: the reason depends on whether it was saved', async () => {
  for (const [saved, reason] of [
    [true, 'checkpointed'],
    [false, 'idle-killed'],
  ] as [boolean, ExitReason][]) {
    await using pool = createSavingPool();
    pool.add('a');
    const answer = Promise.withResolvers<boolean>();
    pool.snapshots.instead.checkpoint = () => answer.promise;
    const { pid } = await pool.runtime.ensure('a');
    await pool.becomesIdle('a');
    const tree = treeOf(pid);
    process.kill(pid, 'SIGKILL');
    await untilGone('the tree', tree);
    await pause(20);
    expect(reasons(pool)).toEqual([]);
    answer.resolve(saved);
    expect((await pool.events.exit('a')).reason).toBe(reason);
    await pool.dispose();
  }
});

test('kill while it is being saved: nothing is started after it, and the snapshot stays', async () => {
  await using pool = createSavingPool();
  pool.add('a');
  const { began, goOn } = heldUp(pool, 'checkpoint');
  const { pid } = await pool.runtime.ensure('a');
  await pool.becomesIdle('a');
  await began;
  const waiting = pool.runtime.ensure('a').catch((error: unknown) => error);
  const killed = pool.runtime.kill('a');
  goOn();
  await within('kill', killed);
  expect(processOf(pid)).toBeUndefined();
  expect(await within('a refusal', waiting)).toMatchObject({ code: 'ERR_RUNTIME_EXITED_EARLY' });
  expect(reasons(pool)).toEqual(['checkpointed']);
  expect(pool.events.of('spawn', 'a')).toHaveLength(1);
  expect(pool.runtime.inspect('a')?.state).toBe('checkpointed');
  await pool.dispose();
});

test('restart while it is being saved: afresh, and the snapshot is dropped', async () => {
  await using pool = createSavingPool();
  pool.add('a');
  const beside = watchForAnother(pool, 'a');
  const { began, goOn } = heldUp(pool, 'checkpoint');
  await pool.runtime.ensure('a');
  await pool.becomesIdle('a');
  await began;
  const fresh = pool.runtime.restart('a');
  goOn();
  expect(await answerOf(await within('a fresh one', fresh))).toBe('cold');
  expect(pool.snapshots.images.size).toBe(0);
  expect(pool.snapshots.callsOf('restore')).toEqual([]);
  expect(reasons(pool)).toEqual(['checkpointed']);
  expect(beside).toEqual([]);
  await pool.dispose();
});

for (const answers of [true, false]) {
  test(`dispose while it is being saved by a driver that ${answers ? 'goes on' : 'hangs'}`, async () => {
    await using pool = createSavingPool({ restoreTimeoutMs: answers ? 10_000 : SOON_MS });
    pool.add('a');
    const { began, goOn } = heldUp(pool, 'checkpoint');
    await pool.runtime.ensure('a');
    await pool.becomesIdle('a');
    await began;
    const disposed = pool.dispose();
    if (answers) goOn();
    await disposed;
    expect(reasons(pool)).toEqual([answers ? 'checkpointed' : 'idle-killed']);
    goOn();
  });
}

test('a tenant that waits for room gets it when the one before it is saved', async () => {
  await using pool = createSavingPool({ maxConcurrent: 1 });
  pool.add('a', 'b');
  const { began, goOn } = heldUp(pool, 'checkpoint');
  await pool.runtime.ensure('a');
  await pool.becomesIdle('a');
  await began;
  const waiting = pool.runtime.ensure('b');
  await pause(30);
  expect(pool.events.of('spawn', 'b')).toEqual([]);
  goOn();
  expect(await answerOf(await within('b', waiting))).toBe('cold');
  expect(reasons(pool)).toEqual(['checkpointed']);
  await pool.dispose();
});

for (const how of ['kill', 'dispose', 'abort', 'restart'] as const) {
  test(`${how} while it is being restored: the restored process is ended`, async () => {
    await using pool = createSavingPool();
    pool.add('a');
    await pool.saved('a');
    const { began, goOn } = heldUp(pool, 'restore');
    const caller = new AbortController();
    const pending = pool.runtime
      .ensure('a', { signal: caller.signal })
      .catch((error: unknown) => error);
    await began;
    expect(pool.runtime.inspect('a')?.state).toBe('spawning');
    const stopped = how === 'abort' ? caller.abort() : pool.runtime[how]('a');
    await pause(10);
    goOn();
    await within(how, Promise.all([stopped, pending]));
    if (how === 'restart') {
      expect(await pending).toBe((await stopped)!);
      expect(await answerOf(await pool.runtime.ensure('a'))).toBe('cold');
    } else {
      const code = { kill: 'EXITED_EARLY', dispose: 'DISPOSED', abort: 'ABORTED' }[how];
      expect(await pending).toMatchObject({ code: `ERR_RUNTIME_${code}` });
      await until('it is gone', () => pool.processesOf('a').length === 0);
    }
    await until('its snapshot is dropped', () => pool.snapshots.images.size === 0);
    expect(pool.events.of('restored')).toEqual([]);
    expect(pool.runtime.metrics().checkpoints.restores).toBe(0);
    await pool.dispose();
  });
}

test('kill before anything was restored: the snapshot stays, and is restored on its port', async () => {
  await using pool = createSavingPool({ restoreTimeoutMs: 2_000 });
  pool.add('a');
  const { port } = await pool.saved('a');
  for (const how of ['kill', 'abort'] as const) {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    pool.snapshots.instead.has = async (key) => {
      asked.resolve();
      await answer.promise;
      return pool.snapshots.knows(key);
    };
    const caller = new AbortController();
    const pending = pool.runtime
      .ensure('a', { signal: caller.signal })
      .catch((error: unknown) => error);
    await within('has is asked', asked.promise);
    const stopped = how === 'kill' ? pool.runtime.kill('a') : caller.abort();
    answer.resolve();
    await within(how, Promise.all([stopped, pending]));
    await until('nothing is being done', () => pool.runtime.stats().total === 0);
    expect(pool.runtime.inspect('a')?.state).toBe('checkpointed');
  }
  pool.snapshots.instead = {};
  const tenant = await pool.runtime.ensure('a');
  expect([tenant.port, await answerOf(tenant)]).toEqual([port, 'image of a']);
  await pool.dispose();
});

test('your own spawn is not called for a start that was cancelled during a restore', async () => {
  const spawned: string[] = [];
  await using pool = createSavingPool({
    spawn: async ({ key, cwd, env }) => {
      spawned.push(key);
      const child = Bun.spawn([process.execPath, 'server.ts'], {
        cwd,
        env,
        stdio: ['ignore', 'ignore', 'ignore'],
      });
      return child;
    },
  });
  pool.add('a');
  await pool.saved('a');
  const answer = Promise.withResolvers<null>();
  pool.snapshots.instead.restore = () => answer.promise;
  const pending = pool.runtime.ensure('a').catch((error: unknown) => error);
  await until('restore is called', () => pool.snapshots.callsOf('restore').length > 0);
  const killed = pool.runtime.kill('a');
  answer.resolve(null);
  await within('kill', killed);
  expect(await pending).toMatchObject({ code: 'ERR_RUNTIME_EXITED_EARLY' });
  expect(spawned).toEqual(['a']);
  await pool.dispose();
});

test('dispose does not wait forever for a restore that hangs, and a process restored later is ended', async () => {
  await using pool = createSavingPool({ restoreTimeoutMs: SOON_MS });
  pool.add('a');
  await pool.saved('a');
  const answer = Promise.withResolvers<{ pid: number }>();
  pool.snapshots.instead.restore = () => answer.promise;
  const pending = pool.runtime.ensure('a').catch((error: unknown) => error);
  await until('restore is called', () => pool.snapshots.callsOf('restore').length > 0);
  await pool.dispose();
  expect(await pending).toMatchObject({ code: 'ERR_RUNTIME_DISPOSED' });
  const { pid } = pool.snapshots.start('a', DEAF);
  const back = processOf(pid!) as Process;
  answer.resolve({ pid: pid! });
  await untilGone('what came back after dispose', [back]);
});

test('many tenants are saved and restored at once, each from its own snapshot', async () => {
  await using pool = createSavingPool();
  const keys = Array.from({ length: 8 }, (_, index) => `t${index}`);
  pool.add(...keys);
  const before = await Promise.all(keys.map((key) => pool.saved(key)));
  const after = await Promise.all(keys.map((key) => pool.runtime.ensure(key)));
  expect(after.map(({ port }) => port)).toEqual(before.map(({ port }) => port));
  expect(await Promise.all(after.map(answerOf))).toEqual(keys.map((key) => `image of ${key}`));
  expect(pool.runtime.metrics().checkpoints).toMatchObject({
    checkpoints: 8,
    restores: 8,
    restoreFailures: 0,
  });
  await pool.dispose();
});

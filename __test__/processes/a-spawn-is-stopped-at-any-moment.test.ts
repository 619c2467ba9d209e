// kill, restart, dispose and drain at every moment of a spawn, alone and together: every promise
// settles, every spawn has one exit, and no process is left.
import { expect, test } from 'bun:test';
import { RuntimeExitedBeforeReadyError, type Tenant } from '@absolutejs/runtime';
import {
  assertGone,
  createPool,
  type Pool,
  processOf,
  slowToAnswer,
  slowToListen,
  textOf,
  within,
} from '../support/processes/index.ts';

/**
 * The moments of a start of `app`: each promise resolves in the callback of the event, or in the
 * same tick.
 */
const moments: Record<string, (pool: Pool) => Promise<void> | undefined> = {
  'in the same tick': () => undefined,
  'a microtask later': () => Promise.resolve(),
  'within the spawn event': ({ events }) =>
    new Promise((resolve) =>
      events.once((event) => 'type' in event && event.type === 'spawn', resolve),
    ),
  'before it listens': ({ events }) =>
    new Promise((resolve) =>
      events.once((event) => 'line' in event && event.line === 'booting', resolve),
    ),
  'while its answer is on its way': ({ events }) =>
    new Promise((resolve) =>
      events.once((event) => 'line' in event && event.line === 'asked', resolve),
    ),
  'within the ready event': ({ events }) =>
    new Promise((resolve) =>
      events.once((event) => 'type' in event && event.type === 'ready', resolve),
    ),
};

const serverFor = (moment: string) =>
  moment.includes('answer') ? slowToAnswer(300) : slowToListen(300);

/**
 * Calls `act` synchronously at the moment, and returns its outcome and that of the `ensure`
 * before.
 */
async function meet<T>(pool: Pool, moment: string, act: () => Promise<T>) {
  pool.tenants.add('app', { 'server.ts': serverFor(moment) });
  const reached = moments[moment]?.(pool);
  const ensured = pool.runtime.ensure('app');
  ensured.catch(() => {});
  const acted = reached === undefined ? act() : reached.then(act);
  const [ensuring, acting] = await within(moment, Promise.allSettled([ensured, acted]));
  return { ensuring, acting };
}

const isAlive = ({ pid }: Tenant) => processOf(pid) !== undefined && processOf(pid)?.state !== 'Z';

for (const moment of Object.keys(moments)) {
  const isReady = moment === 'within the ready event';

  test(`kill ${moment}`, async () => {
    await using pool = createPool();
    const { ensuring, acting } = await meet(pool, moment, async () => {
      await pool.runtime.kill('app');
      // Gone by the time it resolves.
      assertGone('after kill', pool.tenants.processes());
      expect(pool.runtime.stats()).toEqual({ running: 0, total: 0, draining: false, backoff: 0 });
    });
    expect(acting.status).toBe('fulfilled');
    if (!isReady) {
      // The error is the same at any moment, and its message says if there was no process.
      const { reason } = ensuring as PromiseRejectedResult;
      expect(reason).toBeInstanceOf(RuntimeExitedBeforeReadyError);
      const hasProcess = pool.events.of('spawn').length > 0;
      const beginning = 'Runtime process for "app" exited with ';
      const ending = 'before it was ready: it was stopped before it was started';
      expect(reason.message).toStartWith(beginning);
      expect(reason.message.endsWith(ending)).toBe(!hasProcess);
    }
    expect(pool.events.of('exit').every(({ reason }) => reason === 'killed')).toBe(true);
    // A kill is not a failure: the next ensure starts it afresh.
    expect(isAlive(await within('ensure after kill', pool.runtime.ensure('app')))).toBe(true);
    await pool.dispose();
  });

  test(`restart ${moment}`, async () => {
    await using pool = createPool();
    const { ensuring, acting } = await meet(pool, moment, () => pool.runtime.restart('app'));
    expect(acting.status).toBe('fulfilled');
    const tenant = (acting as PromiseFulfilledResult<Tenant>).value;
    expect(isAlive(tenant)).toBe(true);
    expect(await pool.runtime.ensure('app')).toBe(tenant);
    if (!isReady && ensuring.status === 'fulfilled') expect(ensuring.value).toBe(tenant);
    expect(pool.events.of('exit').every(({ reason }) => reason === 'restarted')).toBe(true);
    await pool.dispose();
    expect(pool.events.of('exit').length).toBe(pool.events.of('spawn').length);
  });

  test(`dispose ${moment}`, async () => {
    await using pool = createPool();
    const { ensuring, acting } = await meet(pool, moment, async () => {
      await pool.runtime.dispose();
      assertGone('after dispose', pool.tenants.processes());
    });
    expect(acting.status).toBe('fulfilled');
    if (!isReady) expect(ensuring.status).toBe('rejected');
    expect(pool.events.of('exit').every(({ reason }) => reason === 'disposed')).toBe(true);
    await pool.dispose();
  });

  test(`drain ${moment}`, async () => {
    await using pool = createPool();
    const { ensuring, acting } = await meet(pool, moment, async () => pool.runtime.drain());
    expect(acting.status).toBe('fulfilled');
    // What is being started goes on.
    expect(ensuring.status).toBe('fulfilled');
    const tenant = (ensuring as PromiseFulfilledResult<Tenant>).value;
    expect(await textOf(tenant)).toBeDefined();
    expect(await pool.runtime.ensure('app')).toBe(tenant);
    expect(pool.events.of('drain').length).toBe(1);
    await pool.dispose();
  });

  test(`everything at once ${moment}`, async () => {
    await using pool = createPool();
    const { runtime } = pool;
    pool.tenants.add('other');
    const other = await runtime.ensure('other');
    const results = await meet(pool, moment, () =>
      Promise.allSettled([
        runtime.kill('app'),
        runtime.ensure('app'),
        runtime.restart('app'),
        runtime.kill('app'),
        runtime.restart('app'),
        runtime.restart('other'),
        runtime.ensure('other'),
        runtime.drain(),
        runtime.kill('other'),
        runtime.restart('app'),
        runtime.ensure('new'),
        runtime.dispose(),
        runtime.kill('app'),
        runtime.ensure('app'),
        runtime.dispose(),
      ]),
    );
    expect(results.acting.status).toBe('fulfilled');
    expect(isAlive(other)).toBe(false);
    assertGone('after everything', pool.tenants.processes());
    expect(runtime.stats()).toEqual({ running: 0, total: 0, draining: true, backoff: 0 });
    await pool.dispose();
    const [exits, spawns] = [pool.events.of('exit'), pool.events.of('spawn')];
    expect(exits.map(({ pid }) => pid).sort()).toEqual(spawns.map(({ pid }) => pid).sort());
  });
}

/** Pseudo-random numbers, the same for the same seed. */
function createDice(seed: number) {
  let state = seed;
  return (sides: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * sides);
  };
}

test('a storm of calls on a few keys settles, in order, and leaves nothing', async () => {
  for (const seed of [1, 2, 3, 4]) {
    const dice = createDice(seed);
    await using pool = createPool({ maxConcurrent: 3, backoff: { baseMs: 1, maxMs: 2 } });
    const { runtime } = pool;
    const keys = ['a', 'b', 'c', 'd'];
    keys.forEach((key) => pool.tenants.add(key, { 'server.ts': slowToListen(dice(60)) }));
    const calls: Promise<unknown>[] = [];
    for (let step = 0; step < 60; step++) {
      const key = keys[dice(keys.length)] ?? 'a';
      const choices = [
        () => runtime.ensure(key),
        () => runtime.ensure(key),
        () => runtime.restart(key),
        () => runtime.kill(key),
      ];
      const call = choices[dice(choices.length)]?.() ?? Promise.resolve();
      call.catch(() => {});
      calls.push(call);
      // Pauses between calls are random, too.
      if (dice(3) === 0) await Bun.sleep(dice(30));
    }
    const settled = await within(`storm ${seed}`, Promise.allSettled(calls));
    expect(settled.length).toBe(calls.length);
    await pool.dispose();
    expect(runtime.stats().total).toBe(0);
  }
}, 60_000);

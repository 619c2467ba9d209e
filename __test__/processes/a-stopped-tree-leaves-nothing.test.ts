// No process of a tenant's tree is left at its exit event, for any shape of the tree and any way
// to stop.
import { expect, test } from 'bun:test';
import {
  addShapes,
  assertGone,
  completeTreeOf,
  createPool,
  descriptorsOf,
  type Pool,
  type Process,
  processOf,
  shapeKeys,
  startShapes,
  surplus,
  textOf,
  treeOf,
  until,
  watchExits,
  within,
} from '../support/processes/index.ts';
import { untilUnused } from '../support/processes/sockets.ts';

const STOP_TIMEOUT_MS = 300;

async function assertNothingIsLeft(
  pool: Pool,
  trees: Map<{ key: string; port: number }, Process[]>,
) {
  for (const [{ key, port }, tree] of trees) {
    assertGone(key, tree);
    await untilUnused(port);
  }
  assertGone('marked', pool.tenants.processes());
}

type Ending = {
  reason: string;
  options?: Parameters<typeof createPool>[0];
  end: (pool: Pool) => unknown;
};

let mayGo = false;
const endings: Record<string, Ending> = {
  kill: {
    reason: 'killed',
    end: ({ runtime }) => Promise.all(shapeKeys.map((key) => runtime.kill(key))),
  },
  'kill at once': {
    reason: 'killed',
    options: { stopTimeoutMs: 0 },
    end: ({ runtime }) => Promise.all(shapeKeys.map((key) => runtime.kill(key))),
  },
  dispose: { reason: 'disposed', end: ({ runtime }) => runtime.dispose() },
  'idle stop': {
    reason: 'idle-killed',
    // None goes before all are up, however long the last one takes.
    options: { idleAfterMs: 300, sweepIntervalMs: 50, shouldIdleKill: () => mayGo },
    end: ({ events }) => {
      mayGo = true;
      return Promise.all(shapeKeys.map((key) => events.exit(key)));
    },
  },
  eviction: {
    reason: 'lru-evicted',
    options: { maxConcurrent: shapeKeys.length },
    async end({ runtime, tenants, events }) {
      const isLeft = (key: string) => events.of('exit', key).length === 0;
      // A tenant stays for as long as its start took, so those that started faster may be evicted
      // first.
      for (let round = 0; shapeKeys.some(isLeft); round += 1) {
        const others = shapeKeys.map((_, index) => `other-${round}-${index}`);
        others.forEach((key) => tenants.add(key));
        await Promise.all(others.map((key) => runtime.ensure(key)));
      }
    },
  },
};

/** Descriptors without the warden's program, which stays open once the addon is loaded. */
const descriptors = () => descriptorsOf('self').filter((link) => !link.endsWith('/warden'));

for (const [name, { reason, options, end }] of Object.entries(endings)) {
  test(`${name} leaves nothing of any shape`, async () => {
    const before = descriptors();
    await using pool = createPool({ stopTimeoutMs: STOP_TIMEOUT_MS, ...options });
    const trees = await startShapes(pool);
    const problems = watchExits(pool, trees);
    await within(name, Promise.resolve(end(pool)));
    expect(problems).toEqual([]);
    const reasons = shapeKeys.map((key) => pool.events.of('exit', key).map((exit) => exit.reason));
    expect(reasons).toEqual(shapeKeys.map(() => [reason as never]));
    await pool.dispose();
    await assertNothingIsLeft(pool, trees);
    await until('no descriptor is left', () => surplus(descriptors(), before).length === 0).catch(
      () => expect(surplus(descriptors(), before)).toEqual([]),
    );
  });
}

test('restart leaves nothing of the tree before', async () => {
  await using pool = createPool({ stopTimeoutMs: STOP_TIMEOUT_MS });
  const before = await startShapes(pool);
  const problems = watchExits(pool, before);
  const restarted = await Promise.all(shapeKeys.map((key) => pool.runtime.restart(key)));
  expect(problems).toEqual([]);
  for (const [{ key }, tree] of before) assertGone(key, tree);
  for (const tenant of restarted) {
    expect([...before.keys()].map(({ pid }) => pid)).not.toContain(tenant.pid);
    expect(await textOf(tenant)).toBe('hello');
  }
  const after = new Map(restarted.map((tenant) => [tenant, treeOf(tenant.pid)]));
  await pool.dispose();
  await assertNothingIsLeft(pool, after);
});

test('failed readiness leaves nothing of any shape', async () => {
  const trees = new Map<{ key: string; pid: number; port: number }, Process[]>();
  await using pool: Pool = createPool({
    stopTimeoutMs: STOP_TIMEOUT_MS,
    backoff: { maxFailures: 1 },
    async readiness({ key }) {
      const [spawn] = pool.events.of('spawn', key);
      if (spawn) trees.set(spawn, await completeTreeOf(pool, spawn));
      return false;
    },
  });
  addShapes(pool.tenants);
  const results = await Promise.allSettled(shapeKeys.map((key) => pool.runtime.ensure(key)));
  expect(results.map(({ status }) => status)).toEqual(shapeKeys.map(() => 'rejected'));
  expect(trees.size).toBe(shapeKeys.length);
  await assertNothingIsLeft(pool, trees);
  for (const key of shapeKeys)
    expect(pool.events.of('exit', key)[0]?.reason).toBe('readiness-timeout');
  await pool.dispose();
});

test('a wrapper that is killed from outside takes its whole tree along', async () => {
  await using pool = createPool({ stopTimeoutMs: STOP_TIMEOUT_MS });
  const trees = await startShapes(pool);
  const problems = watchExits(pool, trees);
  for (const { pid } of trees.keys()) process.kill(pid, 'SIGKILL');
  const exits = await Promise.all(shapeKeys.map((key) => pool.events.exit(key)));
  expect(exits.map(({ reason, exitCode }) => [reason, exitCode])).toEqual(
    shapeKeys.map(() => ['crashed', null]),
  );
  expect(problems).toEqual([]);
  await assertNothingIsLeft(pool, trees);
  const [again] = await Promise.all(shapeKeys.map((key) => pool.runtime.ensure(key)));
  expect(processOf(again?.pid ?? 0)?.state).toBeDefined();
  await pool.dispose();
});

test('a tree that ends by itself is gone before its exit event, helpers included', async () => {
  await using pool = createPool();
  pool.tenants.add('quits', {
    start: 'setsid sleep 1000 & bun server.ts',
    'server.ts': `
      Bun.serve({ port: Number(process.env.PORT), fetch: () => new Response('hello') });
      process.on('SIGUSR2', () => process.exit(0));
      console.log('pid', process.pid);`,
  });
  const tenant = await pool.runtime.ensure('quits');
  const tree = await until('its helper', () => {
    const now = treeOf(tenant.pid);
    return now.some(({ name }) => name === 'sleep') && now;
  });
  const problems = watchExits(pool, new Map([[tenant, tree]]));
  const said = await until('its pid', () =>
    pool.events.lines('quits').find((line) => line.startsWith('pid ')),
  );
  process.kill(Number(said.slice(4)), 'SIGUSR2');
  expect((await pool.events.exit('quits')).reason).toBe('exited-clean');
  expect(problems).toEqual([]);
  await pool.dispose();
  await assertNothingIsLeft(pool, new Map([[tenant, tree]]));
});

test('trees that obey SIGTERM end long before the stop timeout', async () => {
  await using pool = createPool({ stopTimeoutMs: 60_000 });
  const willing = shapeKeys.filter((key) => !key.startsWith('deaf'));
  addShapes(pool.tenants);
  const tenants = await Promise.all(willing.map((key) => pool.runtime.ensure(key)));
  await Promise.all(tenants.map((tenant) => completeTreeOf(pool, tenant)));
  await within('every kill', Promise.all(willing.map((key) => pool.runtime.kill(key))));
  await pool.dispose();
});

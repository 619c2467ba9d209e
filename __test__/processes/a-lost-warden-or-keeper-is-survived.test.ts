// The warden and its keepers are killed. Their tenants count as crashed, none of their processes
// is left when that is reported, and the runtime goes on.
import { expect, test } from 'bun:test';
import {
  addShapes,
  assertGone,
  createPool,
  descriptorsOf,
  keeperOf,
  type Pool,
  shapeKeys,
  signal,
  slowToListen,
  startShapes,
  textOf,
  treeOf,
  type Trees,
  until,
  wardenOf,
  watchExits,
  within,
} from '../support/processes/index.ts';
import { untilUnused } from '../support/processes/sockets.ts';

const theWarden = () => until('there is a warden', () => wardenOf(process.pid));

async function assertCrashedAndGoesOn(pool: Pool, trees: Trees, problems: string[]) {
  const keys = [...trees.keys()].map(({ key }) => key);
  const exits = await Promise.all(keys.map((key) => pool.events.exit(key)));
  expect(exits.map(({ reason, exitCode }) => [reason, exitCode])).toEqual(
    keys.map(() => ['crashed', null]),
  );
  expect(problems).toEqual([]);
  for (const [{ key, port }, tree] of trees) {
    assertGone(key, tree);
    await untilUnused(port);
  }
  assertGone('marked', pool.tenants.processes());
  expect(pool.runtime.stats()).toEqual({ running: 0, total: 0, draining: false, backoff: 0 });
  const again = await within('ensure', Promise.all(keys.map((key) => pool.runtime.ensure(key))));
  for (const tenant of again) expect(await textOf(tenant)).toBe('hello');
  await pool.dispose();
  expect(wardenOf(process.pid)).toBeUndefined();
}

test('a killed warden: every tenant has crashed, nothing is left, and the next ensure works', async () => {
  await using pool = createPool({ stopTimeoutMs: 300 });
  const trees = await startShapes(pool);
  const problems = watchExits(pool, trees);
  const warden = await theWarden();
  process.kill(warden.pid, 'SIGKILL');
  await assertCrashedAndGoesOn(pool, trees, problems);
  assertGone('the warden', [warden]);
});

test('a killed warden whose keepers are stopped', async () => {
  await using pool = createPool({ stopTimeoutMs: 300 });
  const trees = await startShapes(pool);
  const problems = watchExits(pool, trees);
  for (const [keeper] of trees.values()) if (keeper) process.kill(keeper.pid, 'SIGSTOP');
  process.kill((await theWarden()).pid, 'SIGKILL');
  await assertCrashedAndGoesOn(pool, trees, problems);
});

/**
 * Kills the keepers of the trees and the warden before any of them can react. The warden is stopped
 * first and killed last: at its death the kernel continues its stopped children, which would see
 * that it is gone.
 */
async function killWardenAndKeepers(trees: Trees): Promise<void> {
  const warden = (await theWarden()).pid;
  const keepers = [...trees.values()].flatMap(([keeper]) => keeper?.pid ?? []);
  for (const pid of [warden, ...keepers]) process.kill(pid, 'SIGSTOP');
  for (const pid of [...keepers, warden]) process.kill(pid, 'SIGKILL');
}

test('a warden and keepers that are killed together: no process is left', async () => {
  await using pool = createPool({ stopTimeoutMs: 300 });
  // Shapes whose processes stay in their session: without keepers they can be found by that alone.
  const trees = await startShapes(pool, ['plain', 'under a shell', 'with helpers']);
  const problems = watchExits(pool, trees);
  await killWardenAndKeepers(trees);
  await assertCrashedAndGoesOn(pool, trees, problems);
});

test('a killed warden while tenants are being started and stopped', async () => {
  await using pool = createPool({ stopTimeoutMs: 2_000, backoff: { baseMs: 1, maxMs: 1 } });
  pool.tenants.add('starting', { 'server.ts': slowToListen(60_000) });
  addShapes(pool.tenants, ['deaf to SIGTERM']);
  const tenant = await pool.runtime.ensure('deaf-to-SIGTERM');
  const stopping = pool.runtime.kill('deaf-to-SIGTERM');
  const starting = pool.runtime.ensure('starting');
  starting.catch(() => {});
  await pool.events.line('starting', 'booting');
  process.kill((await theWarden()).pid, 'SIGKILL');
  const [started, stopped] = await within('both settle', Promise.allSettled([starting, stopping]));
  expect(started.status).toBe('rejected');
  expect((started as PromiseRejectedResult).reason.code).toBe('ERR_RUNTIME_EXITED_EARLY');
  expect(stopped.status).toBe('fulfilled');
  expect(pool.events.of('exit', 'deaf-to-SIGTERM')[0]?.reason).toBe('killed');
  assertGone('marked', pool.tenants.processes());
  pool.tenants.add('starting');
  await until('the back-off is over', () => pool.runtime.stats().backoff === 0);
  const again = await Promise.all(
    ['starting', 'deaf-to-SIGTERM'].map((key) => pool.runtime.ensure(key)),
  );
  expect(again[1]?.pid).not.toBe(tenant.pid);
  await pool.dispose();
});

test('a start that the killed warden had not read is repeated, without an event', async () => {
  await using pool = createPool();
  pool.tenants.add('first').add('second');
  await pool.runtime.ensure('first');
  const pipes = () => descriptorsOf('self').filter((link) => link === 'pipe').length;
  const before = pipes();
  const { pid } = await theWarden();
  process.kill(pid, 'SIGSTOP');
  const starting = pool.runtime.ensure('second');
  // The pipes for its output: the start has been sent once they exist.
  await until('the start is under way', () => pipes() > before);
  process.kill(pid, 'SIGKILL');
  expect(await textOf(await within('ensure', starting))).toBe('hello');
  expect((await pool.events.exit('first')).reason).toBe('crashed');
  const told = pool.events.of('spawn', 'second').length;
  expect([told, pool.events.of('backoff').length, pool.runtime.stats().backoff]).toEqual([1, 0, 0]);
  await pool.dispose();
});

test('two runtimes share a warden and survive its loss together', async () => {
  await using one = createPool();
  await using two = createPool();
  [one, two].forEach(({ tenants }) => tenants.add('app'));
  await Promise.all([one, two].map(({ runtime }) => runtime.ensure('app')));
  process.kill((await theWarden()).pid, 'SIGKILL');
  await Promise.all([one, two].map(({ events }) => events.exit('app')));
  await Promise.all([one, two].map(({ runtime }) => runtime.ensure('app')));
  await one.dispose();
  // Each runtime starts its own tenants again.
  expect(await textOf(await two.runtime.ensure('app'))).toBe('hello');
  await two.dispose();
});

test('a killed keeper: its tenant alone has crashed', async () => {
  await using pool = createPool({ stopTimeoutMs: 300 });
  const trees = await startShapes(pool);
  const problems = watchExits(pool, trees);
  const warden = await theWarden();
  for (const [tenant, tree] of trees) {
    const keeper = keeperOf(tenant.pid);
    signal(keeper, 'SIGKILL');
    expect((await pool.events.exit(tenant.key)).reason).toBe('crashed');
    assertGone(tenant.key, tree);
    trees.delete(tenant);
    // The other tenants go on.
    for (const other of trees.keys()) expect(treeOf(other.pid).length).toBeGreaterThan(0);
    expect(pool.events.of('exit').length).toBe(shapeKeys.length - trees.size);
  }
  expect(problems).toEqual([]);
  expect(wardenOf(process.pid)?.pid).toBe(warden.pid);
  const again = await Promise.all(shapeKeys.map((key) => pool.runtime.ensure(key)));
  expect(again.length).toBe(shapeKeys.length);
  await pool.dispose();
});

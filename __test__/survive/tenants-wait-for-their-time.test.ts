// Tenants wait for the next host for as long as they were told, and then end in order.
import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isThere, processOf } from '../support/processes/table.ts';
import { until } from '../support/processes/until.ts';
import { setUp } from '../support/survive/world.ts';

test('a host that comes too late finds nothing, and nothing is left', async () => {
  await using world = setUp(['a', 'b']);
  const first = await world.startAndRecover({ survive: { forMs: 300 } });
  await first.ensureAll(['a', 'b']);
  await first.murder();
  await world.untilNothingIsLeft();
  for (const key of ['a', 'b']) {
    expect(readFileSync(join(world.tenants.root, key, 'ends'), 'utf8')).toBe('SIGTERM\n');
  }
  const second = await world.startAndRecover();
  expect(second.all('recover')).toEqual([]);
  await second.ensure('a');
});

test('what does not end when it is asked to is killed', async () => {
  const deaf =
    "process.on('SIGTERM', () => {}); Bun.serve({ port: process.env.PORT, fetch: () => new Response() });";
  await using world = setUp(['a'], deaf);
  const first = await world.startAndRecover({
    survive: { forMs: 200 },
    options: { stopTimeoutMs: 300 },
  });
  await first.ensure('a');
  await first.murder();
  await world.untilNothingIsLeft();
});

test('forMs: 0 ends them at once', async () => {
  await using world = setUp(['a']);
  const first = await world.startAndRecover({ survive: { forMs: 0 } });
  await first.ensure('a');
  await first.murder();
  await world.untilNothingIsLeft();
});

test('each host says how long for itself', async () => {
  await using world = setUp(['a']);
  const first = await world.startAndRecover({ survive: { forMs: 600_000 } });
  const { pid } = await first.ensure('a');
  await first.murder();
  const second = await world.startAndRecover({ survive: { forMs: 200 } });
  expect(second.all('recover').map((event) => event.pid)).toEqual([pid]);
  await second.murder();
  await world.untilNothingIsLeft();
});

test('it is known since when nobody has the name', async () => {
  await using world = setUp(['a', 'b']);
  const first = await world.startAndRecover();
  await first.ensureAll(['a', 'b']);
  expect(await world.look()).toMatchObject({ ownerPid: first.pid, runs: 2, epoch: 1 });
  const from = Date.now();
  await first.murder();
  const owned = await until('the warden has seen it', () => true).then(async () => {
    for (;;) {
      const now = await world.look();
      if (now?.ownerPid === 0) return now;
    }
  });
  expect(owned).toMatchObject({ name: world.name, runs: 2 });
  expect(owned.sinceMs).toBeGreaterThanOrEqual(from - 5);
  expect(owned.sinceMs).toBeLessThanOrEqual(Date.now());
  await world.startAndRecover();
  expect(await world.look()).toMatchObject({ epoch: 2 });
});

test('a warden that is killed while nobody has its tenants takes them with it', async () => {
  await using world = setUp(['a', 'b']);
  const first = await world.startAndRecover();
  const tenants = await first.ensureAll(['a', 'b']);
  const trees = tenants.map(({ pid }) => processOf(pid)!);
  await first.murder();
  process.kill((await world.look())!.wardenPid, 'SIGKILL');
  await until('the tenants have ended', () => !trees.some(isThere));
  const second = await world.startAndRecover();
  expect(second.all('recover')).toEqual([]);
  const { pid } = await second.ensure('a');
  expect(pid).not.toBe(tenants[0]!.pid);
});

test('a warden that was stopped is continued by the host that comes', async () => {
  await using world = setUp(['a']);
  const first = await world.startAndRecover();
  const { pid } = await first.ensure('a');
  await first.murder();
  process.kill((await world.look())!.wardenPid, 'SIGSTOP');
  const second = await world.startAndRecover();
  expect((await second.ensure('a')).pid).toBe(pid);
});

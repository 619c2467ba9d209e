// A host that is killed leaves its tenants, and the next one of the name goes on with them.
import { expect, test } from 'bun:test';
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { engineNames } from '../support/processes/hosts.ts';
import { isThere, processOf } from '../support/processes/table.ts';
import { setUp, tell } from '../support/survive/world.ts';

const KEYS = ['a', 'b', 'c'];

test.each(engineNames)(
  '%s: same processes, ports and figures, and no new start',
  async (engine) => {
    await using world = setUp();
    const first = await world.startAndRecover({ engine });
    const tenants = await first.ensureAll(KEYS);
    const trees = tenants.map(({ pid }) => processOf(pid)!);
    await first.murder();
    expect(trees.every(isThere)).toBeTrue();

    const second = await world.startAndRecover({ engine });
    const recovered = second.all('recover');
    expect(recovered.map(({ key }) => key).sort()).toEqual(KEYS);
    for (const { key, pid, port, startedAt } of tenants) {
      expect(recovered.find((event) => event.key === key)).toMatchObject({ pid, port, startedAt });
    }
    const found = await second.list();
    expect(found.map(({ key, state, pid, port }) => ({ key, state, pid, port }))).toEqual(
      tenants.map(({ key, pid, port }) => ({ key, state: 'ready', pid, port })),
    );
    const again = await second.ensureAll(KEYS);
    expect(again.map(({ pid, port }) => ({ pid, port }))).toEqual(
      tenants.map(({ pid, port }) => ({ pid, port })),
    );
    expect(second.all('spawn')).toEqual([]);
    expect(second.all('ready')).toEqual([]);
    expect(await tell(again[0]!, '/')).toBe('hello');

    await second.ask('dispose');
    expect(
      second
        .all('exit')
        .map(({ key, reason }) => `${key} ${reason}`)
        .sort(),
    ).toEqual(KEYS.map((key) => `${key} disposed`));
    await world.untilNothingIsLeft();
  },
);

test('recover is told before anything else about a tenant', async () => {
  await using world = setUp();
  const first = await world.startAndRecover();
  const tenants = await first.ensureAll(KEYS);
  await first.murder();
  for (const tenant of tenants) await tell(tenant, '/say?text=meanwhile');
  const second = await world.startAndRecover();
  for (const key of KEYS) await second.line(key, 'meanwhile');
  for (const key of KEYS) {
    const about = second.told.filter(
      (told) =>
        'event' in told &&
        told.event !== undefined &&
        'key' in told.event &&
        told.event.key === key,
    );
    expect(about[0]).toMatchObject({ of: 'transition', event: { type: 'recover' } });
  }
  const recoveredAt = second.told.findIndex(({ of }) => of === 'recovered');
  const lastRecover = second.told.findLastIndex(
    (told) => told.of === 'transition' && told.event.type === 'recover',
  );
  expect(lastRecover).toBeLessThan(recoveredAt);
});

test('an ensure that comes before all is known waits, and gets the tenant that lives', async () => {
  await using world = setUp();
  const first = await world.startAndRecover();
  const { pid } = await first.ensure('a');
  await first.murder();
  const second = world.start();
  expect((await second.ensure('a')).pid).toBe(pid);
  expect(second.all('spawn')).toEqual([]);
});

test('a tenant that listens at ::1 alone is handed out there', async () => {
  const server =
    "Bun.serve({ hostname: '::1', port: process.env.PORT, fetch: () => new Response('hello') });";
  await using world = setUp(['a'], server);
  const first = await world.startAndRecover();
  const a = await first.ensure('a');
  expect(a.host).toBe('::1');
  await first.murder();
  const second = await world.startAndRecover();
  expect(await second.ensure('a')).toMatchObject({ pid: a.pid, host: '::1' });
});

test('a host may be lost again and again', async () => {
  await using world = setUp();
  const pids = new Set<number>();
  const ports = new Set<number>();
  for (let turn = 0; turn < 4; turn += 1) {
    const host = await world.startAndRecover({ engine: turn % 2 ? 'Node' : 'Bun' });
    const { pid, port } = await host.ensure('a');
    pids.add(pid);
    ports.add(port);
    // Half of them are lost before they do anything else.
    if (turn === 2) await host.ensure('b');
    await host.murder();
  }
  expect(pids.size).toBe(1);
  expect(ports.size).toBe(1);
  const last = await world.startAndRecover();
  expect(
    last
      .all('recover')
      .map(({ key }) => key)
      .sort(),
  ).toEqual(['a', 'b']);
});

test('a host that was lost before its first tenant leaves nothing', async () => {
  await using world = setUp();
  const first = await world.startAndRecover();
  await first.murder();
  await world.untilNothingIsLeft();
  const second = await world.startAndRecover();
  expect(second.all('recover')).toEqual([]);
  await second.ensure('a');
});

test('its socket is for its user alone', async () => {
  await using world = setUp();
  const host = await world.startAndRecover();
  await host.ensure('a');
  expect(statSync(dirname(world.socket)).mode & 0o777).toBe(0o700);
  expect(statSync(world.socket).mode & 0o077).toBe(0);
});

test('without survive all is gone within a second, as ever', async () => {
  await using world = setUp();
  const host = world.start({ options: { survive: undefined as never } });
  const { pid } = await host.ensure('a');
  const tenant = processOf(pid)!;
  await host.murder();
  const from = performance.now();
  while (isThere(tenant) && performance.now() - from < 10_000) await Bun.sleep(4);
  expect(isThere(tenant)).toBeFalse();
  expect(await world.look()).toBeNull();
});

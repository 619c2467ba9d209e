// Tenants that sleep when their host is lost are found by the next one, which wakes them when they are
// asked for. Without a next host they are ended as those that were awake.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'bun:test';
import { processOf } from '../support/processes/table.ts';
import { SOON } from '../support/sleep/pool.ts';
import { setUp, tell } from '../support/survive/world.ts';

const options = { sleep: SOON, sweepIntervalMs: 50 };
const PATIENCE_MS = 60_000;

for (const engine of ['Bun', 'Node'] as const) {
  test(`${engine}: the next host finds a sleeper, and its process answers`, async () => {
    await using world = setUp();
    const first = await world.startAndRecover({ engine, options });
    const [tenant] = await first.ensureAll(['a']);
    await first.hears('a sleeps', (all) => all.find(isSleep), PATIENCE_MS);
    await first.murder();
    expect(processOf(tenant!.pid)).toBeDefined();
    const second = await world.startAndRecover({ engine, options });
    expect(second.all('recover')).toMatchObject([{ key: 'a', pid: tenant!.pid }]);
    const [found] = await second.ensureAll(['a']);
    expect(found).toMatchObject({ pid: tenant!.pid, port: tenant!.port });
    expect(await tell(found!, '/pid')).toBe(String(tenant!.pid));
    await second.hears('a sleeps again', (all) => all.find(isSleep), PATIENCE_MS);
    await second.ask('dispose');
    await world.untilNothingIsLeft();
  });
}

test('one that leaves in order leaves its sleepers, too', async () => {
  await using world = setUp();
  const first = await world.startAndRecover({ options });
  const [tenant] = await first.ensureAll(['a']);
  await first.hears('a sleeps', (all) => all.find(isSleep), PATIENCE_MS);
  await first.ask('detach');
  const second = await world.startAndRecover({ options });
  const [found] = await second.ensureAll(['a']);
  expect(found?.pid).toBe(tenant!.pid);
  expect(await tell(found!, '/')).toBe('hello');
  await second.ask('dispose');
  await world.untilNothingIsLeft();
});

test('sleepers that nobody comes for are ended, and get their SIGTERM', async () => {
  await using world = setUp();
  const first = await world.startAndRecover({ options, survive: { forMs: 200 } });
  await first.ensureAll(['a']);
  await first.hears('a sleeps', (all) => all.find(isSleep), PATIENCE_MS);
  await first.murder();
  await world.untilNothingIsLeft(PATIENCE_MS);
  expect(readFileSync(join(world.tenants.root, 'a', 'ends'), 'utf8')).toBe('SIGTERM\n');
});

function isSleep(told: { of: string; event?: { type?: string } | unknown }): boolean {
  return told.of === 'transition' && (told.event as { type?: string }).type === 'sleep';
}

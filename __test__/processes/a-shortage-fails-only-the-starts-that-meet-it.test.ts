// A host or its warden runs out of descriptors: the starts that need them fail with that reason,
// running tenants go on, and as soon as there are enough again everything works.
import { expect, test } from 'bun:test';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  assertGone,
  engineNames,
  markedWith,
  startHost,
  Tenants,
  until,
  wardenOf,
} from '../support/processes/index.ts';

type Outcomes = { counts: Record<string, number>; messages: string[]; stats: { running: number } };

const SLEEPERS = JSON.stringify({ command: ['sleep', '1000'] });

function sleepers(count: number) {
  const tenants = new Tenants();
  for (let index = 0; index < count; index++) mkdirSync(join(tenants.root, `t${index}`));
  return tenants;
}

for (const engine of engineNames) {
  test(`${engine}: a host without a descriptor to spare`, async () => {
    const count = 60;
    await using tenants = sleepers(count);
    await using host = startHost(
      engine,
      'starts.mjs',
      [tenants.root, `${count}`, '5', SLEEPERS, 'once'],
      {
        before: 'ulimit -n 100',
      },
    );
    const { counts, messages, stats } = await host.saidJson<Outcomes>('outcomes');
    const { ready = 0, ERR_RUNTIME_SPAWN: refused = 0 } = counts;
    expect(ready).toBeGreaterThan(0);
    expect(refused).toBeGreaterThan(0);
    expect(ready + refused).toBe(count);
    expect(stats.running).toBe(ready);
    for (const message of messages) expect(message).toMatch(/os error 24|Too many open files/);
    expect(markedWith(tenants.mark).filter(({ name }) => name === 'sleep').length).toBe(ready);
    host.say('go on');
    expect((await host.saidJson<Outcomes>('again')).counts).toEqual({ ready: 5 });
    await host.said('disposed');
    expect(await host.end()).toEqual({ code: 0, signal: null });
    assertGone('after dispose', tenants.processes());
  });
}

test('a warden without a descriptor to spare', async () => {
  const count = 30;
  await using tenants = sleepers(count + 1);
  await using host = startHost('Node', 'starts.mjs', [
    tenants.root,
    '1',
    `${count}`,
    SLEEPERS,
    'once',
  ]);
  expect((await host.saidJson<Outcomes>('outcomes')).counts).toEqual({ ready: 1 });
  const warden = await until('there is a warden', () => wardenOf(host.pid));
  // The warden has five, and one for each keeper, so there is room for some tenants.
  limit(warden.pid, '16');
  host.say('go on');
  const { counts, messages } = await host.saidJson<Outcomes>('again');
  const { ready = 0, ERR_RUNTIME_SPAWN: refused = 0 } = counts;
  expect(ready).toBeGreaterThan(0);
  expect(refused).toBeGreaterThan(0);
  expect(ready + refused).toBe(count);
  for (const message of messages) expect(message).toMatch(/os error 24|Too many open files/);
  await host.said('disposed');
  expect(await host.end()).toEqual({ code: 0, signal: null });
  assertGone('after dispose', tenants.processes());
});

function limit(pid: number, descriptors: string): void {
  const { exitCode, stderr } = Bun.spawnSync([
    'prlimit',
    `--pid=${pid}`,
    `--nofile=${descriptors}:`,
  ]);
  if (exitCode !== 0) throw new Error(String(stderr));
}

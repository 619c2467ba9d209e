import { expect, test } from 'bun:test';
import { manualReadiness, setUp } from '../support/surface/bench.ts';
import { aFewTurns } from '../support/surface/wait.ts';

/** How much longer a busy machine may take. */
const SLACK_MS = 10_000;

test('an idle tenant is stopped, with idle-kill before its exit', async () => {
  await using bench = setUp({ idleAfterMs: 30, sweepIntervalMs: 10 });
  const { pid } = await bench.runtime.ensure('a');
  await bench.events.seen('exit', 'a');
  const [idleKill] = bench.events.all('idle-kill');
  expect(bench.events.transitions.slice(2)).toEqual([
    { type: 'idle-kill', key: 'a', pid, reason: 'idle-threshold', idleMs: idleKill!.idleMs },
    { type: 'exit', key: 'a', pid, exitCode: null, reason: 'idle-killed' },
  ]);
  expect(bench.runtime.stats()).toEqual({ running: 0, total: 0, draining: false, backoff: 0 });
});

test('never before idleAfterMs, and at most a sweep later', async () => {
  const [idleAfterMs, sweepIntervalMs] = [60, 40];
  await using bench = setUp({ idleAfterMs, sweepIntervalMs });
  const tenant = await bench.runtime.ensure('a');
  const { idleMs } = await bench.events.seen('idle-kill', 'a');
  const elapsedMs = Date.now() - tenant.lastTouchedAt;
  expect(Number.isInteger(idleMs)).toBeTrue();
  expect(idleMs).toBeWithin(idleAfterMs, idleAfterMs + sweepIntervalMs + SLACK_MS);
  expect(elapsedMs).toBeGreaterThanOrEqual(idleMs);
});

test('a sweep interval much shorter or longer than idleAfterMs changes neither bound', async () => {
  for (const [idleAfterMs, sweepIntervalMs] of [
    [30, 1],
    [1, 200],
  ] as const) {
    await using bench = setUp({ idleAfterMs, sweepIntervalMs });
    await bench.runtime.ensure('a');
    const { idleMs } = await bench.events.seen('idle-kill', 'a');
    expect(idleMs).toBeWithin(idleAfterMs, idleAfterMs + sweepIntervalMs + SLACK_MS);
  }
});

for (const [name, act] of [
  ['touch', (runtime) => runtime.touch('a')],
  ['ensure', (runtime) => void runtime.ensure('a')],
] as [string, (runtime: ReturnType<typeof setUp>['runtime']) => void][]) {
  test(`${name} postpones the idle stop`, async () => {
    const idleAfterMs = 200;
    await using bench = setUp({ idleAfterMs, sweepIntervalMs: 10 });
    const tenant = await bench.runtime.ensure('a');
    const busyUntil = tenant.startedAt + 2 * idleAfterMs;
    while (Date.now() < busyUntil) {
      act(bench.runtime);
      await Bun.sleep(5);
    }
    act(bench.runtime);
    const { lastTouchedAt, pid } = tenant;
    const idleKill = await bench.events.seen('idle-kill', 'a');
    // A machine that stood still for idleAfterMs would be a reason to stop it, too; then there is
    // nothing to see.
    if (idleKill.pid !== pid) return;
    expect(Date.now() - lastTouchedAt).toBeGreaterThanOrEqual(idleAfterMs);
    expect(idleKill.idleMs).toBeGreaterThanOrEqual(idleAfterMs);
  });
}

test('only the idle tenant is stopped', async () => {
  await using bench = setUp({ idleAfterMs: 100, sweepIntervalMs: 10 });
  await bench.runtime.ensure('idle');
  await bench.runtime.ensure('busy');
  const busy = setInterval(() => bench.runtime.touch('busy'), 2);
  bench.releases.push(() => clearInterval(busy));
  await bench.events.seen('exit', 'idle');
  expect(bench.events.all('idle-kill', 'busy')).toEqual([]);
  expect(bench.runtime.stats().running).toBe(1);
});

test.each([0, -1, -Infinity, Infinity])('idleAfterMs %p: never', async (idleAfterMs) => {
  await using bench = setUp({ idleAfterMs, sweepIntervalMs: 1 });
  await bench.runtime.ensure('a');
  await Bun.sleep(60);
  await aFewTurns();
  expect(bench.events.story).toEqual(['spawn a', 'metric spawn a', 'ready a']);
});

test('a tenant that is not ready yet is not idle', async () => {
  const { readiness, answer } = manualReadiness();
  await using bench = setUp({ idleAfterMs: 10, sweepIntervalMs: 1, readiness });
  const pending = bench.runtime.ensure('a');
  await bench.events.seen('spawn', 'a');
  await Bun.sleep(50);
  expect(bench.events.all('idle-kill')).toEqual([]);
  answer('a', true);
  const tenant = await pending;
  await bench.events.seen('exit', 'a');
  expect(bench.events.all('idle-kill')[0]!.idleMs).toBeGreaterThanOrEqual(10);
  expect(tenant.lastTouchedAt - tenant.startedAt).toBeGreaterThanOrEqual(49);
});

test('an idle stop that is refused is tried again later, and not over and over', async () => {
  const sweepIntervalMs = 100;
  const at: number[] = [];
  const refusal = new Error('not yet');
  await using bench = setUp({ idleAfterMs: 10, sweepIntervalMs });
  await bench.runtime.ensure('a');
  const process = bench.fleet.the('a');
  process.onKill = () => {
    at.push(Date.now());
    if (at.length < 3) throw refusal;
    process.exit(0);
  };
  const exit = await bench.events.seen('exit', 'a');
  expect(exit.reason).toBe('idle-killed');
  expect(process.kills).toEqual([undefined, undefined, undefined]);
  for (const [index, time] of at.slice(1).entries()) {
    expect(time - at[index]!).toBeGreaterThanOrEqual(sweepIntervalMs / 2);
  }
  expect(bench.events.all('idle-kill')).toHaveLength(3);
  expect(bench.events.all('exit')).toHaveLength(1);
});

test('a tenant whose idle stop was refused is still the same tenant', async () => {
  await using bench = setUp({ idleAfterMs: 10, sweepIntervalMs: 60_000 });
  const tenant = await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = () => Promise.reject(new Error('not yet'));
  await bench.events.seen('idle-kill', 'a');
  expect(await bench.runtime.ensure('a')).toBe(tenant);
  expect(bench.fleet.of('a')).toHaveLength(1);
});

test('after an idle stop the key is started again on request', async () => {
  await using bench = setUp({ idleAfterMs: 20, sweepIntervalMs: 5 });
  const first = await bench.runtime.ensure('a');
  await bench.events.seen('exit', 'a');
  const second = await bench.runtime.ensure('a');
  expect(second.pid).not.toBe(first.pid);
  await bench.events.seen('exit', 'a', 2);
  expect(bench.events.all('exit').map(({ reason }) => reason)).toEqual([
    'idle-killed',
    'idle-killed',
  ]);
});

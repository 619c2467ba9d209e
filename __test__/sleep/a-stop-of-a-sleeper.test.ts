// However a sleeper is stopped, it is awake for its SIGTERM, and its `wake` is told before all else.
import { expect, test } from 'bun:test';
import type { ExitReason, RuntimeOptions } from '@absolutejs/runtime';
import { type Pool, until, within } from '../support/processes/index.ts';
import { ask, asleep, createSleepyPool, started, TICKER } from '../support/sleep/pool.ts';

const told = (pool: Pool, pid: number): string[] =>
  pool.events.told.flatMap(({ of, event }) =>
    of === 'transition' && 'pid' in event && event.pid === pid ? [event.type] : [],
  );

const stops: [ExitReason, (pool: Pool) => unknown, string[], Partial<RuntimeOptions>][] = [
  ['killed', ({ runtime }) => runtime.kill('a'), [], {}],
  ['restarted', ({ runtime }) => runtime.restart('a'), [], {}],
  ['disposed', ({ runtime }) => runtime.dispose(), [], {}],
  ['idle-killed', () => {}, ['idle-kill'], { idleAfterMs: 2_000 }],
  ['replaced', ({ runtime }) => runtime.replace('a'), [], {}],
];

for (const [reason, stop, before, options] of stops) {
  test(`${reason}`, async () => {
    await using pool = createSleepyPool(options);
    const [tenant] = await started(pool, ['a']);
    await asleep(pool, 'a');
    await stop(pool);
    const exit = await until(`exit of a`, () => pool.events.of('exit', 'a')[0], 60_000);
    expect(exit.reason).toBe(reason);
    expect(pool.events.lines('a')).toContain('goodbye');
    const types = told(pool, tenant!.pid);
    expect(types).toEqual(['spawn', 'ready', 'sleep', 'wake', ...before, 'exit']);
  });
}

test('one that is killed in its sleep by another has crashed, and is started again', async () => {
  await using pool = createSleepyPool();
  const [tenant] = await started(pool, ['a']);
  await asleep(pool, 'a');
  process.kill(tenant!.pid, 'SIGKILL');
  const exit = await pool.events.exit('a');
  expect(exit).toMatchObject({ reason: 'crashed', signal: 'SIGKILL', pid: tenant!.pid });
  expect(pool.runtime.metrics().sleep.asleep).toBe(0);
  const again = await pool.runtime.ensure('a');
  expect(again.pid).not.toBe(tenant!.pid);
  await pool.dispose();
});

test('one that hangs as soon as it is woken has crashed, and is started afresh', async () => {
  // Without limits its tree is stopped, and continued, by signals.
  await using pool = createSleepyPool({ stopTimeoutMs: 200 });
  pool.tenants.add('a', { 'server.ts': `${TICKER} process.on('SIGCONT', () => { for (;;); });` });
  const tenant = await pool.runtime.ensure('a');
  await asleep(pool, 'a');
  // It is handed out as soon as it runs, and seen not to answer after that.
  pool.runtime.touch('a');
  const exit = await pool.events.exit('a');
  expect(exit).toMatchObject({ reason: 'crashed', signal: 'SIGKILL', pid: tenant.pid });
  const again = await within('ensure', pool.runtime.ensure('a'));
  expect(again.pid).not.toBe(tenant.pid);
  expect(await ask(again)).toBe('hello');
  await pool.dispose();
});

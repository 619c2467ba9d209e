// A sleeper that something else than its host continues. Where it has a control group of version 2 that
// comes to nothing; here its tree is stopped by signals.
import { readFileSync } from 'node:fs';
import { expect, test } from 'bun:test';
import type { Tenant } from '@absolutejs/runtime';
import { type Pool, until, within } from '../support/processes/index.ts';
import {
  asleep,
  createSleepyPool,
  expectStandsStill,
  started,
  woken,
} from '../support/sleep/pool.ts';

/**
 * Has the kernel send it SIGCONT four times a second, from its third second on: it cannot be kept asleep
 * then. It is busy from the moment that it notices that it has slept.
 */
const WAKES_ITSELF = `
import { dlopen, ptr } from 'bun:ffi';
const { symbols: libc } = dlopen('libc.so.6', {
  timer_create: { args: ['i32', 'ptr', 'ptr'], returns: 'i32' },
  timer_settime: { args: ['u64', 'i32', 'ptr', 'ptr'], returns: 'i32' },
});
const [CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGCONT] = [1, 0, 18];
const event = new Int32Array(16);
event.set([SIGCONT, SIGEV_SIGNAL], 2);
const timer = new BigUint64Array(1);
// One for each time: of one that recurs, what follows on a signal that a SIGSTOP has taken back is lost.
for (let atMs = 2_000; atMs < 17_000; atMs += 250) {
  const nanoseconds = BigInt(atMs) * 1_000_000n;
  const once = BigInt64Array.of(0n, 0n, nanoseconds / 1_000_000_000n, nanoseconds % 1_000_000_000n);
  const made = libc.timer_create(CLOCK_MONOTONIC, ptr(event), ptr(timer));
  if (made !== 0 || libc.timer_settime(timer[0], 0, ptr(once), null) !== 0) throw new Error('no timer');
}
let seenAt = Date.now();
const isBusy = () => { for (const end = Date.now() + 20; Date.now() < end; ); };
setInterval(() => {
  const now = Date.now();
  if (now - seenAt > 1_000) setInterval(isBusy, 40);
  seenAt = now;
}, 100);
Bun.serve({ hostname: '127.0.0.1', port: process.env.PORT, fetch: () => new Response('hello') });
`;

async function restless(pool: Pool, key: string): Promise<Tenant> {
  pool.tenants.add(key, { 'server.ts': WAKES_ITSELF });
  return pool.runtime.ensure(key);
}

test.each([
  ['its only process', ['bun', 'server.ts']],
  ['a grandchild of its keeper', ['sh', '-c', 'bun server.ts & wait']],
])('one that cannot be kept asleep is awake, and that is told: %s', async (_, command) => {
  await using pool = createSleepyPool({ command });
  const { pid } = await restless(pool, 'a');
  await asleep(pool, 'a');
  const { durationMs, ...wake } = await woken(pool, 'a');
  expect(wake).toEqual({ type: 'wake', key: 'a', pid, depth: 'frozen', byItself: true });
  expect(durationMs).toBeGreaterThan(0);
  expect(pool.runtime.inspect('a')?.state).toBe('ready');
  expect(pool.runtime.metrics().sleep).toMatchObject({ asleep: 0, sleeps: 1, wakes: 1 });
  await pool.runtime.kill('a');
  await pool.dispose();
});

test('where there is no room for it, it is stopped', async () => {
  await using pool = createSleepyPool({ maxConcurrent: 1 });
  const { pid } = await restless(pool, 'a');
  await asleep(pool, 'a');
  const [other] = await started(pool, ['b']);
  await using connection = await connected(other!);
  const exit = await until('its end', () => pool.events.of('exit', 'a')[0]);
  expect(exit).toMatchObject({ key: 'a', pid, reason: 'lru-evicted' });
  const told = pool.events.told.flatMap(({ of, event }) =>
    of === 'transition' && 'key' in event && event.key === 'a' ? [event.type] : [],
  );
  expect(told).toEqual(['spawn', 'ready', 'sleep', 'wake', 'lru-evict', 'exit']);
  expect(pool.runtime.inspect('b')?.state).toBe('ready');
  await pool.dispose();
});

test('one that is continued from outside sleeps on, and nobody hears of it', async () => {
  await using pool = createSleepyPool();
  const [tenant] = await started(pool, ['a']);
  await asleep(pool, 'a');
  process.kill(tenant!.pid, 'SIGCONT');
  await until('it stands again', () => stateOf(tenant!.pid) === 'T');
  await expectStandsStill(tenant!);
  expect(pool.runtime.metrics().sleep).toMatchObject({ asleep: 1, sleeps: 1, wakes: 0 });
  await pool.runtime.ensure('a');
  expect(await woken(pool, 'a')).not.toHaveProperty('byItself');
  await pool.dispose();
});

test('one that is continued while it is woken was woken by its caller', async () => {
  await using pool = createSleepyPool();
  const [tenant] = await started(pool, ['a']);
  for (let round = 1; round <= 10; round++) {
    await asleep(pool, 'a', round);
    const called = pool.runtime.ensure('a');
    process.kill(tenant!.pid, 'SIGCONT');
    expect(await within('the tenant', called)).toBe(tenant!);
    expect(await woken(pool, 'a', round)).not.toHaveProperty('byItself');
  }
  await pool.dispose();
});

function stateOf(pid: number): string | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat[stat.lastIndexOf(')') + 2];
}

async function connected({ port }: { port: number }): Promise<AsyncDisposable> {
  const socket = await Bun.connect({ hostname: '127.0.0.1', port, socket: { data() {} } });
  return { [Symbol.asyncDispose]: async () => void socket.end() };
}

/** A pool whose tenants fall asleep soon, and what tests look at of them. */
import { readFileSync } from 'node:fs';
import { expect } from 'bun:test';
import type { RuntimeOptions, Tenant } from '@absolutejs/runtime';
import { createPool, type Pool, treeOf, until, within } from '../processes/index.ts';

/** Much shorter than the defaults. Nothing is paged out: not every machine has swap. */
export const SOON = { afterMs: 150, pageOutAfterMs: 0, minAwakeMs: 0 };

/** What keeps a tenant awake is looked for now and then, and looked at for a while. */
const PATIENCE_MS = 3 * Number(process.env.TEST_PATIENCE_MS ?? 20_000);

/**
 * Prints a line each second, which takes too little of a core to keep it awake, of an emulated one, too,
 * and one for its end. The path says what else it does.
 */
export const TICKER = `
let ticks = 0;
setInterval(() => console.log('tick', ++ticks), 1000);
process.on('SIGTERM', () => {
  console.log('goodbye');
  process.exit(0);
});
const server = Bun.serve({
  hostname: '127.0.0.1',
  port: process.env.PORT,
  idleTimeout: 0,
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === '/ticks') return new Response(String(ticks));
    if (pathname === '/exit') setTimeout(() => process.exit(7), 50);
    if (request.headers.get('upgrade')) return server.upgrade(request) ? undefined : new Response('no');
    return new Response('hello');
  },
  websocket: { message: (socket, text) => void socket.send(text) },
});
`;

export function createSleepyPool({ sleep, ...options }: Partial<RuntimeOptions> = {}): Pool {
  return createPool({ sweepIntervalMs: 50, ...options, sleep: { ...SOON, ...sleep } });
}

/** Adds a ticker for each key, starts it, and asks it once. */
export async function started(pool: Pool, keys: readonly string[]): Promise<Tenant[]> {
  for (const key of keys) pool.tenants.add(key, { 'server.ts': TICKER });
  return Promise.all(keys.map((key) => pool.runtime.ensure(key)));
}

/** The event with which the key falls asleep for the `count`th time. */
export const asleep = (pool: Pool, key: string, count = 1) =>
  until(`sleep ${count} of ${key}`, () => pool.events.of('sleep', key)[count - 1], PATIENCE_MS);

export const woken = (pool: Pool, key: string, count = 1) =>
  until(`wake ${count} of ${key}`, () => pool.events.of('wake', key)[count - 1]);

/** Asks over a connection that is closed afterwards: one that is kept would keep it awake. */
export const ask = async ({ port }: Pick<Tenant, 'port'>): Promise<string> => {
  const asked = fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } });
  return (await within('an answer', asked)).text();
};

/** No process of the tenant's tree runs: none of them uses any CPU time. */
export async function expectStandsStill({ pid }: Pick<Tenant, 'pid'>): Promise<void> {
  const used = () =>
    treeOf(pid)
      .slice(1)
      .map(({ pid }) => cpuTicksOf(pid));
  const before = used();
  expect(before.length).toBeGreaterThan(0);
  // It would print a line meanwhile.
  await Bun.sleep(1_500);
  expect(used()).toEqual(before);
}

/** Memory that no other process has, of all in the tenant's tree. It is not woken by that. */
export function privateBytesOf({ pid }: Pick<Tenant, 'pid'>): number {
  const own = treeOf(pid)
    .slice(1)
    .map((process) => readFileSync(`/proc/${process.pid}/smaps_rollup`, 'utf8'));
  const sizes = [...own.join('\n').matchAll(/^Private_\w+: +(\d+) kB$/gm)];
  return sizes.reduce((sum, [, size]) => sum + Number(size) * 1_024, 0);
}

function cpuTicksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

// What idle tenants cost that are kept running, asleep, or stopped: how many fit into a gigabyte, how
// long the next request waits for its answer, and what the host uses while they sleep.
import { loadavg } from 'node:os';
import type { SleepDepth } from '@absolutejs/runtime';
import { median, percentile } from '../lib/figures.ts';
import { type App, apps } from './apps.ts';
import { type Host, withTenants } from './host.ts';
import { cpuMsOf, hasSwap, privateBytes, treeNow, zramBytes } from './trees.ts';

const TENANTS = 20;
const ROUNDS = 5;
/** A stop and a start take long, and vary little. */
const COLD_ROUNDS = 2;
const GIB = 2 ** 30;

/** The goals: half of all, and 99 of a hundred, in milliseconds. */
const GOALS: Record<App, Record<SleepDepth, [p50: number, p99: number]>> = {
  hello: { frozen: [0.8, 5], 'paged-out': [2.5, 60] },
  express: { frozen: [1.8, 5], 'paged-out': [15, 60] },
};

const SLEEPERS = 2_000;
/** Of a core, for all of them together. */
const CPU_GOAL_PERCENT = 0.2;
/** Long enough for what a host does now and then. */
const WATCHED_MS = 30_000;

type Row = { bytes: number; waitsMs: number[] };

/** Prints the figures, and returns the exit code. */
export async function runDensity(): Promise<number> {
  console.log(`load at start ${loadavg()[0]?.toFixed(1)}; ${TENANTS} tenants, one at a time\n`);
  if (!hasSwap()) console.log('! no swap: what is paged out is not measured (docs/density.md)\n');
  const isMet: boolean[] = [];
  for (const app of apps) isMet.push(await measure(app));
  isMet.push(await watchSleepers());
  return isMet.every(Boolean) ? 0 : 1;
}

async function measure(app: App): Promise<boolean> {
  const awake = await withTenants({ app, count: TENANTS }, async (host) => ({
    bytes: mean(privateBytes(host.pids())),
    waitsMs: await host.waits(ROUNDS, async () => {}),
  }));
  tell(app, 'awake', awake, awake);
  const isMet: boolean[] = [];
  for (const depth of depths()) {
    const row = await withTenants({ app, count: TENANTS, depth }, asleep);
    tell(app, depth, row, awake);
    const [p50, p99] = GOALS[app][depth];
    isMet.push(check(`${app}, ${depth}: half within ${p50} ms`, median(row.waitsMs)!, p50));
    isMet.push(check(`${app}, ${depth}: 99 % within ${p99} ms`, at99(row.waitsMs), p99));
  }
  const stopped = await withTenants({ app, count: TENANTS }, async (host) => ({
    bytes: 0,
    waitsMs: await host.waits(COLD_ROUNDS, host.stopAll),
  }));
  tell(app, 'stopped', stopped, awake);
  console.log();
  return isMet.every(Boolean);
}

async function asleep(host: Host): Promise<Row> {
  await host.allAsleep();
  const inZram = (zramBytes() - host.zramBefore) / TENANTS;
  const bytes = mean(privateBytes(host.pids())) + inZram;
  return { bytes, waitsMs: await host.waits(ROUNDS, host.allAsleep) };
}

const depths = (): SleepDepth[] => (hasSwap() ? ['frozen', 'paged-out'] : ['frozen']);

/** What the host, its warden and its keepers use while tenants do nothing but sleep. */
function watchSleepers(): Promise<boolean> {
  const asUsual = { app: 'hello', count: SLEEPERS, depth: 'frozen', isPatient: true } as const;
  return withTenants(asUsual, async (host) => {
    await host.allAsleep();
    const processes = treeNow(process.pid);
    // This process is the first: what it takes to read all is not to be in it.
    const before = cpuMsOf(processes.toReversed());
    await Bun.sleep(WATCHED_MS);
    const percent = (100 * (cpuMsOf(processes) - before)) / WATCHED_MS;
    const what = `${SLEEPERS} sleepers: % of a core (goal ≤ ${CPU_GOAL_PERCENT})`;
    console.log(`${what}: ${percent.toFixed(2)}`);
    return check(what, percent, CPU_GOAL_PERCENT);
  });
}

function tell(app: App, what: string, { bytes, waitsMs }: Row, awake: Row): void {
  const times = (awake.bytes / bytes).toFixed(1);
  const size = `${(bytes / 2 ** 20).toFixed(2)} MB each`;
  const fit = bytes === 0 ? 'nothing' : `${size}, ${Math.floor(GIB / bytes)} a GB (× ${times})`;
  console.log(
    `${app.padEnd(8)}${what.padEnd(10)} answers within ${median(waitsMs)!.toFixed(2)} ms, ` +
      `99 % within ${at99(waitsMs).toFixed(2)} ms; holds ${fit}`,
  );
}

function check(what: string, figure: number, goal: number): boolean {
  const isMet = figure <= goal;
  if (!isMet) console.log(`✘ ${what}: ${figure.toFixed(2)}`);
  return isMet;
}

const at99 = (values: readonly number[]) => percentile(values, 0.99)!;
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

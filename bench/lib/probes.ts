// Measurements that a process makes of itself and its helpers: event loop, CPU time, memory.
import { closeSync, openSync, readdirSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const LAG_TIMER_MS = 1;
const NS_PER_MS = 1e6;
const KIB_PER_MB = 1024;

export interface LoopLag {
  /** How late the timer was at most, in milliseconds. */
  lagMs: number;
  /** The same without the time in which the thread waited for a core. */
  heldMs: number;
  /** The most CPU time that the thread itself used between two looks. */
  busyMs: number;
}

/** Starts to measure how late a timer of 1 ms is. */
export function watchLoop(): { stop: () => LoopLag } {
  const schedstat = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r');
  const buffer = Buffer.alloc(64);
  /** How long the JavaScript thread has run and has waited for a core so far. */
  const times = () => {
    const length = readSync(schedstat, buffer, 0, buffer.length, 0);
    const [ran = NaN, waited = NaN] = buffer.toString('latin1', 0, length).split(' ').map(Number);
    return { now: performance.now(), ranMs: ran / NS_PER_MS, waitedMs: waited / NS_PER_MS };
  };
  let last = times();
  const most = { lagMs: 0, heldMs: 0, busyMs: 0 };
  const look = () => {
    const next = times();
    const lagMs = next.now - last.now - LAG_TIMER_MS;
    most.lagMs = Math.max(most.lagMs, lagMs);
    most.heldMs = Math.max(most.heldMs, lagMs - (next.waitedMs - last.waitedMs));
    most.busyMs = Math.max(most.busyMs, next.ranMs - last.ranMs);
    last = next;
  };
  const timer = setInterval(look, LAG_TIMER_MS);
  return {
    stop() {
      look();
      clearInterval(timer);
      closeSync(schedstat);
      return most;
    },
  };
}

export interface CpuTimes {
  /** CPU time of all threads of this process. */
  allMs: number;
  /** CPU time of its JavaScript thread, which is its first. */
  javascriptMs: number;
  /** CPU time of the processes that the pool started besides tenants. */
  helpersMs: number;
}

/**
 * Starts a measurement of CPU time. Looking for helpers takes milliseconds itself when there are
 * many processes; it is done before the start and after the end, so that it is not measured.
 *
 * @param tenantPids the tenants, whose trees are not helpers; without it helpers are not measured
 */
export function watchCpu(tenantPids?: readonly number[]): { used: () => CpuTimes } {
  const helpersBeforeMs = helpersMs(tenantPids);
  const before = ownTimes();
  return {
    used() {
      const after = ownTimes();
      return {
        allMs: after.allMs - before.allMs,
        javascriptMs: after.javascriptMs - before.javascriptMs,
        helpersMs: helpersMs(tenantPids) - helpersBeforeMs,
      };
    },
  };
}

function ownTimes() {
  const { user, system } = process.cpuUsage();
  return { allMs: (user + system) / 1e3, javascriptMs: onCpuMs(`/proc/self/task/${process.pid}`) };
}

function helpersMs(tenantPids?: readonly number[]): number {
  const helpers = tenantPids ? helperPids(tenantPids) : [];
  return helpers.reduce((sum, pid) => sum + onCpuMs(`/proc/${pid}`), 0);
}

/** CPU time from `schedstat`; 0 for a process that is gone. */
function onCpuMs(directory: string): number {
  try {
    return Number(readFileSync(`${directory}/schedstat`, 'utf8').split(' ')[0]) / NS_PER_MS;
  } catch {
    return 0;
  }
}

/** Descendants of this process that are neither tenants nor descendants of tenants. */
function helperPids(tenantPids: readonly number[]): number[] {
  const childrenOf = new Map<number, number[]>();
  for (const { pid, parent } of processes())
    childrenOf.set(parent, [...(childrenOf.get(parent) ?? []), pid]);
  const isTenant = new Set(tenantPids);
  const below = (pid: number): number[] =>
    (childrenOf.get(pid) ?? [])
      .filter((child) => !isTenant.has(child))
      .flatMap((child) => [child, ...below(child)]);
  return below(process.pid);
}

function processes(): { pid: number; parent: number }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        const parent = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1];
        return [{ pid: Number(name), parent: Number(parent) }];
      } catch {
        return [];
      }
    });
}

/**
 * Starts a measurement of peak memory; the result says by how much the peak exceeds what was
 * resident at first.
 */
export function watchMemory(): { growthMb: () => number } {
  // 5 resets the peak to what is resident now.
  writeFileSync('/proc/self/clear_refs', '5');
  const beforeMb = residentMb();
  return { growthMb: () => statusMb('VmHWM') - beforeMb };
}

export function residentMb(): number {
  return statusMb('VmRSS');
}

function statusMb(field: string): number {
  const status = readFileSync('/proc/self/status', 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1]) / KIB_PER_MB;
}

/** Collects garbage several times, if the engine exposes it. */
export async function collectGarbage(): Promise<void> {
  const collect: (() => void) | undefined = globalThis.Bun ? () => Bun.gc(true) : globalThis.gc;
  for (let round = 0; round < 4; round += 1) {
    collect?.();
    await delay(50);
  }
}

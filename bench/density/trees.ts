// What process trees have of memory for themselves, what zram takes for what they have handed over,
// and the CPU time that they use.
import { readdirSync, readFileSync } from 'node:fs';

const KIB = 1_024;
const NS_PER_MS = 1_000_000;

/** Of each tree, in bytes: pages that no other process has. */
export function privateBytes(pids: readonly number[]): number[] {
  const below = children();
  const own = (pid: number) => {
    const sizes = [...read(`/proc/${pid}/smaps_rollup`).matchAll(/^Private_\w+: +(\d+) kB$/gm)];
    return sizes.reduce((sum, [, size]) => sum + Number(size) * KIB, 0);
  };
  return pids.map((pid) => treeOf(pid, below).reduce((sum, each) => sum + own(each), 0));
}

/** A process and all below it. */
export const treeNow = (pid: number): number[] => treeOf(pid, children());

/**
 * CPU time of processes so far, which are read in their order: of all their threads that live, to
 * the nanosecond, where `/proc/<pid>/stat` counts the ticks that have found one running.
 */
export function cpuMsOf(pids: readonly number[]): number {
  const ns = pids.flatMap((pid) =>
    list(`/proc/${pid}/task`).map((thread) =>
      Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0]),
    ),
  );
  return ns.reduce((sum, each) => sum + each, 0) / NS_PER_MS;
}

/** What all zram devices take of memory, in bytes. */
export function zramBytes(): number {
  const devices = list('/sys/block').filter((name) => name.startsWith('zram'));
  return devices.reduce((sum, name) => {
    const [, , used = 0] = read(`/sys/block/${name}/mm_stat`).trim().split(/\s+/);
    return sum + Number(used);
  }, 0);
}

export const hasSwap = () => read('/proc/swaps').trim().split('\n').length > 1;

function treeOf(pid: number, below: Map<number, number[]>): number[] {
  return [pid, ...(below.get(pid) ?? []).flatMap((child) => treeOf(child, below))];
}

function children(): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (const name of list('/proc').filter((each) => /^\d+$/.test(each))) {
    const parent = Number(statOf(Number(name))[1]);
    found.set(parent, [...(found.get(parent) ?? []), Number(name)]);
  }
  return found;
}

/** The fields after the name, which may have any character. */
function statOf(pid: number): string[] {
  const stat = read(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

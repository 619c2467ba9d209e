/**
 * The processes of a run. This process becomes a child subreaper: every process that a host leaves
 * behind, even in a session of its own, becomes its child. So all descendants of this process
 * belong to the run, and an unexpected one is a leak.
 */
import { dlopen } from 'bun:ffi';
import { readdirSync, readFileSync } from 'node:fs';
import {
  descendantsOf,
  type Process,
  processes,
  shown as shownAll,
} from '../__test__/support/processes/table.ts';

const PR_SET_CHILD_SUBREAPER = 36;
const WNOHANG = 1;

const libc = dlopen('libc.so.6', {
  prctl: { args: ['i32', 'u64', 'u64', 'u64', 'u64'], returns: 'i32' },
  waitpid: { args: ['i32', 'ptr', 'i32'], returns: 'i32' },
}).symbols;

export function becomeSubreaper(): void {
  if (libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) !== 0)
    throw new Error('prctl(PR_SET_CHILD_SUBREAPER) failed');
}

/**
 * The processes that hosts have left behind, with their descendants; `known` are the children that
 * this process has started. Ended ones are reaped, as init would do.
 */
export function orphans(known: ReadonlySet<number>): Process[] {
  const table = processes();
  const left = table.filter(({ pid, parent }) => parent === process.pid && !known.has(pid));
  return left.flatMap((orphan) => {
    if (orphan.state !== 'Z') return [orphan, ...descendantsOf(orphan.pid, table)];
    libc.waitpid(orphan.pid, null, WNOHANG);
    return [];
  });
}

/** Sends SIGKILL to all of them, and returns them. */
export function killAll(list: Process[]): Process[] {
  for (const { pid } of list) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
  }
  return list;
}

export type Figures = { rssKb: number; descriptors: number; threads: number };

export function figuresOf(pid: number): Figures | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    return {
      rssKb: Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]),
      descriptors: descriptorsOf(pid),
      threads: Number(/^Threads:\s+(\d+)/m.exec(status)?.[1]),
    };
  } catch {
    return undefined;
  }
}

/** 0 if they may not be listed: only root may list a warden's. */
function descriptorsOf(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}

/** The first few processes as text. */
export function shown(list: readonly Process[]): string {
  const some = list.slice(0, 8);
  const more = list.length > some.length ? ` and ${list.length - some.length} more` : '';
  return shownAll(some) + more;
}

/** Resolves once `look` finds no process, or the time is up, with what is left then. */
export async function untilNone(
  look: () => Process[],
  patienceMs: number,
): Promise<{ tookMs: number; left: Process[] }> {
  const from = performance.now();
  for (;;) {
    const left = look();
    const tookMs = performance.now() - from;
    if (left.length === 0 || tookMs > patienceMs) return { tookMs, left };
    await Bun.sleep(5);
  }
}

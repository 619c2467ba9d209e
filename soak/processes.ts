/**
 * The processes of a run. This process becomes a child subreaper: whatever a host leaves behind, however it is detached,
 * becomes its child and nothing else's. So everything below it is the run's, and what is there that should not be is a leak.
 */
import { dlopen } from 'bun:ffi';
import { readdirSync, readFileSync } from 'node:fs';

const PR_SET_CHILD_SUBREAPER = 36;
const WNOHANG = 1;

const libc = dlopen('libc.so.6', {
  prctl: { args: ['i32', 'u64', 'u64', 'u64', 'u64'], returns: 'i32' },
  waitpid: { args: ['i32', 'ptr', 'i32'], returns: 'i32' },
}).symbols;

export type Process = { pid: number; parent: number; state: string; name: string; startedAt: string };

export function becomeSubreaper(): void {
  if (libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) !== 0)
    throw new Error('prctl(PR_SET_CHILD_SUBREAPER) failed');
}

export function processes(): Process[] {
  return readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? (processOf(Number(name)) ?? []) : []));
}

function processOf(pid: number): Process | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const end = stat.lastIndexOf(')');
    const fields = stat.slice(end + 2).split(' ');
    const name = stat.slice(stat.indexOf('(') + 1, end);
    return { pid, parent: Number(fields[1]), state: fields[0] ?? '', name, startedAt: fields[19] ?? '' };
  } catch {
    return undefined;
  }
}

/** Everything below a process. */
export function below(pid: number, table = processes()): Process[] {
  const children = table.filter(({ parent }) => parent === pid);
  return children.flatMap((child) => [child, ...below(child.pid, table)]);
}

/**
 * What the hosts have left to this process, with everything below it; `known` are the children that it has started. What
 * has ended is reaped, as init would.
 */
export function orphans(known: ReadonlySet<number>): Process[] {
  const table = processes();
  const left = table.filter(({ pid, parent }) => parent === process.pid && !known.has(pid));
  return left.flatMap((orphan) => {
    if (orphan.state !== 'Z') return [orphan, ...below(orphan.pid, table)];
    libc.waitpid(orphan.pid, null, WNOHANG);
    return [];
  });
}

/** Kills them; one that has ended meanwhile is as good. */
export function killed(list: Process[]): Process[] {
  for (const { pid } of list) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // There is none by that pid any more.
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

/** None where they may not be seen: a warden shows its own to root only. */
function descriptorsOf(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}

/** Some of them say as much as all. */
export function shown(list: readonly Process[]): string {
  const some = list
    .slice(0, 8)
    .map(({ pid, parent, state, name }) => `${name} ${pid} (${state}, child of ${parent})`);
  return some.join(', ') + (list.length > some.length ? ` and ${list.length - some.length} more` : '');
}

/** Resolves with how long it took until `look` finds nothing, or with what it finds in the end. */
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

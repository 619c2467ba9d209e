/** The process table, as /proc shows it. A process is known by its pid and its start time: a pid alone is used again. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { until } from './until.ts';

export type Process = { pid: number; parent: number; state: string; name: string; startedAt: string };

/** Undefined when there is none. */
export function processOf(pid: number): Process | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const end = stat.lastIndexOf(')');
    const fields = stat.slice(end + 2).split(' ');
    const [state = '', parent = ''] = fields;
    const name = stat.slice(stat.indexOf('(') + 1, end);
    return { pid, parent: Number(parent), state, name, startedAt: fields[19] ?? '' };
  } catch {
    return undefined;
  }
}

/** Every process there is, zombies included. */
export function processes(): Process[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => processOf(Number(pid)) ?? []);
}

/** Everything below a process, in whatever session or group. */
export function descendantsOf(pid: number, table = processes()): Process[] {
  const children = table.filter(({ parent }) => parent === pid);
  return children.flatMap((child) => [child, ...descendantsOf(child.pid, table)]);
}

export const wardenOf = (hostPid: number) =>
  processes().find(({ parent, name, state }) => parent === hostPid && name === 'abs-warden' && state !== 'Z');

export const keeperOf = (tenantPid: number) => {
  const keeper = processOf(processOf(tenantPid)?.parent ?? 0);
  return keeper?.name === 'abs-keeper' ? keeper : undefined;
};

/**
 * What shows that a process comes from a test's tenants, wherever it went: the mark is in its environment, in its
 * arguments or in its working directory.
 */
export const markedWith = (mark: string) =>
  processes().filter(({ pid, state }) => state !== 'Z' && isMarked(pid, mark));

function isMarked(pid: number, mark: string): boolean {
  const read = (look: () => string) => {
    try {
      return look();
    } catch {
      return '';
    }
  };
  const file = (name: string) => read(() => readFileSync(`/proc/${pid}/${name}`, 'utf8'));
  return [file('environ'), file('cmdline'), read(() => readlinkSync(`/proc/${pid}/cwd`))].some((text) =>
    text.includes(mark),
  );
}

/** Whether that very process is still in the table. A zombie counts unless nobody but init could reap it. */
export function isThere({ pid, startedAt }: Process): boolean {
  const now = processOf(pid);
  return now !== undefined && now.startedAt === startedAt && !(now.state === 'Z' && now.parent === 1);
}

/** Whether that very process has not ended, reaped or not. */
export const isRunning = (process: Process) => isThere(process) && processOf(process.pid)?.state !== 'Z';

export const shown = (list: readonly Process[]) =>
  list.map(({ pid, parent, state, name }) => `${name} ${pid} (${state}, child of ${parent})`).join(', ');

/** Resolves once none of them is left; the error names those that are. */
export async function untilGone(what: string, list: readonly Process[], patienceMs?: number): Promise<void> {
  let left = list;
  const look = () => (left = left.filter(isThere)).length === 0;
  await until(what, look, patienceMs).catch((error) => {
    throw new Error(`${error.message}; left: ${shown(left.filter(isThere))}`);
  });
}

/** None of them is left, now. */
export function assertGone(what: string, list: readonly Process[]): void {
  const left = list.filter(isThere);
  if (left.length > 0) throw new Error(`${what}: left are ${shown(left)}`);
}

/** What a process's descriptors lead to; kinds only, since numbers change. */
export function descriptorsOf(pid: number | 'self'): string[] {
  const links = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return undefined; // The one that lists them.
    }
  });
  return links.flatMap((link) => (link === undefined ? [] : [link.replace(/:\[\d+\]$/, '')])).sort();
}

/** The names of the threads of a process. */
export const threadsOf = (pid: number | 'self') =>
  readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    try {
      return readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8').trim();
    } catch {
      return [];
    }
  });

/** What a list has more of than another. */
export function surplus(list: readonly string[], baseline: readonly string[]): string[] {
  const rest = [...baseline];
  return list.filter((item) => {
    const index = rest.indexOf(item);
    if (index >= 0) rest.splice(index, 1);
    return index < 0;
  });
}

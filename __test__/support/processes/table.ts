/**
 * The process table, from /proc. A process is identified by pid and start time, since pids are
 * reused.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { until } from './until.ts';

export type Process = {
  pid: number;
  parent: number;
  state: string;
  name: string;
  startedAt: string;
};

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

/** All descendants of a process, in any session or group. */
export function descendantsOf(pid: number, table = processes()): Process[] {
  const children = table.filter(({ parent }) => parent === pid);
  return children.flatMap((child) => [child, ...descendantsOf(child.pid, table)]);
}

export const wardenOf = (hostPid: number) =>
  processes().find(
    ({ parent, name, state }) => parent === hostPid && name === 'abs-warden' && state !== 'Z',
  );

export const keeperOf = (tenantPid: number) => {
  const keeper = processOf(processOf(tenantPid)?.parent ?? 0);
  return keeper?.name === 'abs-keeper' ? keeper : undefined;
};

/**
 * The processes of a test's tenants, also those that have left their tree: the mark is in their
 * environment, arguments or working directory. Tests end what they find so: a short mark would find
 * other processes, too, such as one that has the name of a test file among its arguments.
 */
export function markedWith(mark: string) {
  if (mark.length < SHORTEST_MARK) throw new Error(`${mark} is not a mark of one test alone`);
  return processes().filter(({ pid, state }) => state !== 'Z' && isMarked(pid, mark));
}

/** A temporary directory has more characters. */
const SHORTEST_MARK = 16;

function isMarked(pid: number, mark: string): boolean {
  const read = (look: () => string) => {
    try {
      return look();
    } catch {
      return '';
    }
  };
  const file = (name: string) => read(() => readFileSync(`/proc/${pid}/${name}`, 'utf8'));
  return [file('environ'), file('cmdline'), read(() => readlinkSync(`/proc/${pid}/cwd`))].some(
    (text) => text.includes(mark),
  );
}

/**
 * Signals a process that a test has found. Not found, it must not become pid 0, which stands for
 * the group of the test runner.
 */
export function signal(process: Process | undefined, name: NodeJS.Signals): void {
  if (process === undefined) throw new Error(`there is no process to send ${name} to`);
  globalThis.process.kill(process.pid, name);
}

/** Whether this process is still in the table. A zombie counts, unless init is its parent. */
export function isThere({ pid, startedAt }: Process): boolean {
  const now = processOf(pid);
  return (
    now !== undefined && now.startedAt === startedAt && !(now.state === 'Z' && now.parent === 1)
  );
}

/** Whether this process has not ended; a zombie has. */
export const isRunning = (process: Process) =>
  isThere(process) && processOf(process.pid)?.state !== 'Z';

export const shown = (list: readonly Process[]) =>
  list
    .map(({ pid, parent, state, name }) => `${name} ${pid} (${state}, child of ${parent})`)
    .join(', ');

/** Resolves once none of the processes is left; the error names those that are. */
export async function untilGone(
  what: string,
  list: readonly Process[],
  patienceMs?: number,
): Promise<void> {
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

/** The targets of a process's descriptors, without numbers, which change. */
export function descriptorsOf(pid: number | 'self'): string[] {
  const links = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return undefined; // The descriptor that lists them.
    }
  });
  return links
    .flatMap((link) => (link === undefined ? [] : [link.replace(/:\[\d+\]$/, '')]))
    .sort();
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

/** The entries of a list that the baseline does not have. */
export function surplus(list: readonly string[], baseline: readonly string[]): string[] {
  const rest = [...baseline];
  return list.filter((item) => {
    const index = rest.indexOf(item);
    if (index >= 0) rest.splice(index, 1);
    return index < 0;
  });
}

/**
 * Processes that no runtime has started, to be adopted. They carry the tests' mark, so none
 * outlives its test.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { isThere, type Process, processOf } from './table.ts';
import type { Tenants } from './tenants.ts';
import { until } from './until.ts';

/** Whether it leads a process group of its own or is in ours. */
export type Group = 'own group' | 'our group';

/** A child of this process. It can be told a line. */
export class Child {
  readonly pid: number;
  readonly process: ChildProcess;
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;

  constructor(tenants: Tenants, script: string, group: Group) {
    this.process = spawn('sh', ['-c', script], {
      cwd: tenants.root,
      detached: group === 'own group',
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    this.pid = this.process.pid ?? 0;
    this.ended = once(this.process, 'exit').then(([code, signal]) => ({ code, signal }));
  }

  say(word: string): void {
    this.process.stdin?.end(`${word}\n`);
  }
}

/** Starts a process that is no child of this one: its parent has ended. */
export function startOrphan(tenants: Tenants, script: string, group: Group): number {
  const own = group === 'own group' ? 'setsid' : '';
  const outer = `${own} sh -c "$1" </dev/null >/dev/null 2>&1 & echo $!`;
  const pid = Number(execFileSync('sh', ['-c', outer, 'sh', script], { cwd: tenants.root }));
  if (!Number.isInteger(pid)) throw new Error('the shell did not say which process it started');
  return pid;
}

/** Starts an orphan, and waits until it has executed its program: then its name is known, too. */
export async function orphan(
  tenants: Tenants,
  script: string,
  group: Group,
  name = 'sleep',
): Promise<Process> {
  const pid = startOrphan(tenants, script, group);
  const find = () => {
    const process = processOf(pid);
    return process?.name === name && process.parent !== globalThis.process.pid && process;
  };
  return await until(`${pid} is ${name}`, find);
}

/** Whether there is such a process, and it has not ended. */
export const isAlive = (pid: number) => {
  const process = processOf(pid);
  return process !== undefined && process.state !== 'Z' && isThere(process);
};

/**
 * Whether a pidfd tells the exit code of a child that has been reaped elsewhere: since Linux 6.15.
 */
export function kernelTellsExitCodes(release: string): boolean {
  const [major = 0, minor = 0] = release.split('.').map(Number);
  return major > 6 || (major === 6 && minor >= 15);
}

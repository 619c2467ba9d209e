// What a process uses, by the kernel's account.
import { readdirSync, readFileSync } from 'node:fs';

/** CPU time of all threads of a process so far. Of those that have ended meanwhile nothing is known. */
export function cpuNs(pid: number): number {
  const tasks = readdirSync(`/proc/${pid}/task`);
  const of = (task: string) => readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8');
  return tasks.reduce((sum, task) => sum + Number(of(task).split(' ')[0]), 0);
}

/** Resident memory that no file backs. */
export function ownMb(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1]) / 1_024;
}

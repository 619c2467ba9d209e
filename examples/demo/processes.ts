// The processes of a tenant, according to the system and not to the runtime that started them.
import { readdir, readFile, readlink } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Context } from './steps.ts';

export const tenantsRoot = fileURLToPath(new URL('../tenants', import.meta.url));

/** How long an ended process may still be in the process table. */
const GONE_WITHIN_MS = 1_000;

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/**
 * Processes in tenants' directories that exist before this demo starts: another demo may be
 * running.
 */
export async function noteOtherProcesses(): Promise<Set<number>> {
  return new Set(await processesInTenants());
}

/** A process and its descendants, so that a start script's server is found too. */
export async function processTree(pid: number): Promise<number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  const below = await Promise.all(
    children
      .split(' ')
      .filter(Boolean)
      .map((child) => processTree(Number(child))),
  );
  return [pid, ...below.flat()];
}

/** @throws when a process that was seen, or one in a tenant's directory, is still there */
export async function checkNothingIsLeft({ pids }: Context, others: Set<number>): Promise<string> {
  const deadline = performance.now() + GONE_WITHIN_MS;
  let left = await processesLeft(pids, others);
  while (left.length > 0 && performance.now() < deadline) {
    await Bun.sleep(20);
    left = await processesLeft(pids, others);
  }
  if (left.length > 0) throw new Error(`processes are still there: ${left.join(', ')}`);
  return `every process is gone: the ${pids.size} that were seen, and none is left in a tenant's directory`;
}

async function processesLeft(pids: Set<number>, others: Set<number>): Promise<number[]> {
  const ours = (await processesInTenants()).filter((pid) => !others.has(pid));
  return [...new Set([...[...pids].filter(isAlive), ...ours])];
}

async function processesInTenants(): Promise<number[]> {
  const names = await readdir('/proc').catch(() => []);
  const pids = names.map(Number).filter((pid) => Number.isInteger(pid));
  const directories = await Promise.all(
    pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => '')),
  );
  return pids.filter((_pid, index) => directories[index]?.startsWith(tenantsRoot));
}

// The host's own processes, as /proc shows them.
import { readdirSync, readFileSync } from 'node:fs';

/** @param {number} pid @returns {{ name: string; parent: number } | undefined} */
function processOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const end = stat.lastIndexOf(')');
    const [, parent] = stat.slice(end + 2).split(' ');
    return { name: stat.slice(stat.indexOf('(') + 1, end), parent: Number(parent) };
  } catch {
    return undefined;
  }
}

/**
 * The keeper of a tenant's process; undefined if the pid is not, or no longer, a tenant's.
 * @param {number} pid
 */
export function keeperOf(pid) {
  const parent = processOf(pid)?.parent ?? 0;
  return processOf(parent)?.name === 'abs-keeper' ? parent : undefined;
}

/** The warden of this host. */
export function wardenOf() {
  const threads = readdirSync('/proc/self/task');
  const children = threads.flatMap((thread) => {
    try {
      return readFileSync(`/proc/self/task/${thread}/children`, 'latin1')
        .trim()
        .split(' ')
        .map(Number);
    } catch {
      return [];
    }
  });
  return children.find((pid) => processOf(pid)?.name === 'abs-warden');
}

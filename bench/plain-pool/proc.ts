// What a process and its descendants use, read from /proc file by file.
import { readFile } from 'node:fs/promises';

const CLOCK_TICK_MS = 10;
const PAGE_BYTES = 4_096;
// Positions in /proc/<pid>/stat, counted from the state, the first field after the command's name.
const UTIME = 11;
const CSTIME = 14;
const RSS = 21;

interface TreeStats {
  cpuMs: number;
  rssBytes: number;
}

/**
 * Undefined when the process is gone. CPU time includes children that ended and were waited for.
 */
export async function readTreeStats(pid: number): Promise<TreeStats | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const fields = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const ticks = fields.slice(UTIME, CSTIME + 1).reduce((sum, value) => sum + value, 0);
    const total = { cpuMs: ticks * CLOCK_TICK_MS, rssBytes: (fields[RSS] ?? 0) * PAGE_BYTES };
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
    for (const child of children.split(' ').filter(Boolean)) {
      const stats = await readTreeStats(Number(child));
      total.cpuMs += stats?.cpuMs ?? 0;
      total.rssBytes += stats?.rssBytes ?? 0;
    }
    return total;
  } catch {
    return undefined;
  }
}

// What the machine has of memory, and what processes have of it, from /proc.
import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

const KIB = 1_024;

/** @param {string} text @param {string} name */
function bytesOf(text, name) {
  return Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0) * KIB;
}

export const availableBytes = () =>
  bytesOf(readFileSync('/proc/meminfo', 'latin1'), 'MemAvailable');

/**
 * Their memory, where each has its share of what several have: one after the other, so that nobody
 * waits for it.
 *
 * @param {readonly number[]} pids
 */
export async function proportionalBytes(pids) {
  let sum = 0;
  for (const pid of pids) {
    const text = await readFile(`/proc/${pid}/smaps_rollup`, 'latin1').catch(() => '');
    sum += bytesOf(text, 'Pss');
  }
  return sum;
}

export const descriptorCount = () => readdirSync('/proc/self/fd').length;

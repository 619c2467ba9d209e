/** What tenants that sleep gain on this host: whether their memory can be handed to swap. */
import { bytesInWords, inWords, note, ok } from './findings.js';
import { isAtLeast } from './programs.js';

/** @typedef {import('./facts.js').Facts} Facts */
/** @typedef {import('./host.js').Host} Host */
/** @typedef {import('./findings.js').Finding} Finding */

/**
 * An express app with Bun 1.4 on x64, asleep with its memory in zram: what it takes of memory, with
 * what zram takes for it, and of the swap's size. Awake it takes 17 MB of its own.
 */
const SLEEPER_BYTES = 6 * 2 ** 20;
const SWAPPED_BYTES = 15 * 2 ** 20;
/** The first versions with `memory.reclaim`, and with `process_madvise` that pages out. */
const RECLAIM_KERNEL = '5.19';
const MADVISE_KERNEL = '5.10';
/** The bit of CAP_SYS_NICE, without which a process may not page out another one. */
const CAP_SYS_NICE = 23n;
const SETUP = 'docs/density.md has zram in three lines';

/** @param {Host} host @param {Facts} facts @returns {Finding} */
export function sleep(host, facts) {
  const free = facts.groups.withoutSwap === undefined ? freeSwap(host) : 0;
  const way = wayToPageOut(host, facts);
  const kept = 'a tenant that sleeps uses no processor, and keeps the memory that it has';
  if (way === undefined) {
    const advice = 'run the host as root or with CAP_SYS_NICE, or let it keep limits.memoryBytes';
    return note('sleep', 'tenants can be frozen, not paged out', kept, advice);
  }
  if (free === 0) return note('sleep', 'tenants can be frozen; there is no free swap', kept, SETUP);
  const memory = Math.min(
    facts.groups.memory?.freeBytes ?? Infinity,
    facts.memory?.availableBytes ?? Infinity,
  );
  const sleepers = Math.floor(Math.min(memory / SLEEPER_BYTES, free / SWAPPED_BYTES));
  const means =
    `room for some ${inWords(sleepers)} sleepers: each takes 6 MB, and 15 MB of swap, as an express ` +
    'app does; measure yours';
  return ok('sleep', `frozen, and paged out ${way} (${bytesInWords(free)} of swap free)`, means);
}

/** @param {Host} host @param {Facts} facts */
function wayToPageOut({ uid, read }, { machine, confinement }) {
  const isKernel = (/** @type {string} */ least) => isAtLeast(machine.kernelRelease ?? '0', least);
  const capabilities = /^CapEff:\s*([\da-f]+)$/m.exec(read('/proc/self/status') ?? '')?.[1];
  const mayAdvise =
    capabilities === undefined ? uid === 0 : (BigInt(`0x${capabilities}`) >> CAP_SYS_NICE) & 1n;
  if (mayAdvise && isKernel(MADVISE_KERNEL)) return 'by process_madvise';
  const hasGroup = confinement.limits.some(
    ({ name, by, why }) => name === 'memoryBytes' && by === 'cgroup2' && why === undefined,
  );
  return hasGroup && isKernel(RECLAIM_KERNEL) ? 'by memory.reclaim, with limits' : undefined;
}

/** Of all files and devices. @param {Host} host */
function freeSwap({ read }) {
  const [, ...rows] = (read('/proc/swaps') ?? '').trim().split('\n');
  return rows.reduce((free, row) => {
    const [, , size = 0, used = 0] = row.split(/\s+/);
    return free + (Number(size) - Number(used)) * 1_024;
  }, 0);
}

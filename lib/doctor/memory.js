/**
 * Checks of memory and processors: how much there is, how much the control groups of this process
 * allow, and what happens when it runs out.
 */
import { bytesInWords, note, ok, roomFor, warning } from './findings.js';

/** @typedef {import('./facts.js').Facts} Facts */
/** @typedef {import('./findings.js').Finding} Finding */

/**
 * Resident memory of the smallest tenant, `bun run start` (12 MB) and its `Bun.serve` (31 MB),
 * with Bun 1.4 on x64. Most of that is the program itself, which all tenants share, so more
 * tenants of this size would fit; but an application that has loaded a framework uses that much on
 * its own.
 */
const TENANT_BYTES = 43 * 2 ** 20;
const EXEMPT_FROM_OOM = -1000;
/** From this share of a minute on, in per cent, a start takes noticeably longer. */
const MUCH_WAITING = 20;

/** @param {Facts} facts @param {number} planned @returns {Finding} */
export function memory({ memory: machine, groups }, planned) {
  const group = groups.memory;
  const each = '43 MB, as an idle hello-world does; measure yours';
  const advice =
    'add memory, plan fewer tenants (maxConcurrent), or stop them sooner (idleAfterMs)';
  if (group !== undefined && group.freeBytes < (machine?.availableBytes ?? Infinity)) {
    const found = `${bytesInWords(group.freeBytes)} free of ${bytesInWords(group.limitBytes)} (${group.path})`;
    return roomFor('memory', {
      found,
      tenants: group.freeBytes / TENANT_BYTES,
      planned,
      each,
      advice,
    });
  }
  if (machine === undefined) return note('memory', 'unknown', '/proc/meminfo cannot be read');
  const { availableBytes, totalBytes } = machine;
  const found = `${bytesInWords(availableBytes)} free of ${bytesInWords(totalBytes)}`;
  return roomFor('memory', {
    found,
    tenants: availableBytes / TENANT_BYTES,
    planned,
    each,
    advice,
  });
}

/** What happens when memory runs out. @param {Facts} facts @returns {Finding} */
export function shortage({ groups }) {
  const { hasV1, hasV2, memory: limit, killedAsOne: whole } = groups;
  const version = [hasV1 ? 'v1' : [], hasV2 ? 'v2' : []].flat().join(' and ');
  const found = `cgroup ${version || 'none'}, ${limit ? `memory limit ${bytesInWords(limit.limitBytes)}` : 'no memory limit'}`;
  if (whole !== undefined) {
    const means = 'when it runs out the kernel kills all of it at once: the host with every tenant';
    const advice = `set memory.oom.group of ${whole} to 0 (OOMPolicy=continue in a systemd unit)`;
    return warning('out of memory', `${found}, killed as one`, means, advice);
  }
  if (limit !== undefined) {
    const means =
      'host and tenants share it; when it runs out the kernel kills one of them, mostly the largest';
    return ok('out of memory', found, means);
  }
  const means =
    'a tenant that grows takes memory from everything on this machine, the host included';
  const advice =
    'give the host and its tenants a limit: MemoryMax= of a systemd unit, --memory of a container';
  return note('out of memory', found, means, advice);
}

/** Tenants inherit the score. @param {Facts} facts @returns {Finding[]} */
export function oomScore({ process }) {
  const score = process.oomScoreAdj;
  if (score === 0) return [];
  if (score === EXEMPT_FROM_OOM) {
    const means =
      'tenants inherit it, so none of them can be killed when memory runs out: something else is';
    return [
      warning(
        'oom_score_adj',
        `${score}`,
        means,
        'give the host a value above -1000 (OOMScoreAdjust=)',
      ),
    ];
  }
  const means = `host and tenants alike are ${score > 0 ? 'more' : 'less'} likely to be killed when memory runs out`;
  return [note('oom_score_adj', `${score}`, means)];
}

/** @param {Facts} facts @returns {Finding} */
export function swap({ swaps, groups }) {
  if (swaps.length === 0) {
    const means = 'pages of idle tenants stay in memory';
    return note('swap', 'none', means, 'zram or a swap file lets more idle tenants fit');
  }
  const names = swaps.join(', ');
  const denying = groups.withoutSwap;
  if (denying !== undefined) {
    const advice = 'raise it: MemorySwapMax= of a systemd unit, --memory-swap of a container';
    return note(
      'swap',
      `${names}, but not for this group`,
      `memory.swap.max of ${denying} is 0`,
      advice,
    );
  }
  const means = names.includes('zram')
    ? 'idle tenants are kept compressed'
    : 'idle tenants can be swapped out; waking them takes longer';
  return ok('swap', names, means);
}

/** @param {Facts} facts @param {number} cores that this process may use @returns {Finding} */
export function processors({ groups }, cores) {
  const limit = groups.cpu;
  if (limit !== undefined && limit.cores < cores) {
    const found = `${cores} cores, of which ${Number(limit.cores.toFixed(2))} may be used (${limit.path})`;
    if (limit.cores >= 1)
      return ok('processors', found, 'starts at once (spawnConcurrency) are chosen by that');
    const means = 'host and tenants stand still together whenever the share of a period is used up';
    return warning(
      'processors',
      found,
      means,
      'give it one core at least: CPUQuota= of a systemd unit, --cpus of a container',
    );
  }
  return ok('processors', `${cores} cores`, 'starts at once (spawnConcurrency) are chosen by that');
}

/** None where the kernel does not count pressure. @param {Facts} facts @returns {Finding[]} */
export function pressure({ pressure }) {
  const waits = Object.entries(pressure).flatMap(([resource, stall]) =>
    stall === undefined ? [] : [{ resource, share: stall.some[1] ?? 0 }],
  );
  if (waits.length === 0) return [];
  const found = waits.map(({ resource, share }) => `${resource} ${share.toFixed(0)} %`).join(', ');
  if (waits.every(({ share }) => share < MUCH_WAITING)) {
    return [ok('pressure', found, 'so much of the last minute some program waited for it')];
  }
  const means =
    'some program waited so much of the last minute; tenants start and answer more slowly meanwhile';
  return [note('pressure', found, means, 'look what else runs here, or plan fewer tenants')];
}

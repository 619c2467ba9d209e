/** Memory and processors: what there is, what this process's control groups leave of it, and what happens at the end of it. */
import { cgroupVersion, cpuLimit, groupKilledAtOnce, groupWithoutSwap, memoryLimit } from './cgroups.js';
import { bytesInWords, note, ok, roomFor, warning } from './findings.js';

/** @typedef {import('./host.js').Host} Host */
/** @typedef {import('./findings.js').Finding} Finding */

/**
 * Resident memory of the smallest tenant, `bun run start` (12 MB) and its `Bun.serve` (31 MB), with Bun 1.4 on x64.
 * Most of that is the program itself, which all tenants share, so more of these would fit; but an application that has
 * loaded a framework takes as much for itself.
 */
const TENANT_BYTES = 43 * 2 ** 20;
const EXEMPT_FROM_OOM = -1000;

/** @param {Host} host @param {number} planned @returns {Finding} */
export function memory(host, planned) {
  const machine = meminfo(host);
  const group = memoryLimit(host);
  const each = '43 MB, as an idle hello-world does; measure yours';
  const advice = 'add memory, plan fewer tenants (maxConcurrent), or stop them sooner (idleAfterMs)';
  if (group !== undefined && group.freeBytes < machine.availableBytes) {
    const found = `${bytesInWords(group.freeBytes)} free of ${bytesInWords(group.limitBytes)} (${group.path})`;
    return roomFor('memory', { found, tenants: group.freeBytes / TENANT_BYTES, planned, each, advice });
  }
  const { availableBytes, totalBytes } = machine;
  if (!Number.isFinite(availableBytes)) return note('memory', 'unknown', '/proc/meminfo cannot be read');
  const found = `${bytesInWords(availableBytes)} free of ${bytesInWords(totalBytes)}`;
  return roomFor('memory', { found, tenants: availableBytes / TENANT_BYTES, planned, each, advice });
}

/** What happens when memory runs out. @param {Host} host @returns {Finding} */
export function shortage(host) {
  const version = cgroupVersion(host);
  const limit = memoryLimit(host);
  const found = `cgroup ${version ?? 'none'}, ${limit ? `memory limit ${bytesInWords(limit.limitBytes)}` : 'no memory limit'}`;
  const whole = groupKilledAtOnce(host);
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
  const means = 'a tenant that grows takes memory from everything on this machine, the host included';
  const advice =
    'give the host and its tenants a limit: MemoryMax= of a systemd unit, --memory of a container';
  return note('out of memory', found, means, advice);
}

/** Tenants inherit it. @param {Host} host @returns {Finding[]} */
export function oomScore(host) {
  const score = Number(host.read('/proc/self/oom_score_adj')?.trim() ?? 0);
  if (score === 0) return [];
  if (score === EXEMPT_FROM_OOM) {
    const means = 'tenants inherit it, so none of them can be killed when memory runs out: something else is';
    return [
      warning('oom_score_adj', `${score}`, means, 'give the host a value above -1000 (OOMScoreAdjust=)'),
    ];
  }
  const means = `host and tenants alike are ${score > 0 ? 'more' : 'less'} likely to be killed when memory runs out`;
  return [note('oom_score_adj', `${score}`, means)];
}

/** @param {Host} host @returns {Finding} */
export function swap(host) {
  const [, ...areas] = (host.read('/proc/swaps') ?? '').trim().split('\n');
  if (areas.length === 0) {
    const means = 'pages of idle tenants stay in memory';
    return note('swap', 'none', means, 'zram or a swap file lets more idle tenants fit');
  }
  const names = areas.map((area) => area.split(/\s+/, 1)[0]).join(', ');
  const denying = groupWithoutSwap(host);
  if (denying !== undefined) {
    const advice = 'raise it: MemorySwapMax= of a systemd unit, --memory-swap of a container';
    return note('swap', `${names}, but not for this group`, `memory.swap.max of ${denying} is 0`, advice);
  }
  const means = names.includes('zram')
    ? 'idle tenants are kept compressed'
    : 'idle tenants can be swapped out; waking them takes longer';
  return ok('swap', names, means);
}

/** @param {Host} host @returns {Finding} */
export function processors(host) {
  const limit = cpuLimit(host);
  if (limit !== undefined && limit.cores < host.cores) {
    const found = `${host.cores} cores, of which ${Number(limit.cores.toFixed(2))} may be used (${limit.path})`;
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
  return ok('processors', `${host.cores} cores`, 'starts at once (spawnConcurrency) are chosen by that');
}

/** @param {Host} host */
function meminfo(host) {
  const text = host.read('/proc/meminfo') ?? '';
  const bytes = (/** @type {string} */ name) =>
    Number(new RegExp(`^${name}:\\s*(\\d+) kB$`, 'm').exec(text)?.[1] ?? Infinity) * 1024;
  return { totalBytes: bytes('MemTotal'), availableBytes: bytes('MemAvailable') };
}

/**
 * The control groups that this process is in: its own and those above it, version 1 or 2. A limit of any of them holds,
 * so what counts is the narrowest.
 */

/** @typedef {import('./host.js').Host} Host */

/**
 * @typedef {object} Group a directory of the control groups' file system
 * @property {string} path
 * @property {1 | 2} version
 */

/** @typedef {{ limitBytes: number, freeBytes: number, path: string }} MemoryLimit */
/** @typedef {{ limit: number, used: number, path: string }} TaskLimit */

/** Version 1 writes "no limit" as a number near 2^63. */
const ENDLESS_BYTES = 2 ** 60;

/**
 * Which versions the host has mounted.
 *
 * @param {Host} host
 * @returns {'v1' | 'v2' | 'v1 and v2' | undefined}
 */
export function cgroupVersion(host) {
  const mounts = cgroupMounts(host);
  const hasV1 = mounts.some(({ type }) => type === 'cgroup');
  const hasV2 = mounts.some(({ type }) => type === 'cgroup2');
  if (hasV1 && hasV2) return 'v1 and v2';
  return hasV1 ? 'v1' : hasV2 ? 'v2' : undefined;
}

/** @param {Host} host @returns {MemoryLimit | undefined} the one with the least room left */
export function memoryLimit(host) {
  const limits = groupsOf(host, 'memory').flatMap(({ path, version }) => {
    const [limitFile, usedFile, reclaimable] =
      version === 2
        ? ['memory.max', 'memory.current', 'inactive_file']
        : ['memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file'];
    const limitBytes = numberIn(host, `${path}/${limitFile}`);
    if (limitBytes === undefined || limitBytes >= ENDLESS_BYTES) return [];
    // Files that nobody has used for a while are counted as used, but make room at once.
    const stat = host.read(`${path}/memory.stat`) ?? '';
    const reclaimableBytes = Number(new RegExp(`^${reclaimable} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0);
    const usedBytes = (numberIn(host, `${path}/${usedFile}`) ?? 0) - reclaimableBytes;
    return [{ limitBytes, freeBytes: Math.max(0, limitBytes - Math.max(0, usedBytes)), path }];
  });
  return least(limits, ({ freeBytes }) => freeBytes);
}

/** @param {Host} host @returns {TaskLimit | undefined} of processes and threads together */
export function taskLimit(host) {
  const limits = groupsOf(host, 'pids').flatMap(({ path }) => {
    const limit = numberIn(host, `${path}/pids.max`);
    if (limit === undefined) return [];
    return [{ limit, used: numberIn(host, `${path}/pids.current`) ?? 0, path }];
  });
  return least(limits, ({ limit, used }) => limit - used);
}

/** @param {Host} host @returns {{ cores: number, path: string } | undefined} */
export function cpuLimit(host) {
  const limits = groupsOf(host, 'cpu').flatMap(({ path, version }) => {
    const [quota, period] =
      version === 2
        ? (host.read(`${path}/cpu.max`) ?? '').trim().split(' ').map(Number)
        : [numberIn(host, `${path}/cpu.cfs_quota_us`), numberIn(host, `${path}/cpu.cfs_period_us`)];
    const cores = (quota ?? NaN) / (period ?? NaN);
    return cores > 0 ? [{ cores, path }] : [];
  });
  return least(limits, ({ cores }) => cores);
}

/** @param {Host} host @returns {string | undefined} the group that the kernel kills as a whole when memory is short */
export function groupKilledAtOnce(host) {
  const groups = groupsOf(host, 'memory').filter(({ version }) => version === 2);
  return groups.find(({ path }) => host.read(`${path}/memory.oom.group`)?.trim() === '1')?.path;
}

/** @param {Host} host @returns {string | undefined} a group that may not use swap */
export function groupWithoutSwap(host) {
  const groups = groupsOf(host, 'memory').filter(({ version }) => version === 2);
  return groups.find(({ path }) => host.read(`${path}/memory.swap.max`)?.trim() === '0')?.path;
}

/**
 * The group that controls a resource, and those above it as far as they can be seen; the own one first.
 *
 * @param {Host} host
 * @param {string} controller
 * @returns {Group[]}
 */
function groupsOf(host, controller) {
  const mounts = cgroupMounts(host);
  const v1 = mounts.find(({ type, options }) => type === 'cgroup' && options.includes(controller));
  const mount = v1 ?? mounts.find(({ type }) => type === 'cgroup2');
  const own = ownPath(host, v1 && controller);
  if (mount === undefined || own === undefined) return [];
  const segments = below(mount.root, own).split('/').filter(Boolean);
  const version = v1 ? 1 : 2;
  return Array.from({ length: segments.length + 1 }, (_, above) => ({
    path: [mount.point, ...segments.slice(0, segments.length - above)].join('/'),
    version,
  }));
}

/**
 * A line of `/proc/self/cgroup` is `4:memory,hugetlb:/path`, and `0::/path` for version 2.
 *
 * @param {Host} host
 * @param {string | undefined} controller undefined for version 2
 */
function ownPath(host, controller) {
  const lines = (host.read('/proc/self/cgroup') ?? '').split('\n').map((line) => line.split(':'));
  const line = lines.find(([id, controllers = '']) =>
    controller === undefined ? id === '0' : controllers.split(',').includes(controller),
  );
  return line?.slice(2).join(':');
}

/** In a container the mount may begin at its own group, whose path may be outside of what can be seen. */
const below = (/** @type {string} */ mountRoot, /** @type {string} */ path) => {
  if (path.startsWith('/..')) return '';
  if (mountRoot === '/') return path;
  return path.startsWith(mountRoot) ? path.slice(mountRoot.length) : '';
};

/**
 * A line of `/proc/self/mountinfo` is `31 23 0:26 <root> <mount point> <options> … - <type> <source> <more options>`.
 *
 * @param {Host} host
 * @returns {{ root: string, point: string, type: string, options: string[] }[]}
 */
function cgroupMounts(host) {
  return (host.read('/proc/self/mountinfo') ?? '').split('\n').flatMap((line) => {
    const [, , , root = '', point = '', ...rest] = line.split(' ');
    const [type = '', , options = ''] = rest.slice(rest.indexOf('-') + 1);
    return /^cgroup2?$/.test(type) ? [{ root, point, type, options: options.split(',') }] : [];
  });
}

/** @param {Host} host @param {string} path @returns {number | undefined} also for `max`, which is no limit */
function numberIn(host, path) {
  const text = host.read(path)?.trim();
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** @template T @param {T[]} items @param {(item: T) => number} measure @returns {T | undefined} */
const least = (items, measure) => items.toSorted((a, b) => measure(a) - measure(b))[0];

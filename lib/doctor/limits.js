/** What there is a limited number of: descriptors, processes and ports, and how many tenants that is. */
import { taskLimit } from './cgroups.js';
import { inWords, note, ok, roomFor, warning } from './findings.js';

/** @typedef {import('./host.js').Host} Host */
/** @typedef {import('./findings.js').Finding} Finding */

/** Its port, the ends of the two pipes that its output comes through, and its process. */
const DESCRIPTORS_IN_HOST = 4;
/** The engine's own, ports in stock, starts under way, and some requests that are being passed on. */
const DESCRIPTORS_OF_HOST = 256;
/** The host's four, the warden's one, and what an idle `bun run start`, its server and its keeper have open. */
const DESCRIPTORS_IN_ALL = 20;
/** The keeper, `bun run`, and a server with three threads are five; a server at work makes some more. */
const TASKS = 10;
/** What a server may ask for, and Bun does. */
const USUAL_BACKLOG = 512;

/** @param {Host} host @param {number} planned @returns {Finding} */
export function openFiles(host, planned) {
  const { soft, hard } = limitOf(host, 'Max open files');
  const found = soft === hard ? inWords(soft) : `${inWords(soft)} (at most ${inWords(hard)})`;
  const tenants = (soft - DESCRIPTORS_OF_HOST) / DESCRIPTORS_IN_HOST;
  const each = `${DESCRIPTORS_IN_HOST} of the host's, which keeps ${DESCRIPTORS_OF_HOST} for itself`;
  const advice = 'raise it: LimitNOFILE= of a systemd unit, --ulimit nofile= of a container, or ulimit -n';
  return roomFor('open files', { found, tenants, planned, each, advice });
}

/** @param {Host} host @param {number} planned @returns {Finding[]} */
export function fileTable(host, planned) {
  const [used, , most] = numbersIn(host, '/proc/sys/fs/file-nr');
  if (used === undefined || most === undefined) return [];
  const found = `${inWords(most)} on this machine, ${inWords(used)} in use`;
  const each = `about ${DESCRIPTORS_IN_ALL}, in all its processes`;
  const advice = 'raise it: sysctl fs.file-max';
  return [
    roomFor('file table', { found, tenants: (most - used) / DESCRIPTORS_IN_ALL, planned, each, advice }),
  ];
}

/** Threads count as much as processes do. @param {Host} host @param {number} planned @returns {Finding} */
export function processes(host, planned) {
  const limits = taskLimits(host);
  const narrowest = limits.toSorted((a, b) => a.free - b.free)[0];
  if (narrowest === undefined)
    return note('processes', 'no limit can be read', 'tenants start until there are none left');
  const each = `about ${TASKS} processes and threads`;
  const { found, free, advice } = narrowest;
  return roomFor('processes', { found, tenants: free / TASKS, planned, each, advice });
}

/** @param {Host} host @returns {{ found: string, free: number, advice: string }[]} */
function taskLimits(host) {
  const limits = [];
  const inUse = Number(/\/(\d+) /.exec(host.read('/proc/loadavg') ?? '')?.[1] ?? 0);
  for (const name of ['pid_max', 'threads-max']) {
    const [most] = numbersIn(host, `/proc/sys/kernel/${name}`);
    if (most === undefined) continue;
    const found = `${inWords(most)} (kernel.${name}), ${inWords(inUse)} in use`;
    limits.push({ found, free: most - inUse, advice: `raise it: sysctl kernel.${name}` });
  }
  const group = taskLimit(host);
  if (group !== undefined) {
    const found = `${inWords(group.limit)} (pids.max of ${group.path}), ${inWords(group.used)} in use`;
    const advice = 'raise it: TasksMax= of a systemd unit, --pids-limit of a container';
    limits.push({ found, free: group.limit - group.used, advice });
  }
  // Root is not held to it. What the user has in use elsewhere cannot be seen cheaply.
  const { soft } = limitOf(host, 'Max processes');
  if (host.uid !== 0) {
    const found = `${inWords(soft)} of this user (ulimit -u), other programs' included`;
    limits.push({ found, free: soft, advice: 'raise it: LimitNPROC= of a systemd unit, or ulimit -u' });
  }
  return limits;
}

/** @param {Host} host @param {number} planned @returns {Finding[]} */
export function ports(host, planned) {
  const [first = 32_768, last = 60_999] = numbersIn(host, '/proc/sys/net/ipv4/ip_local_port_range');
  const reserved = reservedBetween(host, first, last);
  const found = `${first} to ${last}${reserved === 0 ? '' : `, ${inWords(reserved)} of them reserved`}`;
  const advice = 'widen it: sysctl net.ipv4.ip_local_port_range';
  const each = 'one; outgoing connections use them too';
  return [roomFor('ports', { found, tenants: last - first + 1 - reserved, planned, each, advice })];
}

/** Ports of the range that tenants are not given. @param {Host} host @param {number} first @param {number} last */
function reservedBetween(host, first, last) {
  const ranges = (host.read('/proc/sys/net/ipv4/ip_local_reserved_ports') ?? '').trim().split(',');
  const inside = ranges.filter(Boolean).map((range) => {
    const [from = 0, to = from] = range.split('-').map(Number);
    return Math.max(Math.min(to, last) - Math.max(from, first) + 1, 0);
  });
  return inside.reduce((sum, count) => sum + count, 0);
}

/** @param {Host} host @returns {Finding[]} */
export function backlog(host) {
  const [most] = numbersIn(host, '/proc/sys/net/core/somaxconn');
  if (most === undefined) return [];
  if (most >= USUAL_BACKLOG)
    return [ok('listen backlog', `${inWords(most)}`, 'bursts of connections wait for a tenant')];
  const means = `a burst of more than ${most} connections to one tenant is refused in part`;
  return [note('listen backlog', `${most}`, means, 'raise it: sysctl net.core.somaxconn')];
}

/**
 * A row of `/proc/self/limits`: its name, the soft and the hard limit. A limit that cannot be read is none.
 *
 * @param {Host} host
 * @param {string} name
 */
function limitOf(host, name) {
  const row = (host.read('/proc/self/limits') ?? '').split('\n').find((line) => line.startsWith(name));
  const [soft, hard] = (row?.slice(name.length).trim().split(/\s+/) ?? []).map((text) =>
    text === 'unlimited' ? Infinity : Number(text),
  );
  return { soft: soft ?? Infinity, hard: hard ?? Infinity };
}

/** @param {Host} host @param {string} path @returns {number[]} */
function numbersIn(host, path) {
  const text = host.read(path)?.trim() ?? '';
  return text === '' ? [] : text.split(/\s+/).map(Number);
}

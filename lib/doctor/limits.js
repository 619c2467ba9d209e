/**
 * Checks of limited resources: descriptors, processes and ports, and how many tenants they suffice
 * for.
 */
import { inWords, note, ok, roomFor, warning } from './findings.js';

/** @typedef {import('./facts.js').Facts} Facts */
/** @typedef {import('./findings.js').Finding} Finding */

/** For each tenant: its port, the read ends of its two output pipes, and its pidfd. */
const DESCRIPTORS_IN_HOST = 4;
/**
 * The engine's own, ports in stock, starts under way, and some requests that are being proxied.
 */
const DESCRIPTORS_OF_HOST = 256;
/**
 * For each tenant: the host's four, the warden's one, and what an idle `bun run start`, its server
 * and its keeper have open.
 */
const DESCRIPTORS_IN_ALL = 20;
/**
 * The keeper, `bun run`, and a server with three threads are five; a server at work makes some
 * more.
 */
const TASKS = 10;
/** The backlog that Bun asks for. */
const USUAL_BACKLOG = 512;

/** @param {Facts} facts @param {number} planned @returns {Finding} */
export function openFiles({ process }, planned) {
  const { soft, hard } = process.openFiles;
  const found = soft === hard ? inWords(soft) : `${inWords(soft)} (at most ${inWords(hard)})`;
  const tenants = (soft - DESCRIPTORS_OF_HOST) / DESCRIPTORS_IN_HOST;
  const each = `${DESCRIPTORS_IN_HOST} of the host's, which keeps ${DESCRIPTORS_OF_HOST} for itself`;
  const advice =
    'raise it: LimitNOFILE= of a systemd unit, --ulimit nofile= of a container, or ulimit -n';
  return roomFor('open files', { found, tenants, planned, each, advice });
}

/** @param {Facts} facts @param {number} planned @returns {Finding[]} */
export function fileTable({ machine }, planned) {
  const { openFiles: used, openFilesMax: most } = machine;
  if (used === undefined || most === undefined) return [];
  const found = `${inWords(most)} on this machine, ${inWords(used)} in use`;
  const each = `about ${DESCRIPTORS_IN_ALL}, in all its processes`;
  const advice = 'raise it: sysctl fs.file-max';
  return [
    roomFor('file table', {
      found,
      tenants: (most - used) / DESCRIPTORS_IN_ALL,
      planned,
      each,
      advice,
    }),
  ];
}

/**
 * The limit counts threads as well as processes. @param {Facts} facts @param {number} uid @param
 * {number} planned @returns {Finding}
 */
export function processes(facts, uid, planned) {
  const limits = taskLimits(facts, uid);
  const narrowest = limits.toSorted((a, b) => a.free - b.free)[0];
  if (narrowest === undefined)
    return note('processes', 'no limit can be read', 'tenants start until there are none left');
  const each = `about ${TASKS} processes and threads`;
  const { found, free, advice } = narrowest;
  return roomFor('processes', { found, tenants: free / TASKS, planned, each, advice });
}

/**
 * @param {Facts} facts @param {number} uid @returns {{ found: string, free: number, advice: string
 * }[]}
 */
function taskLimits({ machine, process, groups }, uid) {
  const limits = [];
  const { tasks: inUse = 0, pidMax, threadsMax } = machine;
  for (const [name, most] of Object.entries({ pid_max: pidMax, 'threads-max': threadsMax })) {
    if (most === undefined) continue;
    const found = `${inWords(most)} (kernel.${name}), ${inWords(inUse)} in use`;
    limits.push({ found, free: most - inUse, advice: `raise it: sysctl kernel.${name}` });
  }
  const group = groups.tasks;
  if (group !== undefined) {
    const found = `${inWords(group.limit)} (pids.max of ${group.path}), ${inWords(group.used)} in use`;
    const advice = 'raise it: TasksMax= of a systemd unit, --pids-limit of a container';
    limits.push({ found, free: group.limit - group.used, advice });
  }
  // The limit does not hold for root. How much of it the user's other processes use cannot be read
  // cheaply.
  const { soft } = process.processes;
  if (uid !== 0) {
    const found = `${inWords(soft)} of this user (ulimit -u), other programs' included`;
    limits.push({
      found,
      free: soft,
      advice: 'raise it: LimitNPROC= of a systemd unit, or ulimit -u',
    });
  }
  return limits;
}

/** @param {Facts} facts @param {number} planned @returns {Finding[]} */
export function ports({ machine }, planned) {
  const { first, last, reserved } = machine.ports;
  const found = `${first} to ${last}${reserved === 0 ? '' : `, ${inWords(reserved)} of them reserved`}`;
  const advice = 'widen it: sysctl net.ipv4.ip_local_port_range';
  const each = 'one; outgoing connections use them too';
  return [roomFor('ports', { found, tenants: last - first + 1 - reserved, planned, each, advice })];
}

/** @param {Facts} facts @returns {Finding[]} */
export function backlog({ machine }) {
  const most = machine.backlogMax;
  if (most === undefined) return [];
  if (most >= USUAL_BACKLOG)
    return [ok('listen backlog', `${inWords(most)}`, 'bursts of connections wait for a tenant')];
  const means = `a burst of more than ${most} connections to one tenant is refused in part`;
  return [note('listen backlog', `${most}`, means, 'raise it: sysctl net.core.somaxconn')];
}

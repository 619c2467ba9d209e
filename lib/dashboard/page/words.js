// What the host tells, in people's words.
import { bytes, count, duration, hostNow, inTime } from './format.js';

/** @typedef {import('./shapes.js').Tenant} Tenant */

/** @type {Record<string, string>} */
const STATES = {
  failed: 'Failed',
  'backing-off': 'Backing off',
  starting: 'Starting',
  stopping: 'Stopping',
  running: 'Running',
  asleep: 'Asleep',
  stopped: 'Stopped',
};
/** A rank below this is a problem. */
const FIRST_WELL = 4;

/** How deep one sleeps. @type {Record<string, string>} */
const DEPTHS = { frozen: 'frozen', 'paged-out': 'paged out' };

/** @param {Tenant} tenant @param {boolean} isOld whether the host is gone */
export function stateWord({ state, depth }, isOld) {
  const how = depth ? `, ${DEPTHS[depth] ?? depth}` : '';
  const word = `${STATES[state] ?? state}${how}`;
  return isOld ? `Was ${word.toLowerCase()}` : word;
}

/** @param {Tenant} tenant */
export const memoryShare = ({ rssBytes, memoryLimitBytes }) =>
  rssBytes !== null && memoryLimitBytes ? rssBytes / memoryLimitBytes : null;

/** How bad it is; 0 is the worst. @param {Tenant} tenant */
export const rankOf = ({ rank }) => rank;

/** @param {Tenant} tenant */
export const isProblem = (tenant) => rankOf(tenant) < FIRST_WELL;

/** One line on what is wrong with it; empty if nothing is. @param {Tenant} tenant */
export function trouble(tenant) {
  const { state, problem, retryAt, waiting } = tenant;
  const parts = problem === null ? [] : [problem.summary];
  if (state === 'backing-off' && retryAt !== null && retryAt > hostNow()) {
    parts.push(`may start again ${inTime(retryAt)}`);
  }
  if (waiting > 0)
    parts.push(`${count(waiting)} ${waiting === 1 ? 'request waits' : 'requests wait'}`);
  return parts.join(' · ');
}

/** How it is, as a sentence. @param {Tenant} tenant @param {boolean} isOld */
export function sentence(tenant, isOld) {
  const { state, startedAt, starts, retryAt } = tenant;
  const word = stateWord(tenant, isOld);
  if (state === 'running' && startedAt !== null) {
    return isOld ? word : `${word} for ${duration(hostNow() - startedAt)}`;
  }
  if (state === 'asleep') return isOld ? word : `${word}, until it is used again`;
  if (state === 'stopped')
    return starts === 0 ? `${word}, never started` : `${word}, until the next request`;
  if (state === 'backing-off' && retryAt !== null && retryAt > hostNow()) {
    return `${word}, starts are refused for ${duration(retryAt - hostNow())} more`;
  }
  return word;
}

/**
 * What limits are called, and how their values read.
 * @type {Record<string, [name: string, (value: number) => string]>}
 */
const LIMITS = {
  memoryBytes: ['Memory', bytes],
  swapBytes: ['Swap', bytes],
  cpus: ['Processors', (value) => `${value}`],
  cpuWeight: ['Share of processors', count],
  processes: ['Processes and threads', count],
  openFiles: ['Open files a process', count],
  fileBytes: ['Size of a file', bytes],
};

/** @typedef {[name: string, value: string, raw: string]} Row with the field as the host tells it */

/** @param {Tenant['limits']} limits @returns {Row[]} */
export const limitRows = (limits) =>
  Object.entries(limits).map(([name, { value, by }]) => limitRow({ name, value, by }));

/** @param {{ name: string, value: number, by: string }} limit @returns {Row} */
export function limitRow({ name, value, by }) {
  const [word, read] = LIMITS[name] ?? [name, count];
  const kept = by === 'none' ? ', which nothing here keeps' : '';
  return [word, `${read(value)}${kept}`, `limits.${name}: ${value}, by ${by}`];
}

/** What a host cannot keep of walls. @type {Record<string, string>} */
const WALLS = {
  files: 'files of others',
  truncate: 'truncating files of others',
  ports: 'ports of others',
  signals: 'signals to others',
  'abstract-sockets': 'abstract sockets of others',
  'system-calls': 'dangerous system calls',
  user: 'a user of its own',
};

/**
 * @param {{ landlock: number | null, seccomp: boolean, user?: number | null, missing?: string[] }
 *   | null} isolation of a tenant, or of all that the host will start
 * @returns {Row[]}
 */
export function wallRows(isolation) {
  if (!isolation) return [['Walls', 'none', 'isolation: null']];
  const { landlock, seccomp, user, missing = [] } = isolation;
  /** @type {Row[]} */
  const rows = [
    [
      'Files and ports',
      landlock === null ? 'open' : 'only its own',
      `isolation.landlock: ${landlock}`,
    ],
    ['System calls', seccomp ? 'those of web apps' : 'all', `isolation.seccomp: ${seccomp}`],
  ];
  if (user !== undefined) {
    rows.push([
      'User',
      user === null ? 'that of the host' : `${user}, its own`,
      `isolation.user: ${user}`,
    ]);
  }
  if (missing.length > 0) {
    const words = missing.map((name) => WALLS[name] ?? name).join(', ');
    rows.push(['Not kept here', words, `isolation.missing: ${missing.join(', ')}`]);
  }
  return rows;
}

// The columns of the table of tenants.
import { createSparkline } from './chart.js';
import { h, put, textNode } from './dom.js';
import { bytes, count, hostNow, milliseconds, percent, rate, roughly } from './format.js';
import { plain } from './plain.js';
import { createBar } from './room.js';
import { isProblem, memoryShare, rankOf, stateWord, trouble } from './words.js';

/** @typedef {import('./shapes.js').Tenant} Tenant */

/**
 * @typedef {object} Column
 * @property {string} id its class, too
 * @property {string} name
 * @property {(tenant: Tenant) => number | string | null} value to sort by
 * @property {boolean} [isUp] sorted with the smallest first, unless it is turned round
 * @property {(cell: HTMLElement) => (tenant: Tenant, isOld: boolean) => void} make
 * @property {(tenant: Tenant) => string} raw what the host tells, for the pointer
 */

/** @type {Column[]} */
export const COLUMNS = [
  {
    id: 'tenant',
    name: 'Tenant',
    value: ({ key }) => key,
    isUp: true,
    make: makeTenant,
    raw: (tenant) => {
      const { key, pid, address } = tenant;
      const fields = `key ${plain(key)}, pid ${pid}, address ${address}`;
      return [plain(trouble(tenant)), fields].filter(Boolean).join('\n');
    },
  },
  {
    id: 'state',
    name: 'State',
    value: rankOf,
    isUp: true,
    make: makeState,
    raw: ({ state, depth, attempt, retryAt }) =>
      `state ${state}, depth ${depth}, attempt ${attempt}, retryAt ${retryAt}`,
  },
  {
    id: 'requests',
    name: 'Requests/s',
    value: ({ requestsPerSecond }) => requestsPerSecond,
    make: makeRequests,
    raw: ({ requests, requestsPerSecond }) =>
      `requestsPerSecond ${requestsPerSecond}, requests ${requests}`,
  },
  {
    id: 'answer',
    name: 'Answers in',
    value: ({ p99Ms }) => p99Ms,
    make: texts(({ p50Ms, p99Ms }) =>
      p50Ms === null ? '–' : spanOf(milliseconds(p50Ms), milliseconds(p99Ms)),
    ),
    raw: ({ p50Ms, p99Ms }) =>
      `half of the last minute's answers, and 99 of 100: p50Ms ${p50Ms}, p99Ms ${p99Ms}`,
  },
  {
    id: 'flight',
    name: 'Under way',
    value: ({ inFlight, waiting }) => inFlight + waiting,
    make: texts(({ inFlight, pid }) => (pid === null ? '–' : count(inFlight))),
    raw: ({ inFlight, waiting }) => `inFlight ${inFlight}, waiting ${waiting}`,
  },
  {
    id: 'cpu',
    name: 'CPU',
    value: ({ cpuPercent }) => cpuPercent,
    make: texts(({ cpuPercent }) => percent(cpuPercent)),
    raw: ({ cpuPercent, cpuMs }) => `cpuPercent ${cpuPercent} of one processor, cpuMs ${cpuMs}`,
  },
  {
    id: 'memory',
    name: 'Memory',
    value: ({ rssBytes }) => rssBytes,
    make: makeMemory,
    raw: ({ rssBytes, memoryLimitBytes }) =>
      `rssBytes ${rssBytes}, memoryLimitBytes ${memoryLimitBytes}`,
  },
  {
    id: 'starts',
    name: 'Starts',
    value: ({ starts }) => starts,
    make: texts(({ starts, crashes }) =>
      crashes === 0 ? count(starts) : `${count(starts)}, crashed ${count(crashes)}`,
    ),
    raw: ({ starts, crashes, exits }) => `starts ${starts}, crashes ${crashes}, exits ${exits}`,
  },
  {
    id: 'up',
    name: 'Up for',
    value: ({ startedAt }) => (startedAt === null ? null : hostNow() - startedAt),
    make: texts(({ startedAt }, isOld) =>
      roughly(startedAt === null || isOld ? null : hostNow() - startedAt),
    ),
    raw: ({ startedAt }) => `startedAt ${startedAt}`,
  },
];

/** The unit once. @param {string} from @param {string} to */
const spanOf = (from, to) => `${from.replace(/ ms$/, '')} – ${to}`;

/** @param {(tenant: Tenant, isOld: boolean) => string} read @returns {Column['make']} */
function texts(read) {
  return (cell) => {
    const text = textNode();
    cell.append(text);
    return (tenant, isOld) => put(text, read(tenant, isOld));
  };
}

/** @param {string} key */
export const pathOf = (key) => `#/tenants/${encodeURIComponent(key)}`;

/** @type {Column['make']} */
function makeTenant(cell) {
  const name = textNode();
  const more = textNode();
  const link = h('a', {}, h('bdi', {}, name));
  const sub = h('span', { class: 'sub' }, h('bdi', {}, more));
  const mark = createMark();
  cell.append(mark.element, link, sub);
  let key = '';
  return (tenant, isOld) => {
    if (tenant.key !== key) {
      key = tenant.key;
      put(name, plain(key));
      link.setAttribute('href', pathOf(key));
    }
    const text = plain(trouble(tenant));
    put(more, text);
    sub.hidden = text === '';
    mark.show(tenant, isOld);
  };
}

/** @type {Column['make']} */
function makeState(cell) {
  const word = textNode();
  const mark = createMark();
  cell.append(mark.element, word);
  return (tenant, isOld) => {
    put(word, stateWord(tenant, isOld));
    mark.show(tenant, isOld);
  };
}

/** A state as a shape, beside its word. */
export function createMark() {
  const element = h('span', { class: 'mark', 'aria-hidden': 'true' });

  /** @param {Tenant} tenant @param {boolean} isOld */
  function show(tenant, isOld) {
    const now = isOld ? 'old' : tenant.state;
    if (element.dataset.state !== now) element.dataset.state = now;
  }

  return { element, show };
}

/** @type {Column['make']} */
function makeRequests(cell) {
  const spark = createSparkline();
  const text = textNode();
  cell.append(spark.element, h('span', {}, text));
  return (tenant) => {
    spark.show(tenant.spark);
    put(text, tenant.pid === null ? '–' : rate(tenant.requestsPerSecond));
  };
}

/** @type {Column['make']} */
function makeMemory(cell) {
  const text = textNode();
  const bar = createBar();
  cell.append(text, bar.element);
  return (tenant) => {
    put(text, bytes(tenant.rssBytes));
    bar.show(memoryShare(tenant));
  };
}

/** @param {Tenant} tenant */
export const rowClass = (tenant) => {
  const isDown = tenant.pid === null ? ' down' : '';
  if (!isProblem(tenant)) return tenant.state === 'stopped' ? 'off down' : isDown.trim();
  return `${rankOf(tenant) < 2 ? 'bad' : 'warn'}${isDown}`;
};

/** Tenants as the commands show them: rows of a table, what is wrong with them, and their order. */
import { tellingOf } from '../dashboard/page/telling.js';
import { harmless, clip, wrapped } from './text.js';
import { BOLD, CYAN, DIM, GREEN, RED, YELLOW } from './terminal.js';
import {
  bytesInWords,
  durationInWords,
  latencyInWords,
  percentInWords,
  rateInWords,
} from './words.js';

/** @typedef {import('../../control.js').ControlTenant} Tenant */

/** @type {Record<string, number>} */
export const COLOURS = {
  running: GREEN,
  failed: RED,
  'backing-off': RED,
  starting: YELLOW,
  stopping: YELLOW,
  asleep: CYAN,
  stopped: DIM,
};

/** @param {Tenant} tenant */
const memory = ({ rssBytes, memoryLimitBytes }) => {
  const limit = memoryLimitBytes ? `/${bytesInWords(memoryLimitBytes)}` : '';
  return rssBytes === null ? '' : bytesInWords(rssBytes) + limit;
};

/** @type {import('./table.js').Column<Tenant>[]} */
export const COLUMNS = [
  { title: 'KEY', cell: ({ key }) => key, rank: 0, isElastic: true, colour: () => BOLD },
  {
    title: 'STATE',
    cell: stateInWords,
    rank: 0,
    colour: ({ state }) => COLOURS[state],
  },
  { title: 'PID', cell: ({ pid }) => text(pid), rank: 6, side: 'right' },
  { title: 'PORT', cell: ({ port }) => text(port), rank: 9, side: 'right' },
  { title: 'UP', cell: ({ uptimeMs }) => durationInWords(uptimeMs), rank: 2, side: 'right' },
  { title: 'STARTS', cell: ({ starts }) => text(starts), rank: 11, side: 'right' },
  {
    title: 'CRASHES',
    cell: ({ crashes }) => text(crashes),
    rank: 7,
    side: 'right',
    colour: ({ crashes }) => (crashes > 0 ? YELLOW : undefined),
  },
  {
    title: 'REQ/S',
    cell: ({ requestsPerSecond }) => rateInWords(requestsPerSecond),
    rank: 3,
    side: 'right',
  },
  { title: 'OPEN', cell: ({ inFlight }) => text(inFlight), rank: 8, side: 'right' },
  { title: 'P50', cell: ({ p50Ms }) => latencyInWords(p50Ms), rank: 10, side: 'right' },
  { title: 'P99', cell: ({ p99Ms }) => latencyInWords(p99Ms), rank: 5, side: 'right' },
  { title: 'CPU', cell: ({ cpuPercent }) => percentInWords(cpuPercent), rank: 4, side: 'right' },
  {
    title: 'MEMORY',
    cell: memory,
    rank: 1,
    side: 'right',
    colour: ({ problem }) => (problem?.code === 'MEMORY_NEARLY_FULL' ? RED : undefined),
  },
  {
    title: 'LAST ERROR',
    cell: ({ problem }) => (problem === null ? '' : summaryOf(problem)),
    rank: 12,
    isElastic: true,
    colour: () => RED,
  },
];

/** With how deep it sleeps. @param {Pick<Tenant, 'state' | 'depth'>} tenant */
export function stateInWords({ state, depth }) {
  const how = depth ? `, ${depth}` : '';
  return `${state}${how}`.replace('-', ' ');
}

/** @param {unknown} value */
const text = (value) => (value === null || value === undefined ? '' : String(value));

/** @type {Record<string, (tenant: Tenant) => number>} figures of which the largest comes first */
const FIGURES = {
  problems: ({ requestsPerSecond }) => requestsPerSecond ?? 0,
  requests: ({ requestsPerSecond }) => requestsPerSecond ?? 0,
  cpu: ({ cpuPercent }) => cpuPercent ?? -1,
  memory: ({ rssBytes }) => rssBytes ?? -1,
  key: () => 0,
};

/** @param {readonly Tenant[]} tenants @param {string} by one of the words of `--sort` */
export function sorted(tenants, by) {
  const figure = FIGURES[by] ?? (() => 0);
  return tenants.toSorted((a, b) => {
    const byRank = by === 'problems' ? a.rank - b.rank : 0;
    return byRank || figure(b) - figure(a) || (a.key < b.key ? -1 : 1);
  });
}

/** Problems that are not of a moment. */
const LASTING = ['MEMORY_NEARLY_FULL', 'SERVER_ERRORS'];

/** @param {import('../../control.js').ControlProblem} problem */
const summaryOf = ({ code, summary, at }) =>
  LASTING.includes(code) ? summary : `${summary}, ${durationInWords(Date.now() - at)} ago`;

/** A line of a tenant's in a list of what is wrong; the rest tells `inspect`. */
const SHOWN_LINES = 5;

/**
 * The last lines of a process, below what they explain: those that tell most of why it ended.
 *
 * @param {readonly string[]} lines
 * @param {import('./terminal.js').Io} io
 * @param {number} [most]
 */
export const lastWords = (lines, io, most = SHOWN_LINES) =>
  (most === Infinity ? lines : tellingOf(lines, most)).map(
    (line) => `    ${io.paint(DIM, clip(harmless(line), io.columns() - 4))}`,
  );

/**
 * What is wrong with a tenant, in lines: what happened, its last words, what to do.
 *
 * @param {Tenant} tenant
 * @param {import('./terminal.js').Io} io
 * @param {number} [most] of its last lines
 * @returns {string[]}
 */
export function problemOf({ key, problem }, io, most) {
  if (!problem) return [];
  const room = io.columns();
  const { paint } = io;
  const heading = clip(`${harmless(key)}: ${harmless(summaryOf(problem))}`, room - 2);
  const last = lastWords(problem.lines, io, most);
  const advice = wrapped(`→ ${harmless(problem.advice)}`, io.textColumns() - 4);
  return [
    `${paint(RED, '✘')} ${heading}`,
    ...last,
    ...advice.map((line, index) => `  ${index === 0 ? '' : '  '}${line}`),
  ];
}

/** What a request asks for, read and checked. */
import { nearest } from '../checks.js';
import { patternOf } from './pattern.js';
import { badQuery, Refusal } from './refusal.js';

/** Lines or events, if the request does not say how many; and at most. */
const LINES = 100;
const MOST_LINES = 10_000;
/** Tenants whose lines can be asked for together. */
const MOST_KEYS = 64;

const UNITS = /** @type {Record<string, number>} */ ({
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
});

/**
 * A target is a path, with a query.
 * @param {string} target
 * @returns {{ segments: string[], query: URLSearchParams }}
 */
export function targetOf(target) {
  const [path = '', query = ''] = splitOnce(target, '?');
  if (!path.startsWith('/'))
    throw new Refusal(404, 'NOT_FOUND', 'there is nothing at this address');
  const segments = path.slice(1).split('/');
  try {
    return { segments: segments.map(decodeURIComponent), query: new URLSearchParams(query) };
  } catch {
    throw badQuery('the path is not percent-encoded as it should be');
  }
}

/** @param {string} text @param {string} by */
function splitOnce(text, by) {
  const at = text.indexOf(by);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

/**
 * Refuses parameters that are not known, and those that are given twice, but for `key`.
 * @param {URLSearchParams} query
 * @param {readonly string[]} names
 */
export function onlyWith(query, names) {
  for (const name of new Set(query.keys())) {
    if (!names.includes(name)) {
      const near = nearest(name, names);
      const hint = near === undefined ? '' : `; did you mean ${near}?`;
      throw badQuery(`${name.slice(0, 80)} is not a parameter of this address${hint}`);
    }
    if (name !== 'key' && query.getAll(name).length > 1) throw badQuery(`${name} is given twice`);
  }
}

/** @param {URLSearchParams} query */
export const keysOf = (query) => {
  const keys = query.getAll('key');
  if (keys.length > MOST_KEYS) throw badQuery(`key must not be given more than ${MOST_KEYS} times`);
  return keys;
};

/** @param {URLSearchParams} query */
export function countOf(query) {
  const text = query.get('n');
  if (text === null) return LINES;
  const count = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (count <= MOST_LINES) return count;
  throw badQuery(`n must be a whole number from 0 to ${MOST_LINES}, got ${text.slice(0, 80)}`);
}

/** @param {URLSearchParams} query @param {number} now @returns {number | undefined} */
export function sinceOf(query, now) {
  const text = query.get('since');
  if (text === null) return undefined;
  if (/^\d{10,16}$/.test(text)) return Number(text);
  const [, number, unit = ''] = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/.exec(text) ?? [];
  const factor = UNITS[unit];
  const at = factor === undefined ? Date.parse(text) : now - Number(number) * factor;
  if (!Number.isNaN(at)) return at;
  throw badQuery(
    `since must be a time in milliseconds since the epoch, a date, or a span such as 10m, got ${text.slice(0, 80)}`,
  );
}

/**
 * @param {readonly string[]} keys
 * @param {URLSearchParams} query
 * @param {number} now
 * @returns {import('./logs.js').LineQuery}
 */
export function linesOf(keys, query, now) {
  const grep = query.get('grep');
  const stream = query.get('stream') ?? undefined;
  if (stream !== undefined && stream !== 'stdout' && stream !== 'stderr') {
    throw badQuery(`stream must be stdout or stderr, got ${stream.slice(0, 80)}`);
  }
  return {
    keys,
    n: countOf(query),
    since: sinceOf(query, now),
    stream,
    matches: grep === null || grep === '' ? undefined : patternOf(grep),
  };
}

/**
 * The number after which a client wants to go on.
 * @param {import('node:http').IncomingHttpHeaders} headers
 */
export function lastEventOf(headers) {
  const text = String(headers['last-event-id'] ?? '');
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

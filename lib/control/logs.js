/** The lines of all tenants: a ring for each, who follows them, and files if there are any. */
import { LogRing } from './log-ring.js';
import { badQuery } from './refusal.js';

/** @typedef {import('./log-ring.js').Line} Line */
/** @typedef {import('./log-files.js').LogFiles} LogFiles */

/**
 * Which lines are asked for.
 * @typedef {object} LineQuery
 * @property {readonly string[]} keys none: all tenants
 * @property {number} n the last so many
 * @property {number} [since] milliseconds since the epoch
 * @property {number} [after] the number of a line
 * @property {'stdout' | 'stderr'} [stream]
 * @property {(text: string, budget: import('./pattern.js').Budget) => boolean} [matches]
 */

/** How many of the latest lines of all tenants can be found by their number. */
const MOST_OF_ALL = 1 << 14;
/** What a search with a pattern may cost: some 100 ms of JavaScript. */
const SEARCH_STEPS = 3_000_000;

/**
 * @param {{ linesPerTenant: number, bytesPerTenant: number, files: LogFiles | undefined }} settings
 */
export function createLogs({ linesPerTenant, bytesPerTenant, files }) {
  /** @type {Map<string, LogRing>} */
  const rings = new Map();
  /** The rings of the latest lines, by the number of the line. @type {(LogRing | undefined)[]} */
  const latest = new Array(MOST_OF_ALL);
  let seq = 0;
  /** @type {Set<(line: Line) => void>} */
  const followers = new Set();

  /** @param {import('../../index.js').RuntimeLogEvent} event */
  function add(event) {
    const { key, line, at, pid, stream } = event;
    let ring = rings.get(key);
    if (ring === undefined) {
      rings.set(key, (ring = new LogRing(key, linesPerTenant, bytesPerTenant)));
    }
    seq += 1;
    ring.push(seq, event);
    latest[seq % MOST_OF_ALL] = ring;
    files?.add(seq, event);
    if (followers.size === 0) return;
    const told = { seq, at, key, pid, stream, line };
    for (const follower of followers) follower(told);
  }

  /** Lines from the newest on back. @param {readonly string[]} keys @returns {Iterable<Line>} */
  function backwards(keys) {
    if (keys.length === 0) return latestBackwards();
    if (keys.length === 1) return rings.get(/** @type {string} */ (keys[0]))?.backwards() ?? [];
    const lines = keys.flatMap((key) => [...(rings.get(key)?.backwards() ?? [])]);
    return lines.sort((one, other) => other.seq - one.seq);
  }

  /** @returns {Generator<Line>} */
  function* latestBackwards() {
    for (let number = seq; number > Math.max(0, seq - MOST_OF_ALL); number -= 1) {
      const line = latest[number % MOST_OF_ALL]?.lineOf(number);
      if (line !== undefined) yield line;
    }
  }

  /** The lines that are in memory, the oldest first. @param {LineQuery} query */
  function inMemory({ keys, n, since = -Infinity, after = -Infinity, stream, matches }) {
    const budget = { steps: SEARCH_STEPS };
    /** @type {Line[]} */
    const lines = [];
    let reaches = false;
    for (const line of backwards(keys)) {
      if (line.seq <= after || line.at < since || lines.length >= n) {
        reaches = true;
        break;
      }
      if (stream !== undefined && line.stream !== stream) continue;
      if (matches === undefined || matches(line.line, budget)) lines.push(line);
      requireSome(budget);
    }
    return { lines: lines.reverse(), reaches, budget };
  }

  return {
    add,
    /** @param {LineQuery} query @returns {Promise<{ lines: Line[], dropped: number }>} */
    async find(query) {
      const { lines, reaches, budget } = inMemory(query);
      const dropped = droppedOf(query.keys);
      const [key] = query.keys;
      const isInFiles = files !== undefined && query.keys.length === 1 && query.since !== undefined;
      if (reaches || !isInFiles || key === undefined) return { lines, dropped };
      const before = oldestOf(rings.get(key));
      const older = await files.read({ ...query, key, before, n: query.n - lines.length }, budget);
      requireSome(budget);
      return { lines: [...older, ...lines], dropped };
    },
    /** Lines after this one that are in memory, the oldest first. @param {LineQuery} query */
    after: (query) => inMemory(query).lines,
    /** @param {(line: Line) => void} follower @returns {() => void} ends it */
    follow(follower) {
      followers.add(follower);
      return () => void followers.delete(follower);
    },
    /** @param {string} key @param {number} n @returns {Line[]} */
    last: (key, n) => inMemory({ keys: [key], n }).lines,
    /** Forgets a tenant that is no more. @param {string} key */
    forget: (key) => void rings.delete(key),
    /** What is held, in memory and in files. */
    state() {
      let bytes = 0;
      for (const ring of rings.values()) bytes += ring.bytes;
      return { bytes, files: files?.state() ?? null };
    },
    /** The number of the last line. */
    get seq() {
      return seq;
    },
  };

  /** @param {readonly string[]} keys */
  function droppedOf(keys) {
    const these = keys.length === 0 ? rings.values() : keys.map((key) => rings.get(key));
    let dropped = 0;
    for (const ring of these) dropped += ring?.dropped ?? 0;
    return dropped;
  }
}

/** @typedef {ReturnType<typeof createLogs>} Logs */

/** @param {import('./pattern.js').Budget} budget */
function requireSome({ steps }) {
  if (steps <= 0) {
    throw badQuery(
      'grep takes too long over these lines: use a simpler pattern, or a later `since`',
    );
  }
}

/** The number of the oldest line in memory. @param {LogRing | undefined} ring */
function oldestOf(ring) {
  let oldest = Infinity;
  for (const { seq } of ring?.backwards() ?? []) oldest = seq;
  return oldest;
}

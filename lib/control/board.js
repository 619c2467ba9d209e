/**
 * The board: what each tenant is, and its figures over time. It looks once a second while a client
 * follows it, and otherwise when it is asked. Without followers only requests are counted, every
 * two seconds, for the sparklines, and usage is looked at once in a while.
 */
import { failedStartOf } from '../observe/telemetry.js';
import { createDirectories } from './directories.js';
import { failureOf } from './failures.js';
import { Replacements } from './replacements.js';
import { FIGURES, Row, worstFirst } from './tenant.js';
import { inTerms } from './terms.js';
import { addressOf, numbersOf, readTraffic, STEP_MS } from './traffic.js';
import { createUsages } from './usage.js';
import {
  eventText,
  failureWords,
  isServing,
  replacementEndText,
  replacementText,
} from './words.js';

/** @typedef {import('../runtime.js').Core} Core */
/** @typedef {import('../../control.js').ControlTenant} ControlTenant */
/** @typedef {{ changed: ControlTenant[], gone: string[], at: number }} Change */

const FOLLOWED_MS = 1_000;
/** A column of figures and sparklines. */
export const COLUMN_MS = 2_000;
/** Ten minutes. */
const COLUMNS = 300;
/** A look that is younger than this answers a question. */
const FRESH_MS = 250;
/**
 * How often usage is looked at, which takes some 15 µs a tenant, on another thread: while a client
 * follows, and while none does.
 */
const FOLLOWED_USAGE_MS = 2_000;
const USAGE_MS = 30_000;
/** A question waits so long for usage: with many tenants its answer has what was last seen. */
const USAGE_WAIT_MS = 30;
/** The same moment is computed anew each time, from two clocks. */
const SAME_MS = 50;
/** Timers may fire this much too early for what they count. */
const EARLY_MS = 100;

/**
 * @param {object} given
 * @param {Pick<import('../../index.js').Runtime, 'list' | 'inspect'>} given.runtime
 * @param {Core} given.core
 * @param {readonly import('./traffic.js').Known[]} given.gateways
 * @param {import('./events.js').Events} given.events
 * @param {import('./logs.js').Logs} given.logs
 * @param {import('./terms.js').OptionName} given.optionName
 */
export function createBoard({ runtime, core, gateways, events, logs, optionName }) {
  const directories = createDirectories(core.settings.root);
  const usages = createUsages(core);
  const replacements = new Replacements(runtime.inspect);
  /** @type {Map<string, Row>} */
  const rows = new Map();
  /** @type {Set<(change: Change) => void>} */
  const followers = new Set();
  /** @type {Set<(column: number) => void>} */
  const columnFollowers = new Set();
  /** When each column ended. */
  const columnTimes = new Float64Array(COLUMNS);
  let columns = 0;
  /** @type {readonly number[]} */
  let boundsMs = [];
  let lookedAt = -Infinity;
  let listedAt = -Infinity;
  let columnAt = performance.now();
  let stepAt = performance.now();
  let timer = setInterval(tick, COLUMN_MS);
  timer.unref?.();
  readGateways();
  for (const { traffic } of rows.values()) traffic.begin();

  /** @param {string} key */
  function rowOf(key) {
    let row = rows.get(key);
    if (row === undefined) rows.set(key, (row = new Row(key, optionName)));
    return row;
  }

  function readGateways() {
    const read = readTraffic(gateways.map(({ seam }) => seam));
    boundsMs = read.boundsMs;
    for (const [key, numbers] of read.byKey) rowOf(key).traffic.update(numbers, boundsMs);
    const now = performance.now();
    if (now - stepAt < STEP_MS - EARLY_MS) return;
    stepAt = now;
    for (const { traffic } of rows.values()) traffic.step(boundsMs);
  }

  /** Asks the runtime for the status of all tenants: half of what a look costs. */
  function list() {
    listedAt = performance.now();
    const known = new Set();
    for (const status of runtime.list()) {
      rowOf(status.key).status = status;
      known.add(status.key);
    }
    for (const key of directories.keys) rowOf(key);
    for (const row of rows.values()) if (!known.has(row.key)) row.isUnknown();
  }

  /** A start has failed before it had a process, or was called off. @param {string} key */
  function startFailed(key) {
    const failed = failedStartOf(core, key);
    const row = rowOf(key);
    if (failed === undefined || isKnown(row.failedStart, failed)) return;
    const { attempt, retryAt, error } = failed;
    const text = inTerms(failureWords(error.split('\n', 1)[0] ?? ''), optionName, key);
    const { at } = events.add('start-failed', key, text, { attempt });
    row.failedStart = { at, attempt, retryAt };
  }

  /**
   * A process was started where none serves: what was answered until now was not its.
   * @param {Row} row
   */
  function began(row) {
    const numbers = numbersOf(gateways, row.key);
    if (numbers !== undefined) row.traffic.began(numbers, boundsMs);
  }

  /** Calls that shared a replacement are answered at once, with one error. @type {unknown} */
  let lastError;

  /** @param {string} key @param {unknown} error */
  function replacementFailed(key, error) {
    if (error === lastError) return;
    lastError = error;
    setImmediate(() => (lastError = undefined));
    const { why: told, lines, code, kind } = failureOf(error);
    const why = inTerms(told, optionName, key);
    const status = runtime.inspect(key);
    const pid = status !== null && isServing(status) ? status.pid : null;
    const failed = { why, lines, code, kind, pid };
    const fields = { code, reason: why, servingPid: pid, lines };
    const { at } = events.add('replace-failed', key, replacementText(failed), fields);
    rowOf(key).failedReplacement = { ...failed, at };
  }

  /** Sees what all tenants are now, and tells who follows. */
  function look() {
    lookedAt = performance.now();
    const now = Date.now();
    readGateways();
    // Between two lists only figures change, or an event tells.
    if (lookedAt - listedAt >= COLUMN_MS - EARLY_MS) list();
    /** @type {Change} */
    const change = { changed: [], gone: [], at: now };
    for (const row of rows.values()) {
      if (isGone(row)) {
        rows.delete(row.key);
        for (const part of [events, logs]) part.forget(row.key);
        change.gone.push(row.key);
        continue;
      }
      const { pid } = row.status;
      const usage = pid === null ? undefined : usages.of(pid);
      if (row.refresh(addressOf(gateways, row.key), usage, now)) change.changed.push(row.view);
    }
    for (const follower of followers) follower(change);
  }

  /** A tenant whose directory was removed. Below a directory of the root any depth is possible. */
  const isGone = (/** @type {Row} */ { key, status }) =>
    core.settings.spawn === undefined &&
    directories.isKnown &&
    !key.includes('/') &&
    status.state === 'stopped' &&
    !directories.keys.has(key);

  function tick() {
    const isFollowed = followers.size + columnFollowers.size > 0;
    void directories.look();
    const isOld = usages.ageMs() >= (isFollowed ? FOLLOWED_USAGE_MS : USAGE_MS) - EARLY_MS;
    if (isOld) void usages.look();
    if (isFollowed || isOld) look();
    else if (gateways.length > 0) readGateways();
    const now = performance.now();
    if (now - columnAt >= COLUMN_MS - EARLY_MS) endColumn((now - columnAt) / 1_000);
  }

  /** @param {number} seconds */
  function endColumn(seconds) {
    columnAt = performance.now();
    const column = columns % COLUMNS;
    columnTimes[column] = Date.now();
    for (const row of rows.values()) {
      row.traffic.column(seconds);
      row.note(column, COLUMNS);
    }
    columns += 1;
    for (const follower of columnFollowers) follower(column);
  }

  let paceMs = COLUMN_MS;

  function setPace() {
    const wantedMs = followers.size + columnFollowers.size > 0 ? FOLLOWED_MS : COLUMN_MS;
    // Clients that come and go do not put the next look off.
    if (wantedMs === paceMs) return;
    paceMs = wantedMs;
    clearInterval(timer);
    timer = setInterval(tick, paceMs);
    timer.unref?.();
  }

  /** @template T @param {Set<T>} set @param {T} follower @returns {() => void} ends it */
  function follow(set, follower) {
    set.add(follower);
    setPace();
    return () => {
      set.delete(follower);
      setPace();
    };
  }

  /** @param {Row} row @param {number} column */
  const figuresAt = ({ figures }, column) =>
    Object.fromEntries(
      FIGURES.map((name, index) => {
        const figure = figures?.[index * COLUMNS + column] ?? NaN;
        return [name, Number.isNaN(figure) ? null : Math.round(figure * 10) / 10];
      }),
    );

  return {
    /** Looks anew, unless that was just done. */
    async fresh() {
      if (performance.now() - Math.min(lookedAt, listedAt) < FRESH_MS) return;
      const isOld = usages.ageMs() > FOLLOWED_USAGE_MS;
      await Promise.all([directories.look(), isOld && atMost(USAGE_WAIT_MS, usages.look())]);
      listedAt = -Infinity;
      look();
    },
    /** A tenant that no look has found, such as one deeper below the root. @param {string} key */
    add: (key) => void rowOf(key),
    /** Something was done: the next question is answered by a new look. */
    changed: () => void (listedAt = -Infinity),
    /** @returns {ControlTenant[]} the worst first */
    tenants: () => [...rows.values()].map(({ view }) => view).sort(worstFirst),
    /** @param {string} key @returns {ControlTenant | undefined} */
    tenant: (key) => rows.get(key)?.view,
    /** @param {string} key */
    figures(key) {
      const row = rows.get(key);
      const from = Math.max(0, columns - COLUMNS);
      const places = Array.from({ length: columns - from }, (_, index) => (from + index) % COLUMNS);
      const at = places.map((place) => columnTimes[place] ?? 0);
      const all = row === undefined ? [] : places.map((place) => figuresAt(row, place));
      const byName = FIGURES.map((name) => [name, all.map((one) => one[name] ?? null)]);
      return { everyMs: COLUMN_MS, at, ...Object.fromEntries(byName) };
    },
    /** Totals over all tenants. */
    totals() {
      let requestsPerSecond = 0;
      for (const { traffic } of rows.values()) requestsPerSecond += traffic.requestsPerSecond;
      return { requestsPerSecond: Math.round(requestsPerSecond * 10) / 10 };
    },
    /** Once a second, what has changed. @param {(change: Change) => void} follower */
    follow: (follower) => follow(followers, follower),
    /** @param {string} key @param {(column: Record<string, unknown>) => void} follower */
    followFigures: (key, follower) =>
      follow(columnFollowers, (column) => {
        const row = rows.get(key);
        if (row !== undefined) follower({ at: columnTimes[column], ...figuresAt(row, column) });
      }),
    /** What the runtime tells. @param {import('../../index.js').RuntimeTransitionEvent} event */
    transition(event) {
      const {
        type,
        key = null,
        ...fields
      } = /** @type {typeof event & { key?: string }} */ (event);
      const isReplacement = replacements.take(event);
      if (event.type === 'exit' && isReplacement)
        events.add(type, key, replacementEndText(event), { ...fields, isReplacement });
      else events.add(type, key, eventText(event), fields);
      if (type === 'spawn' && key !== null && !isReplacement) began(rowOf(key));
      if (type === 'exit' && key !== null) rowOf(key).exits += 1;
      // A start that had a process has come after it.
      if ((type === 'exit' || type === 'ready') && key !== null) rowOf(key).failedStart = undefined;
      // The next look sees what follows from it.
      listedAt = -Infinity;
    },
    /** What no transition tells. @param {import('../observe/listen.js').Failed} failed */
    failure(failed) {
      if (failed.type === 'start') startFailed(failed.key);
      else replacementFailed(failed.key, failed.error);
      listedAt = -Infinity;
    },
    /** Its failures are forgotten. @param {string} key */
    cleared(key) {
      const row = rowOf(key);
      row.failedStart = row.failedReplacement = undefined;
    },
    stop: () => clearInterval(timer),
  };
}

/** @typedef {ReturnType<typeof createBoard>} Board */

/**
 * Whether it is the same failure: a start that is called off leaves the one before it.
 * @param {import('./words.js').FailedStart | undefined} told
 * @param {{ attempt: number, retryAt: number | null }} now
 */
const isKnown = (told, { attempt, retryAt }) =>
  told?.attempt === attempt && Math.abs((told.retryAt ?? 0) - (retryAt ?? 0)) < SAME_MS;

/**
 * Waits for the promise, but no longer than this.
 * @param {number} ms
 * @param {Promise<void>} promise
 */
async function atMost(ms, promise) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, ms, undefined)));
  await Promise.race([promise, late]);
  clearTimeout(timer);
}

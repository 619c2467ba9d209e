/** What clients that stay are sent: first what there is, then what changes. */
import { textOfEvent } from './stream.js';

/** @typedef {import('./stream.js').Stream} Stream */
/** @typedef {import('./logs.js').LineQuery} LineQuery */
/** @typedef {import('./log-ring.js').Line} Line */
/** @typedef {import('./view.js').View} View */

/** How long lines are collected before they are sent together. */
const COLLECTED_MS = 50;
/** Lines that wait for that. A flood is not made slower by who watches it: the rest is dropped. */
const MOST_COLLECTED = 5_000;
const MOST_COLLECTED_CHARACTERS = 1 << 20;
/** What the pattern of a follower may cost in that time: some milliseconds. */
const STEPS_AT_ONCE = 100_000;
const HOST_MS = 1_000;

/** @param {View} view @param {Stream} stream @returns {() => void} */
export function followHost({ host }, stream) {
  const send = () => void (stream.isSlow || stream.send('host', host()));
  send();
  const timer = setInterval(send, HOST_MS);
  timer.unref?.();
  return () => clearInterval(timer);
}

/**
 * @param {View} view
 * @param {Stream} stream
 * @param {(tenant: import('../../control.js').ControlTenant) => boolean} fits
 * @returns {() => void}
 */
export function followTenants({ board }, stream, fits) {
  /** Keys whose change the client has not been sent, since it was slow. @type {Set<string>} */
  const owed = new Set();
  stream.send('tenants', { at: Date.now(), tenants: board.tenants().filter(fits) });
  return board.follow(({ changed, gone, at }) => {
    for (const { key } of changed) owed.add(key);
    for (const key of gone) owed.add(key);
    if (stream.isSlow || owed.size === 0) return;
    const tenants = [];
    const left = [];
    for (const key of owed) {
      const tenant = board.tenant(key);
      if (tenant !== undefined && fits(tenant)) tenants.push(tenant);
      else left.push(key);
    }
    owed.clear();
    stream.send('changed', { at, tenants, gone: left });
  });
}

/** @param {View} view @param {Stream} stream @param {string} key @returns {() => void} */
export function followTenant(view, stream, key) {
  const { board, events } = view;
  stream.send('tenant', view.detail(key));
  const ends = [
    board.follow(({ changed, gone }) => {
      const tenant = changed.find((one) => one.key === key);
      if (tenant !== undefined && !stream.isSlow) stream.send('changed', tenant);
      if (gone.includes(key)) stream.send('gone', { key });
    }),
    board.followFigures(key, (column) => {
      if (!stream.isSlow) stream.send('figures', column);
    }),
    events.follow((event) => {
      if (event.key === key && !stream.isSlow) stream.send('event', event, event.seq);
    }),
  ];
  return () => ends.forEach((end) => end());
}

/**
 * @param {View} view
 * @param {Stream} stream
 * @param {{ keys: readonly string[], n: number, since?: number, after?: number }} query
 * @returns {() => void}
 */
export function followEvents({ events }, stream, query) {
  for (const event of events.find(query)) stream.send('event', event, event.seq);
  return events.follow((event) => {
    const isWanted = query.keys.length === 0 || query.keys.includes(event.key ?? '');
    if (isWanted && !stream.isSlow) stream.send('event', event, event.seq);
  });
}

/**
 * @param {View} view
 * @param {Stream} stream
 * @param {LineQuery} query
 * @param {readonly Line[]} first what there is
 * @returns {() => void}
 */
export function followLines({ logs }, stream, query, first) {
  const keys = new Set(query.keys);
  /** @type {Line[]} */
  let collected = [];
  let characters = 0;
  let dropped = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  /** @param {readonly Line[]} lines */
  const write = (lines) =>
    void (
      lines.length > 0 &&
      stream.write(lines.map((line) => textOfEvent('line', line, line.seq)).join(''))
    );

  /** @param {Line} line */
  function collect(line) {
    if (keys.size > 0 && !keys.has(line.key)) return;
    if (query.stream !== undefined && line.stream !== query.stream) return;
    if (collected.length >= MOST_COLLECTED || characters > MOST_COLLECTED_CHARACTERS) dropped += 1;
    else {
      collected.push(line);
      characters += line.line.length;
    }
    timer ??= setTimeout(flush, COLLECTED_MS);
    timer.unref?.();
  }

  function flush() {
    timer = undefined;
    if (stream.isSlow) {
      timer = setTimeout(flush, COLLECTED_MS);
      timer.unref?.();
      return;
    }
    const budget = { steps: STEPS_AT_ONCE };
    const { matches } = query;
    const lines = collected.filter((line) => {
      if (matches === undefined) return true;
      const isOver = budget.steps <= 0;
      if (isOver) dropped += 1;
      return !isOver && matches(line.line, budget);
    });
    collected = [];
    characters = 0;
    write(lines);
    if (dropped > 0) stream.send('dropped', { lines: dropped });
    dropped = 0;
  }

  write(first);
  const end = logs.follow(collect);
  return () => {
    end();
    clearTimeout(timer);
  };
}

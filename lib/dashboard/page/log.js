// A tenant's output, live: it can be searched, paused and followed.
import { fill, h } from './dom.js';
import { count, timeOf } from './format.js';
import { plain, spansOf } from './plain.js';

/** @typedef {import('./shapes.js').Line} Line */

/** As many lines are kept here as a host keeps, and as many again. */
const MOST = 2000;
/** Lines are put up together: a flood of them costs no more than this often. */
const EVERY_MS = 250;
/** This near to its end it is followed. */
const NEAR_PX = 24;

/**
 * @param {import('./link.js').Link} link
 * @param {string} key
 */
export function createLog(link, key) {
  /** @type {Line[]} what is shown, and what is about to be */
  let lines = [];
  /** @type {Line[]} */
  let fresh = [];
  let skipped = 0;
  let isFollowed = true;
  let stream = '';
  /** @type {(line: string) => [from: number, to: number] | null} */
  let find = () => [0, 0];

  const output = h('div', {
    class: 'lines',
    role: 'log',
    tabindex: '0',
    'aria-live': 'off',
    'aria-label': 'Output',
  });
  const search = h('input', {
    type: 'search',
    placeholder: 'Search output, or /expression/',
    'aria-label': 'Search output',
    'aria-keyshortcuts': '/',
    autocomplete: 'off',
    spellcheck: 'false',
    input: searched,
  });
  const streams = h(
    'select',
    { 'aria-label': 'Which output', change: () => ((stream = streams.value), redraw()) },
    h('option', { value: '' }, 'All output'),
    h('option', { value: 'stdout' }, 'Output'),
    h('option', { value: 'stderr' }, 'Errors'),
  );
  const follow = h(
    'button',
    { type: 'button', 'aria-pressed': 'true', click: () => setFollowed(!isFollowed) },
    'Pause',
  );
  const note = h('span', { class: 'note' });
  const element = h(
    'section',
    { class: 'panel log', 'aria-labelledby': 'log-title' },
    h(
      'div',
      { class: 'tools' },
      h('h2', { id: 'log-title' }, 'Output'),
      search,
      streams,
      follow,
      note,
    ),
    output,
  );

  function searched() {
    const { value } = search;
    const expression = /^\/(.+)\/$/.exec(value)?.[1];
    search.removeAttribute('aria-invalid');
    try {
      find = expression === undefined ? finder(value) : matcher(new RegExp(expression, 'i'));
    } catch {
      search.setAttribute('aria-invalid', 'true');
      return;
    }
    redraw();
  }

  const fits = (/** @type {Line} */ line) =>
    (stream === '' || line.stream === stream) && find(plain(line.line)) !== null;

  function redraw() {
    fill(output, ...lines.filter(fits).map(draw));
    if (isFollowed) toEnd();
    tell();
  }

  /** @param {Line} line */
  function draw(line) {
    const spans =
      search.value === '' ? spansOf(line.line).map(coloured) : marked(plain(line.line), find);
    return h(
      'div',
      { class: line.stream, title: `${line.stream}, pid ${line.pid}, line ${line.seq}` },
      h('time', {}, timeOf(line.at)),
      h('span', {}, ...spans),
    );
  }

  /** What has come since the last time. */
  function flush() {
    if (fresh.length === 0) return;
    if (!isFollowed) return tell();
    const added = fresh.slice(-MOST);
    lines = [...lines, ...added].slice(-MOST);
    fresh = [];
    output.append(...added.filter(fits).map(draw));
    while (output.childElementCount > MOST) output.firstElementChild?.remove();
    toEnd();
    tell();
  }

  function toEnd() {
    output.scrollTop = output.scrollHeight;
  }

  function tell() {
    const isSearched = search.value !== '' || stream !== '';
    const held = fresh.length + skipped;
    const text =
      held > 0 && !isFollowed
        ? `${count(held)} new ${held === 1 ? 'line' : 'lines'}`
        : isSearched
          ? `${count(output.childElementCount)} of ${count(lines.length)} lines`
          : lines.length === 0
            ? 'It has written nothing yet.'
            : '';
    if (note.textContent !== text) note.textContent = text;
  }

  /** @param {boolean} now */
  function setFollowed(now) {
    if (now === isFollowed) return;
    isFollowed = now;
    skipped = now ? 0 : skipped;
    follow.textContent = now ? 'Pause' : 'Follow';
    follow.setAttribute('aria-pressed', `${now}`);
    if (now) toEnd();
    flush();
    tell();
  }

  // To scroll up is to pause.
  output.addEventListener('scroll', () => {
    const isNear = output.scrollHeight - output.scrollTop - output.clientHeight < NEAR_PX;
    setFollowed(isNear);
  });

  const timer = setInterval(flush, EVERY_MS);
  const end = link.follow(`/tenants/${encodeURIComponent(key)}/logs?n=1000`, {
    opened() {
      [lines, fresh, skipped] = [[], [], 0];
      output.replaceChildren();
      tell();
    },
    /** @param {Line} line */
    line(line) {
      fresh.push(line);
      if (fresh.length > 2 * MOST) {
        skipped += fresh.length - MOST;
        fresh = fresh.slice(-MOST);
      }
    },
  });

  return {
    element,
    search,
    close() {
      clearInterval(timer);
      end();
    },
  };
}

/** @param {string} text @returns {(line: string) => [number, number] | null} */
function finder(text) {
  const wanted = text.toLowerCase();
  return (line) => {
    const at = line.toLowerCase().indexOf(wanted);
    return at < 0 ? null : [at, at + wanted.length];
  };
}

/** @param {RegExp} expression @returns {(line: string) => [number, number] | null} */
function matcher(expression) {
  return (line) => {
    const found = expression.exec(line);
    return found === null ? null : [found.index, found.index + found[0].length];
  };
}

/** @param {{ text: string, classes: string }} span */
const coloured = ({ text, classes }) =>
  classes === '' ? text : h('span', { class: classes }, text);

/** @param {string} line @param {(line: string) => [number, number] | null} find */
function marked(line, find) {
  const [from, to] = find(line) ?? [0, 0];
  return [line.slice(0, from), h('mark', {}, line.slice(from, to)), line.slice(to)];
}

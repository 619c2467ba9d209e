// One tenant: how it is, what it did, and what can be done.
import { createActions } from './actions.js';
import { createChart } from './chart.js';
import { createMark, rowClass } from './columns.js';
import { fill, h, put, textNode } from './dom.js';
import { createEventList } from './events.js';
import { createFacts, panel } from './facts.js';
import { ago, bytes, count, milliseconds, percent, rate, setHostTime } from './format.js';
import { createLog } from './log.js';
import { plain, spansOf } from './plain.js';
import { tellingOf } from './telling.js';
import { isProblem, limitRows, sentence, wallRows } from './words.js';

/** @typedef {import('./shapes.js').Tenant} Tenant */
/** @typedef {import('./shapes.js').WholeTenant} WholeTenant */
/** @typedef {import('./shapes.js').FigureName} FigureName */

/** Lines of a problem; all of them are in the log. */
const MOST_LINES = 10;
/** Columns of figures that are kept: an hour of one each two seconds. */
const MOST_COLUMNS = 1800;

/**
 * @param {import('./shapes.js').Context} context
 * @param {string} key
 * @returns {import('./shapes.js').View}
 */
export function openTenant(context, key) {
  const { link } = context;
  const name = plain(key);
  const heading = h('h1', { tabindex: '-1' }, h('bdi', {}, name));
  const mark = createMark();
  const how = textNode();
  const head = h('p', { class: 'how' }, mark.element, h('span', {}, how));
  const actions = createActions(context);
  const problem = h('section', { class: 'failure', 'aria-label': 'What is wrong', hidden: true });
  const since = textNode();
  let toldProblem = '';
  const timeline = createEventList({ hasKeys: false });
  const facts = createFacts();
  const walls = createFacts();
  const raw = h('pre', { tabindex: '0', 'aria-label': 'All fields' });
  const rawFields = h(
    'details',
    { class: 'panel', toggle: showRaw },
    h('summary', {}, 'All fields'),
    raw,
  );
  const log = createLog(link, key);
  const charts = createCharts();
  const content = h(
    'div',
    { class: 'columns' },
    h('div', { class: 'wide' }, problem, panel('Over time', charts.element), log.element),
    h(
      'div',
      { class: 'side' },
      panel('Timeline', timeline.element),
      panel('Now', facts.element),
      panel('Limits and walls', walls.element),
      rawFields,
    ),
  );
  const missing = h('p', { class: 'empty', hidden: true });
  const element = h(
    'div',
    { class: 'tenant-page' },
    h('p', { class: 'back' }, h('a', { href: '#/' }, 'All tenants')),
    h('div', { class: 'heading' }, h('div', {}, heading, head), actions.element),
    missing,
    content,
  );
  /** @type {Tenant | undefined} */
  let tenant;

  function show() {
    if (tenant === undefined) return;
    const isOld = link.isLost();
    put(how, sentence(tenant, isOld));
    content.classList.toggle('down', tenant.pid === null);
    mark.show(tenant, isOld);
    head.className = `how ${rowClass(tenant)}`;
    actions.show(tenant);
    showProblem(tenant);
    facts.show(factsOf(tenant, isOld));
    walls.show([...limitRows(tenant.limits), ...wallRows(tenant.isolation)]);
    charts.show(tenant);
    showRaw();
  }

  /** As the host tells them, and only for who asks. */
  function showRaw() {
    if (!rawFields.open || tenant === undefined) return;
    const { problem, spark, ...fields } = tenant;
    const text = plainLines(JSON.stringify({ ...fields, problem: problem?.code ?? null }, null, 2));
    if (raw.textContent !== text) raw.textContent = text;
  }

  /** @param {Tenant} now */
  function showProblem(now) {
    problem.hidden = now.problem === null;
    if (now.problem === null) return;
    const { code, summary, advice, lines, at } = now.problem;
    problem.classList.toggle('over', !isProblem(now));
    problem.classList.toggle('warned', ['running', 'asleep'].includes(now.state));
    put(since, `${ago(at)} · ${code}`);
    const told = JSON.stringify([code, summary, advice, lines]);
    // Whoever reads or copies the lines is not disturbed.
    if (told === toldProblem) return;
    toldProblem = told;
    const telling = tellingOf(lines, MOST_LINES);
    fill(
      problem,
      h('h2', { title: code }, plain(summary)),
      h('p', {}, ...prose(plain(advice))),
      telling.length > 0 &&
        h('pre', { tabindex: '0', 'aria-label': 'Its last lines' }, telling.map(textOf).join('\n')),
      h('p', { class: 'note' }, since),
    );
  }

  function isMissing(why = '') {
    content.hidden = true;
    actions.element.hidden = true;
    missing.hidden = false;
    missing.textContent = `There is no tenant of this name here. ${plain(why)}`;
  }

  const end = link.follow(`/tenants/${encodeURIComponent(key)}`, {
    /** @param {WholeTenant} whole */
    tenant({ timeline: past, figures, lastLines, ...now }) {
      tenant = now;
      missing.hidden = true;
      content.hidden = false;
      actions.element.hidden = false;
      charts.fill(figures);
      timeline.clear();
      past.forEach(timeline.add);
      show();
    },
    /** @param {Tenant} now */
    changed(now) {
      tenant = now;
      show();
    },
    event: timeline.add,
    gone: () => isMissing(),
    /** @param {import('./shapes.js').FigureColumn} column */
    figures(column) {
      setHostTime(column.at);
      charts.add(column);
      if (tenant !== undefined) charts.show(tenant);
    },
    refused: (error) => isMissing(error?.message),
  });

  return {
    title: name,
    element,
    focus: () => heading.focus({ preventScroll: true }),
    tick: show,
    key(event) {
      if (event.key === '/') log.search.focus();
      else if (event.key !== 'Escape') return false;
      else if (log.search.value !== '') {
        log.search.value = '';
        log.search.dispatchEvent(new Event('input'));
      } else location.hash = '#/';
      return true;
    },
    close() {
      end();
      log.close();
    },
  };
}

/** What stands between backticks is spelt as it is typed. @param {string} text */
const prose = (text) =>
  text.split('`').map((part, index) => (index % 2 === 1 ? h('code', {}, part) : part));

/** @param {string} text */
const plainLines = (text) => text.split('\n').map(plain).join('\n');

/** @param {string} line */
const textOf = (line) =>
  spansOf(line)
    .map(({ text }) => text)
    .join('');

/** @param {Tenant} tenant @param {boolean} isOld @returns {(import('./facts.js').Fact | false)[]} */
function factsOf(tenant, isOld) {
  const { pid, address, lastTouchedAt, starts, crashes, exits, requests, p50Ms, p99Ms } = tenant;
  const { cpuMs, inFlight, waiting, attempt, refusedPerSecond } = tenant;
  return [
    ['Process', pid === null ? 'none' : `${pid}`, `pid ${pid}`],
    ['Address', address ?? 'none', `address ${address}, port ${tenant.port}`],
    ['Last used', isOld ? '–' : ago(lastTouchedAt), `lastTouchedAt ${lastTouchedAt}`],
    ['Requests so far', count(requests), `requests ${requests}`],
    ['Under way, waiting', `${count(inFlight)}, ${count(waiting)}`, 'inFlight, waiting'],
    refusedPerSecond > 0 && [
      'Refused by the gateway',
      `${count(Math.round(refusedPerSecond * 60))} in the last minute`,
      `refusedPerSecond ${refusedPerSecond}`,
    ],
    [
      'Answers in',
      p50Ms === null ? '–' : `${milliseconds(p50Ms)}; 99 of 100 in ${milliseconds(p99Ms)}`,
      'p50Ms, p99Ms',
    ],
    ['Processor time', milliseconds(cpuMs), `cpuMs ${cpuMs}`],
    ['Started', starts === 1 ? 'once' : `${count(starts)} times`, `starts ${starts}`],
    ['Ended, crashed', `${count(exits)}, ${count(crashes)}`, `exits ${exits}, crashes ${crashes}`],
    ['Failed starts in a row', count(attempt), `attempt ${attempt}`],
  ];
}

/** @type {Array<[field: FigureName, name: string, read: (value: number | null) => string]>} */
const FIGURES = [
  ['requestsPerSecond', 'Requests a second', rate],
  ['cpuPercent', 'CPU, of one processor', percent],
  ['rssBytes', 'Memory', bytes],
  ['inFlight', 'Under way', count],
];

function createCharts() {
  const charts = FIGURES.map(([field, name, read]) => ({
    field,
    chart: createChart(name, field, read),
  }));
  const element = h('div', { class: 'charts' }, ...charts.map(({ chart }) => chart.element));
  /** @type {import('./shapes.js').Figures} */
  let figures = {
    everyMs: 2000,
    at: [],
    cpuPercent: [],
    rssBytes: [],
    requestsPerSecond: [],
    inFlight: [],
  };
  let isShown = false;

  return {
    element,
    /** @param {import('./shapes.js').Figures} whole */
    fill(whole) {
      figures = whole;
      isShown = false;
    },
    /** @param {import('./shapes.js').FigureColumn} column */
    add(column) {
      isShown = false;
      for (const name of /** @type {const} */ (['at', ...FIGURES.map(([field]) => field)])) {
        figures[name].push(/** @type {number} */ (column[name]));
        if (figures[name].length > MOST_COLUMNS) figures[name].shift();
      }
    },
    /** @param {Tenant} tenant */
    show(tenant) {
      if (isShown) return;
      isShown = true;
      for (const { field, chart } of charts) {
        chart.show(
          figures.at,
          figures[field],
          field === 'rssBytes' ? tenant.memoryLimitBytes : null,
        );
      }
    },
  };
}

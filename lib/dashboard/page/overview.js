// The first view: what room the host has, and all its tenants, with what is wrong first.
import { COLUMNS } from './columns.js';
import { fill, h, onceAFrame, put, textNode } from './dom.js';
import { count, setHostTime } from './format.js';
import { createRoom } from './room.js';
import { createTable } from './table.js';
import { isProblem, rankOf } from './words.js';

/** @typedef {import('./shapes.js').Tenant} Tenant */

/** @type {Array<[id: string, name: string, fits: (tenant: Tenant) => boolean]>} */
const FILTERS = [
  ['all', 'All', () => true],
  ['problems', 'Problems', isProblem],
  ['running', 'Running', ({ state }) => state === 'running'],
  ['asleep', 'Asleep', ({ state }) => state === 'asleep'],
  ['changing', 'Changing', ({ state }) => state === 'starting' || state === 'stopping'],
  ['stopped', 'Stopped', ({ state }) => state === 'stopped'],
];

/** For how long after a move in the table rows keep their places: nobody hits the wrong one. */
const HOLD_MS = 2000;
/** What is seldom there, or not with every host: it takes no room meanwhile. */
const SELDOM = ['asleep', 'changing'];

/** What is left as it was when the view is opened again. */
const kept = { text: '', filter: 'all', sort: 'state', isUp: true, scroll: 0, key: '' };

/** @param {import('./shapes.js').Context} context @returns {import('./shapes.js').View} */
export function openOverview({ link, host, setHost }) {
  /** @type {Map<string, Tenant>} */
  let tenants = new Map();
  let movedAt = 0;
  let isComplete = false;
  let isClosed = false;
  const room = createRoom();
  const table = createTable(sortBy);
  const search = h('input', {
    type: 'search',
    placeholder: 'Search tenants',
    'aria-label': 'Search tenants',
    'aria-keyshortcuts': '/',
    autocomplete: 'off',
    spellcheck: 'false',
    input: () => {
      kept.text = search.value;
      order();
      show();
    },
  });
  search.value = kept.text;
  const filters = FILTERS.map(([id, name]) => createFilter(id, name));
  const sort = h(
    'select',
    { 'aria-label': 'Sort by', change: () => sortBy(sort.value, true) },
    ...COLUMNS.map(({ id, name }) =>
      h('option', { value: id }, id === 'state' ? 'Problems first' : `By ${name}`),
    ),
  );
  const found = h('p', { class: 'found', role: 'status' });
  const empty = h('p', { class: 'empty', hidden: true });
  const element = h(
    'div',
    { class: 'overview' },
    h('h1', { class: 'unseen' }, 'Tenants'),
    room.element,
    h(
      'div',
      { class: 'tools', role: 'search' },
      search,
      h(
        'fieldset',
        { class: 'filters' },
        h('legend', { class: 'unseen' }, 'Show'),
        ...filters.map((f) => f.element),
      ),
      sort,
      found,
    ),
    table.element,
    empty,
  );
  for (const use of ['pointermove', 'focusin', 'keydown']) {
    table.element.addEventListener(use, () => (movedAt = Date.now()));
  }

  /** @param {string} id @param {string} name */
  function createFilter(id, name) {
    const number = textNode('');
    const input = h('input', {
      type: 'radio',
      name: 'filter',
      value: id,
      change: () => {
        kept.filter = id;
        order();
        show();
      },
    });
    input.checked = kept.filter === id;
    const hidden = isNeedless(id, 0);
    const label = h('label', { hidden }, input, h('span', {}, name, ' ', h('b', {}, number)));
    return { element: label, input, number };
  }

  /** @param {string} id @param {number} fit */
  function isNeedless(id, fit) {
    return SELDOM.includes(id) && fit === 0 && kept.filter !== id;
  }

  /** @param {string} id @param {boolean} [isChosen] in the list, where it is not turned round */
  function sortBy(id, isChosen = false) {
    const column = COLUMNS.find((each) => each.id === id);
    kept.isUp = kept.sort === id && !isChosen ? !kept.isUp : column?.isUp === true;
    kept.sort = id;
    order();
    show();
  }

  /** @type {Tenant[]} */
  let rows = [];

  /** Rows may be in the wrong order, and have not been moved yet. */
  let isDue = false;

  /** Which tenants are shown, in which order. */
  function order() {
    isDue = false;
    const fits = FILTERS.find(([id]) => id === kept.filter)?.[2] ?? (() => true);
    const words = kept.text.toLowerCase().split(/\s+/).filter(Boolean);
    const compare = comparison(kept.sort, kept.isUp);
    rows = [...tenants.values()]
      .filter(
        (tenant) => fits(tenant) && words.every((word) => tenant.key.toLowerCase().includes(word)),
      )
      .sort(compare);
    table.sorted(kept.sort, kept.isUp);
    sort.value = kept.sort;
  }

  /** However much has been told. */
  const later = onceAFrame(() => void (isClosed || show()));

  function show() {
    // Until they are known there is nothing to count, and "nothing is wrong" would be a guess.
    if (!isComplete) return;
    room.show(host(), countIn('problems'));
    FILTERS.forEach(([id], index) => {
      const filter = /** @type {(typeof filters)[number]} */ (filters[index]);
      const fit = countIn(id);
      put(filter.number, count(fit));
      filter.element.hidden = isNeedless(id, fit);
    });
    const text = kept.text === '' ? '' : `${count(rows.length)} found`;
    if (found.textContent !== text) found.textContent = text;
    empty.hidden = rows.length > 0;
    if (!empty.hidden) fill(empty, whyEmpty(tenants.size));
    table.element.hidden = rows.length === 0;
    table.show(rows, link.isLost());
  }

  /** @param {string} id of a filter */
  function countIn(id) {
    const fits = FILTERS.find((filter) => filter[0] === id)?.[2] ?? (() => false);
    let sum = 0;
    for (const tenant of tenants.values()) if (fits(tenant)) sum += 1;
    return sum;
  }

  /** @param {number} all */
  function whyEmpty(all) {
    if (all > 0) return 'No tenant is like that. Esc clears the search.';
    return `There are no tenants yet. Each directory in ${host()?.root ?? 'the root'} is one.`;
  }

  /**
   * Figures move by themselves; rows only when nobody is about to use them.
   * @param {boolean} mayMove whether a tenant is now of another kind
   */
  function changed(mayMove) {
    isDue ||= mayMove || !['state', 'tenant'].includes(kept.sort);
    if (isDue && Date.now() - movedAt > HOLD_MS) return order();
    rows = rows.flatMap(({ key }) => tenants.get(key) ?? []);
  }

  const end = link.follow('/tenants', {
    /** @param {{ at: number, tenants: Tenant[] }} data */
    tenants(data) {
      setHostTime(data.at);
      tenants = new Map(data.tenants.map((tenant) => [tenant.key, tenant]));
      const isFirst = !isComplete;
      isComplete = true;
      order();
      show();
      if (isFirst) returnTo();
    },
    /** @param {{ at: number, tenants: Tenant[], gone: string[] }} data */
    changed(data) {
      setHostTime(data.at);
      const isNew = data.tenants.some(({ key }) => !tenants.has(key));
      const mayMove = data.gone.length > 0 || data.tenants.some(isOfAnotherKind);
      for (const tenant of data.tenants) tenants.set(tenant.key, tenant);
      for (const key of data.gone) tenants.delete(key);
      if (isNew) order();
      else changed(mayMove);
      later();
    },
    /** @param {import('./shapes.js').Host} now */
    host(now) {
      setHost(now);
      later();
    },
  });

  /** @param {Tenant} now */
  function isOfAnotherKind(now) {
    const before = tenants.get(now.key);
    return before?.state !== now.state || before.rank !== now.rank;
  }

  function returnTo() {
    table.open();
    scrollTo({ top: kept.scroll });
    if (kept.key !== '' && table.focus(kept.key)) kept.key = '';
  }

  return {
    title: 'Tenants',
    element,
    focus: () => {},
    tick: later,
    key(event) {
      if (event.key === '/') search.focus();
      else if (event.key === 'ArrowDown') table.move(1);
      else if (event.key === 'ArrowUp') table.move(-1);
      else if (event.key === 'Escape') clear();
      else return false;
      return true;
    },
    close() {
      isClosed = true;
      kept.scroll = scrollY;
      const at = document.activeElement?.closest('tr')?.querySelector('a')?.getAttribute('href');
      kept.key = at ? decodeURIComponent(at.slice('#/tenants/'.length)) : '';
      end();
      table.close();
    },
  };

  function clear() {
    [kept.text, kept.filter, search.value] = ['', 'all', ''];
    for (const { input } of filters) input.checked = input.value === 'all';
    search.blur();
    order();
    show();
  }
}

/** `shop-9` before `shop-10`. */
const names = new Intl.Collator('en', { numeric: true });

/** @param {Tenant} a @param {Tenant} b */
const byName = (a, b) => names.compare(a.key, b.key) || (a.key < b.key ? -1 : 1);

/**
 * What is not known comes last, and equals are in the order of their names, so that rows do not
 * jump about.
 * @param {string} id
 * @param {boolean} isUp
 * @returns {(a: Tenant, b: Tenant) => number}
 */
function comparison(id, isUp) {
  const value = COLUMNS.find((column) => column.id === id)?.value ?? rankOf;
  return (a, b) => {
    const [one, other] = [value(a), value(b)];
    if (one === other || id === 'tenant')
      return isUp || one === other ? byName(a, b) : byName(b, a);
    if (one === null) return 1;
    if (other === null) return -1;
    return one < other === isUp ? -1 : 1;
  };
}

// A table of any length: only the rows that can be seen exist, with some above and below. It is
// the page that scrolls.
import { h, onceAFrame } from './dom.js';
import { COLUMNS, rowClass } from './columns.js';

/** @typedef {import('./shapes.js').Tenant} Tenant */
/** @typedef {ReturnType<typeof createRow>} Row */

/** Rows beyond the edges, so that a fast scroll meets rows that are there. */
const MORE_ROWS = 8;
/** So many rows go round together: each time the whole table is laid out anew. */
const TURN_ROWS = 4;

/** @param {(id: string) => void} onSort called with the column whose header was pressed */
export function createTable(onSort) {
  const heads = COLUMNS.map(({ id, name }) =>
    h(
      'th',
      { class: id, scope: 'col' },
      h('button', { type: 'button', click: () => onSort(id) }, name),
    ),
  );
  const [above, below] = [spacer(), spacer()];
  const body = h('tbody', {}, above, below);
  const element = h(
    'table',
    { class: 'tenants', tabindex: '-1', 'aria-label': 'Tenants' },
    h('thead', {}, h('tr', { 'aria-rowindex': '1' }, ...heads)),
    body,
  );

  /** @type {readonly Tenant[]} */
  let order = [];
  /** @type {Row[]} */
  let rows = [];
  let start = 0;
  let isOld = false;
  /** Counts what was told to show, so that a scroll leaves rows alone that are right. */
  let version = 0;
  let rowHeight = 44;
  let pastHead = 0;
  /** @type {string | undefined} the row that the keyboard is at */
  let active;

  /** What is seen has changed: rows are put right before the next frame. */
  const later = onceAFrame(render);

  function measure() {
    const height = rows[0]?.element.offsetHeight;
    if (height) rowHeight = height;
    pastHead = body.getBoundingClientRect().top + scrollY;
    later();
  }

  /** @param {readonly Tenant[]} newOrder @param {boolean} nowOld */
  function show(newOrder, nowOld) {
    order = newOrder;
    isOld = nowOld;
    version += 1;
    element.setAttribute('aria-rowcount', `${order.length + 1}`);
    render();
  }

  function render() {
    const hadFocus = body.contains(document.activeElement) || document.activeElement === element;
    const seen = Math.floor((scrollY - pastHead) / rowHeight) - MORE_ROWS;
    const first = Math.max(0, seen - (seen % TURN_ROWS));
    const fits = Math.ceil(innerHeight / rowHeight) + 2 * MORE_ROWS + TURN_ROWS;
    const from = Math.min(first, Math.max(0, order.length - fits));
    resize(Math.min(fits, order.length - from));
    shift(from);
    above.show(from * rowHeight);
    below.show((order.length - from - rows.length) * rowHeight);
    rows.forEach((row, index) => {
      const tenant = order[from + index];
      if (tenant !== undefined) row.show(tenant, from + index, isOld, version);
    });
    if (hadFocus) keepFocus();
  }

  /** @param {number} count */
  function resize(count) {
    while (rows.length > count) rows.pop()?.element.remove();
    while (rows.length < count) {
      const row = createRow();
      rows.push(row);
      below.before(row.element);
    }
  }

  /**
   * Rows that stay in sight stay as they are; the others go round to the other end.
   * @param {number} from
   */
  function shift(from) {
    if (Math.abs(from - start) < rows.length) {
      for (; start < from; start += 1) {
        const row = /** @type {Row} */ (rows.shift());
        rows.push(row);
        below.before(row.element);
      }
      for (; start > from; start -= 1) {
        const row = /** @type {Row} */ (rows.pop());
        rows.unshift(row);
        above.after(row.element);
      }
    }
    start = from;
  }

  /** Focus stays with its tenant, wherever that has gone. */
  function keepFocus() {
    const row = rows.find(({ key }) => key() === active);
    const target = row?.link ?? element;
    if (document.activeElement !== target) target.focus({ preventScroll: true });
  }

  body.addEventListener('focusin', (event) => {
    const row = rows.find(({ link }) => link === event.target);
    if (row !== undefined) active = row.key();
  });

  body.addEventListener('click', (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    const row = rows.find((each) => each.element.contains(target));
    if (target.closest('a') === null && `${getSelection()}` === '') row?.link.click();
  });

  // Raw fields are put together only for what is pointed at.
  body.addEventListener('pointerover', (event) => {
    const cell = /** @type {HTMLElement} */ (event.target).closest('td, th');
    const row = rows.find((each) => cell !== null && each.element.contains(cell));
    if (cell instanceof HTMLElement) cell.title = row?.rawOf(cell) ?? '';
  });

  /** @param {string} key @returns {boolean} whether it is in the table */
  function focus(key) {
    const index = order.findIndex((tenant) => tenant.key === key);
    if (index < 0) return false;
    active = key;
    const top = pastHead + index * rowHeight;
    const head = heads[0]?.offsetHeight ?? 0;
    if (top - head < scrollY) scrollTo({ top: top - head });
    else if (top + 2 * rowHeight > scrollY + innerHeight) {
      scrollTo({ top: top + 2 * rowHeight - innerHeight });
    }
    render();
    rows.find((row) => row.key() === key)?.link.focus({ preventScroll: true });
    return true;
  }

  /** To the row that is so many further. @param {number} by */
  function move(by) {
    const at = order.findIndex(({ key }) => key === active);
    const hasFocus = element.contains(document.activeElement);
    const to = at < 0 || !hasFocus ? Math.max(at, 0) : at + by;
    const tenant = order[Math.max(0, Math.min(order.length - 1, to))];
    if (tenant !== undefined) focus(tenant.key);
  }

  /** @param {string} id @param {boolean} isUp */
  function sorted(id, isUp) {
    COLUMNS.forEach((column, index) => {
      const head = /** @type {HTMLElement} */ (heads[index]);
      if (column.id === id) head.setAttribute('aria-sort', isUp ? 'ascending' : 'descending');
      else head.removeAttribute('aria-sort');
    });
  }

  addEventListener('scroll', later, { passive: true });
  addEventListener('resize', measure);
  const observer = new ResizeObserver(measure);

  return {
    element,
    show,
    focus,
    move,
    sorted,
    open() {
      observer.observe(document.body);
      measure();
    },
    close() {
      observer.disconnect();
      removeEventListener('scroll', later);
      removeEventListener('resize', measure);
    },
  };
}

/** Stands for the rows that do not exist. */
function spacer() {
  const element = h('tr', { class: 'space', 'aria-hidden': 'true' }, h('td'));
  let shown = -1;
  return Object.assign(element, {
    /** @param {number} height */
    show(height) {
      if (height === shown) return;
      shown = height;
      element.style.height = `${height}px`;
      element.hidden = height === 0;
    },
  });
}

function createRow() {
  const element = h('tr');
  const cells = COLUMNS.map(({ id, make }) => {
    const cell = id === 'tenant' ? h('th', { class: id, scope: 'row' }) : h('td', { class: id });
    element.append(cell);
    return { cell, update: make(cell) };
  });
  const link = /** @type {HTMLAnchorElement} */ (element.querySelector('a'));
  /** @type {Tenant | undefined} */
  let tenant;
  let shownIndex = -1;
  let shownVersion = -1;

  /**
   * @param {Tenant} now
   * @param {number} index
   * @param {boolean} isOld
   * @param {number} version
   */
  function show(now, index, isOld, version) {
    if (tenant === now && index === shownIndex && version === shownVersion) return;
    tenant = now;
    shownVersion = version;
    if (index !== shownIndex) {
      shownIndex = index;
      element.setAttribute('aria-rowindex', `${index + 2}`);
    }
    const name = rowClass(now);
    if (element.className !== name) element.className = name;
    for (const { update } of cells) update(now, isOld);
  }

  return {
    element,
    link,
    show,
    key: () => tenant?.key,
    /** @param {HTMLElement} cell */
    rawOf: (cell) => tenant && COLUMNS[cells.findIndex((each) => each.cell === cell)]?.raw(tenant),
  };
}

// Lists of names and values.
import { fill, h, put, textNode } from './dom.js';

/**
 * `raw` is the field as the host tells it.
 * @typedef {[name: string, value: string, raw?: string]} Fact
 */

/**
 * A list that can be told other values: what reads the same is left as it is, so that a selection
 * in it lasts.
 */
export function createFacts() {
  const element = h('dl', { class: 'facts' });
  /** @type {Array<{ name: string, row: HTMLElement, value: Text }>} */
  let rows = [];

  /** @param {(Fact | false)[]} told `false` is left out */
  function show(told) {
    const facts = told.filter((fact) => fact !== false);
    const isSame =
      facts.length === rows.length && facts.every(([name], index) => rows[index]?.name === name);
    if (!isSame) {
      rows = facts.map(([name]) => {
        const value = textNode();
        return { name, value, row: h('div', {}, h('dt', {}, name), h('dd', {}, value)) };
      });
      fill(element, ...rows.map(({ row }) => row));
    }
    facts.forEach(([, text, raw = ''], index) => {
      const { row, value } = /** @type {(typeof rows)[number]} */ (rows[index]);
      put(value, text);
      if (row.title !== raw) row.title = raw;
    });
  }

  return { element, show };
}

/**
 * @param {string} title
 * @param {...import('./dom.js').Child} content
 */
export function panel(title, ...content) {
  const id = `panel-${title.toLowerCase().replace(/[^a-z]+/g, '-')}`;
  return h(
    'section',
    { class: 'panel', 'aria-labelledby': id },
    h('h2', { id }, title),
    ...content,
  );
}

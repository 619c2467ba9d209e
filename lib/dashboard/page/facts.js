// Lists of names and values.
import { h } from './dom.js';

/**
 * `raw` is the field as the host tells it.
 * @typedef {[name: string, value: string | Node, raw?: string]} Fact
 */

/** @param {(Fact | false)[]} facts `false` is left out */
export const factList = (facts) =>
  h(
    'dl',
    { class: 'facts' },
    ...facts
      .filter((fact) => fact !== false)
      .map(([name, value, raw]) => h('div', { title: raw }, h('dt', {}, name), h('dd', {}, value))),
  );

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

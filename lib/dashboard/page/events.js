// What has happened: a tenant's timeline, and the host's.
import { pathOf } from './columns.js';
import { h } from './dom.js';
import { momentOf } from './format.js';
import { panel } from './facts.js';
import { plain } from './plain.js';

/** @typedef {import('./shapes.js').HostEvent} HostEvent */

/** Older ones are let go. */
const MOST = 500;
/** What each kind is to an operator. @type {Record<string, string>} */
const KINDS = {
  backoff: 'warn',
  'lru-evict': 'warn',
  limited: 'warn',
  ready: 'good',
  restored: 'good',
  'start-failed': 'bad',
  'replace-failed': 'bad',
};

/** @param {{ hasKeys: boolean }} settings whether events are of several tenants */
export function createEventList({ hasKeys }) {
  const element = h('ol', { class: 'events' });
  let last = -1;

  function clear() {
    last = -1;
    element.replaceChildren();
  }

  /** The latest is on top. @param {HostEvent} event */
  function add(event) {
    if (event.seq <= last) return;
    last = event.seq;
    element.prepend(itemOf(event, hasKeys));
    while (element.childElementCount > MOST) element.lastElementChild?.remove();
  }

  return { element, add, clear, isEmpty: () => element.childElementCount === 0 };
}

/** A process ended as it should not have. @param {HostEvent} event */
const isFailure = ({ type, reason, limit }) =>
  type === 'exit' &&
  (reason === 'crashed' || reason === 'readiness-timeout' || limit !== undefined);

/** @param {HostEvent} event @param {boolean} hasKey */
function itemOf(event, hasKey) {
  const { seq, at, type, key, text, ...raw } = event;
  const kind = isFailure(event) ? 'bad' : (KINDS[type] ?? '');
  const fields = Object.entries(raw).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
  const title = [type, ...fields].join(', ');
  return h(
    'li',
    { class: kind, title: plain(title) },
    h('time', { datetime: new Date(at).toISOString() }, momentOf(at)),
    hasKey &&
      (key === null ? h('b', {}, 'Host') : h('a', { href: pathOf(key) }, h('bdi', {}, plain(key)))),
    h('span', {}, plain(text)),
  );
}

/** @param {import('./shapes.js').Context} context @returns {import('./shapes.js').View} */
export function openEvents({ link, setHost }) {
  const list = createEventList({ hasKeys: true });
  const empty = h('p', { class: 'empty' }, 'Nothing has happened yet.');
  const heading = h('h1', { tabindex: '-1' }, 'Events');
  const element = h(
    'div',
    { class: 'narrow' },
    heading,
    panel('What happened, latest first', empty, list.element),
  );
  const ends = [
    link.follow(`/events?n=${MOST}`, {
      opened: list.clear,
      /** @param {HostEvent} event */
      event(event) {
        list.add(event);
        empty.hidden = true;
      },
    }),
    // The host says each second that it is there.
    link.follow('/host', { host: setHost }),
  ];
  return {
    title: 'Events',
    element,
    focus: () => heading.focus(),
    tick: () => {},
    key: () => false,
    close: () => ends.forEach((end) => end()),
  };
}

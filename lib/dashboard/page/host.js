// The host itself: what runs, what room it has, and what it keeps tenants from.
import { fill, h } from './dom.js';
import { factList, panel } from './facts.js';
import { bytes, count, duration, hostNow, momentOf, rate } from './format.js';
import { plain } from './plain.js';
import { limitRow, wallRows } from './words.js';

/** @typedef {import('./shapes.js').Host} Host */

/** @param {import('./shapes.js').Context} context @returns {import('./shapes.js').View} */
export function openHost({ link, host, setHost }) {
  const heading = h('h1', { tabindex: '-1' }, 'Host');
  const places = h('div', { class: 'panels' });
  const element = h('div', { class: 'narrow' }, heading, places);
  let shown = '';

  function show() {
    const now = host();
    if (now === undefined) return;
    const panels = panelsOf(now, link.isLost());
    const text = panels.map((each) => each.textContent).join();
    if (text === shown) return;
    shown = text;
    fill(places, ...panels);
  }

  const end = link.follow('/host', {
    /** @param {Host} now */
    host(now) {
      setHost(now);
      show();
    },
  });
  return {
    title: 'Host',
    element,
    focus: () => heading.focus(),
    tick: show,
    key: () => false,
    close: end,
  };
}

/** @param {Host} host @param {boolean} isOld */
function panelsOf(host, isOld) {
  const { runtime, gateway, protects, logs, memory } = host;
  return [
    panel(
      'What runs',
      factList([
        ['Name', plain(host.name), 'name'],
        ['Version', `${host.version}, ${host.engine}`, 'version, engine'],
        ['Process', `${host.pid}, ${bytes(host.hostRssBytes)}`, 'pid, hostRssBytes'],
        [
          'Started',
          isOld
            ? momentOf(host.startedAt)
            : `${momentOf(host.startedAt)}, ${duration(hostNow() - host.startedAt)} ago`,
          'startedAt',
        ],
        ['Tenants in', plain(host.root), 'root'],
        ['Control socket', plain(host.control.path), 'control.path'],
        [
          'Output kept',
          logs.files === null
            ? `${bytes(logs.bytes)} in memory`
            : `${bytes(logs.files.bytes)} of ${bytes(logs.files.maxBytes)} in ${plain(logs.files.directory)}`,
          'logs',
        ],
      ]),
    ),
    panel(
      'Room',
      factList([
        [
          'Running',
          `${count(runtime.running)} of ${count(runtime.maxConcurrent)}`,
          'runtime.running, maxConcurrent',
        ],
        ['Backing off', count(runtime.backoff), 'runtime.backoff'],
        [
          'Starts, crashes',
          `${count(runtime.starts)}, ${count(runtime.crashes)}`,
          'runtime.starts, crashes',
        ],
        [
          'Load',
          `${host.loadAverage.map((load) => rate(load)).join(', ')} of ${host.cpuCount}`,
          'loadAverage, cpuCount',
        ],
        ['Memory free', `${bytes(memory.availableBytes)} of ${bytes(memory.totalBytes)}`, 'memory'],
        ['New tenants', runtime.draining ? 'refused: it is draining' : 'taken', 'runtime.draining'],
      ]),
    ),
    panel(
      'What tenants are kept from',
      factList([
        ...protects.limits.map(limitRow),
        ...wallRows(protects.isolation),
        protects.perTenant && [
          'Others',
          'as their own page says',
          'protects.perTenant: a function says what differs',
        ],
      ]),
      protects.missing.length > 0 &&
        h('ul', { class: 'missing' }, ...protects.missing.map((text) => h('li', {}, plain(text)))),
    ),
    panel(
      'Gateway',
      gateway === null ? h('p', { class: 'empty' }, 'This host has none.') : gatewayFacts(gateway),
    ),
  ];
}

/** @param {NonNullable<Host['gateway']>} gateway */
const gatewayFacts = ({ addresses, connections, inFlight, waiting, requests, requestsPerSecond }) =>
  factList([
    ['Addresses', addresses.map(plain).join(', '), 'gateway.addresses'],
    ['Connections', count(connections), 'gateway.connections'],
    ['Under way, waiting', `${count(inFlight)}, ${count(waiting)}`, 'gateway.inFlight, waiting'],
    ['Requests a second', rate(requestsPerSecond), 'gateway.requestsPerSecond'],
    ...Object.entries(requests).map(
      ([status, sum]) =>
        /** @type {[string, string, string]} */ ([
          `Answers ${status}`,
          count(sum),
          `gateway.requests.${status}`,
        ]),
    ),
  ]);

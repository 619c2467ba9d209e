// The host itself: what runs, what room it has, and what it keeps tenants from.
import { fill, h } from './dom.js';
import { createFacts, panel } from './facts.js';
import { bytes, count, duration, hostNow, momentOf, rate } from './format.js';
import { plain } from './plain.js';
import { limitRow, wallRows } from './words.js';

/** @typedef {import('./shapes.js').Host} Host */

/** @typedef {import('./facts.js').Fact} Fact */

/** @param {import('./shapes.js').Context} context @returns {import('./shapes.js').View} */
export function openHost({ link, host, setHost }) {
  const heading = h('h1', { tabindex: '-1' }, 'Host');
  const [runs, room, kept, gateway] = [createFacts(), createFacts(), createFacts(), createFacts()];
  const missing = h('ul', { class: 'missing', hidden: true });
  const none = h('p', { class: 'empty', hidden: true }, 'This host has none.');
  const element = h(
    'div',
    { class: 'narrow' },
    heading,
    h(
      'div',
      { class: 'panels' },
      panel('What runs', runs.element),
      panel('Room', room.element),
      panel('What tenants are kept from', kept.element, missing),
      panel('Gateway', gateway.element, none),
    ),
  );
  let toldMissing = '';

  function show() {
    const now = host();
    if (now === undefined) return;
    runs.show(whatRuns(now, link.isLost()));
    room.show(whatRoom(now));
    kept.show(whatIsKept(now.protects));
    gateway.show(now.gateway === null ? [] : whatGateway(now.gateway));
    none.hidden = now.gateway !== null;
    const texts = now.protects.missing.map(plain);
    missing.hidden = texts.length === 0;
    if (toldMissing === texts.join('\n')) return;
    toldMissing = texts.join('\n');
    fill(missing, ...texts.map((text) => h('li', {}, text)));
  }

  const end = link.follow('/host', {
    /** @param {Host} now */
    host(now) {
      setHost(now);
      show();
    },
  });
  show();
  return {
    title: 'Host',
    element,
    focus: () => heading.focus(),
    tick: show,
    key: () => false,
    close: end,
  };
}

/** @param {Host} host @param {boolean} isOld @returns {Fact[]} */
function whatRuns(
  { name, version, engine, pid, hostRssBytes, startedAt, root, survive, control, logs },
  isOld,
) {
  const since = isOld ? '' : `, ${duration(hostNow() - startedAt)} ago`;
  const { files } = logs;
  const kept =
    files === null
      ? `${bytes(logs.bytes)} in memory`
      : `${bytes(files.bytes)} of ${bytes(files.maxBytes)} in ${plain(files.directory)}`;
  return [
    ['Name', plain(name), 'name'],
    ['Version', `${version}, ${engine}`, 'version, engine'],
    ['Process', `${pid}, ${bytes(hostRssBytes)}`, 'pid, hostRssBytes'],
    ['Started', `${momentOf(startedAt)}${since}`, 'startedAt'],
    ['Tenants in', plain(root), 'root'],
    ...(survive === null ? [] : [whoOwns(survive)]),
    ['Control socket', plain(control.path), 'control.path'],
    ['Output kept', kept, 'logs'],
    ...(files?.isFailing ? [/** @type {Fact} */ (['Files of output', 'cannot be written'])] : []),
  ];
}

/** @param {NonNullable<Host['survive']>} survive @returns {Fact} */
function whoOwns({ name, forMs, ownedSince }) {
  const since =
    ownedSince === null ? 'not this host’s yet' : `this host’s since ${momentOf(ownedSince)}`;
  const wait = forMs === null ? 'until there is another' : `for ${duration(forMs)}`;
  return [
    'They outlive it',
    `as ${plain(name)}, ${since}; they wait for the next ${wait}`,
    'survive',
  ];
}

/** @param {Host} host @returns {Fact[]} */
function whatRoom({ runtime, loadAverage, cpuCount, memory }) {
  const { running, asleep, maxConcurrent, backoff, starts, crashes, draining } = runtime;
  const loads = loadAverage.map((load) => rate(load)).join(', ');
  return [
    [
      'Running, asleep',
      `${count(running - asleep)} of ${count(maxConcurrent)}, ${count(asleep)}`,
      'runtime.running, asleep, maxConcurrent',
    ],
    ['Backing off', count(backoff), 'runtime.backoff'],
    ['Starts, crashes', `${count(starts)}, ${count(crashes)}`, 'runtime.starts, crashes'],
    ['Load', `${loads} on ${cpuCount}`, 'loadAverage, cpuCount'],
    ['Memory free', `${bytes(memory.availableBytes)} of ${bytes(memory.totalBytes)}`, 'memory'],
    ['New tenants', draining ? 'refused: it is draining' : 'taken', 'runtime.draining'],
  ];
}

/** @param {Host['protects']} protects @returns {(Fact | false)[]} */
const whatIsKept = ({ limits, isolation, perTenant }) => [
  ...limits.map(limitRow),
  ...wallRows(isolation),
  perTenant && ['Others', 'as their own pages say', 'protects.perTenant: a function says them'],
];

/** @param {NonNullable<Host['gateway']>} gateway @returns {Fact[]} */
const whatGateway = ({
  addresses,
  connections,
  inFlight,
  waiting,
  requests,
  requestsPerSecond,
}) => [
  ['Addresses', addresses.map(plain).join(', '), 'gateway.addresses'],
  ['Connections', count(connections), 'gateway.connections'],
  ['Under way, waiting', `${count(inFlight)}, ${count(waiting)}`, 'gateway.inFlight, waiting'],
  ['Requests a second', rate(requestsPerSecond), 'gateway.requestsPerSecond'],
  ...Object.entries(requests).map(
    ([status, sum]) =>
      /** @type {Fact} */ ([`Answers ${status}`, count(sum), `gateway.requests.${status}`]),
  ),
];

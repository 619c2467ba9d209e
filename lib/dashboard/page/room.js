// The totals, and what room the host has left.
import { h, put, textNode } from './dom.js';
import { bytes, count, percent, rate } from './format.js';

/** More than this of anything is worth a second look. */
const TIGHT = 0.9;

const WELL = 'nothing is wrong';
const FILES_FAIL = 'files of output cannot be written';

export function createRoom() {
  const problems = figure('Problems');
  const running = figure('Running', true);
  const requests = figure('Requests/s');
  const processors = figure('Load', true);
  const memory = figure('Memory', true);
  const all = [problems, running, requests, processors, memory];
  const element = h(
    'dl',
    { class: 'room', 'aria-label': 'The host' },
    ...all.map((f) => f.element),
  );

  /**
   * @param {import('./shapes.js').Host | undefined} host
   * @param {number} wrong how many tenants have a problem
   */
  function show(host, wrong) {
    const isFailing = host?.logs.files?.isFailing === true;
    problems.show(count(wrong), isFailing ? FILES_FAIL : wrong === 0 ? WELL : 'listed first below');
    problems.element.classList.toggle('bad', wrong > 0 || isFailing);
    if (host === undefined) return;
    const { runtime, gateway, loadAverage, cpuCount, memory: of } = host;
    const { asleep, maxConcurrent } = runtime;
    const taken = runtime.total - asleep;
    const free = `${count(Math.max(0, maxConcurrent - taken))} of ${count(maxConcurrent)} places free`;
    running.show(
      count(runtime.running - asleep),
      asleep === 0 ? free : `${free}, ${count(asleep)} asleep`,
      taken / maxConcurrent,
      `running ${runtime.running}, asleep ${asleep}, total ${runtime.total}, ` +
        `maxConcurrent ${maxConcurrent}`,
    );
    if (gateway === null) requests.show('–', 'no gateway');
    else requests.show(rate(gateway.requestsPerSecond), requestNote(gateway));
    processors.show(
      rate(loadAverage[0]),
      `on ${count(cpuCount)} ${cpuCount === 1 ? 'processor' : 'processors'}`,
      loadAverage[0] / cpuCount,
      `loadAverage ${loadAverage.join(', ')}`,
    );
    const used = of.totalBytes - of.availableBytes;
    memory.show(
      bytes(used),
      `of ${bytes(of.totalBytes)}, ${percent(Math.round((100 * used) / of.totalBytes))}`,
      used / of.totalBytes,
      `memory.availableBytes ${of.availableBytes} of totalBytes ${of.totalBytes}`,
    );
  }

  return { element, show };
}

/** @param {NonNullable<import('./shapes.js').Host['gateway']>} gateway */
function requestNote({ inFlight, waiting }) {
  const waits = waiting === 0 ? '' : `, ${count(waiting)} waiting`;
  return `${count(inFlight)} under way${waits}`;
}

/** @param {string} name @param {boolean} [hasBar] */
function figure(name, hasBar = false) {
  const value = textNode('–');
  const note = textNode('');
  const bar = createBar();
  const element = h(
    'div',
    { class: 'figure' },
    h('dt', {}, name),
    h('dd', {}, h('strong', {}, value), h('span', { class: 'note' }, note)),
    hasBar && bar.element,
  );

  /** @param {string} now @param {string} more @param {number} [share] @param {string} [raw] */
  function show(now, more, share, raw) {
    put(value, now);
    put(note, more);
    bar.show(share);
    if (raw !== undefined && element.title !== raw) element.title = raw;
  }

  return { element, show };
}

/** How much of something is used. Its figure is told in text beside it. */
export function createBar() {
  const filled = h('span');
  const element = h('span', { class: 'bar', 'aria-hidden': 'true' }, filled);
  let shown = NaN;

  /** @param {number | null | undefined} share from 0 to 1 */
  function show(share) {
    const now = Math.round(100 * Math.min(1, share ?? 0));
    element.hidden = share === null || share === undefined;
    if (now === shown) return;
    shown = now;
    filled.style.transform = `scaleX(${now / 100})`;
    element.classList.toggle('tight', now > 100 * TIGHT);
  }

  return { element, show };
}

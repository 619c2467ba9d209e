// Lines over time: a small one for a row of the table, and one that can be read off.
import { h, put, svg, textNode } from './dom.js';
import { timeOf } from './format.js';

/**
 * The line through values from left to right, in a box of `width` by `height`. It breaks where
 * nothing is known.
 * @param {readonly (number | null)[]} values
 * @param {number} top the value at the upper edge
 * @param {number} width
 * @param {number} height
 */
function pathOf(values, top, width, height) {
  const step = width / Math.max(1, values.length - 1);
  let path = '';
  let isDrawing = false;
  values.forEach((value, index) => {
    if (value !== null) {
      const y = height - (Math.min(value, top) / top) * height;
      path += `${isDrawing ? 'L' : 'M'}${(index * step).toFixed(1)} ${y.toFixed(1)}`;
    }
    isDrawing = value !== null;
  });
  return path;
}

/** A steady small value is a low line, and not a full box. */
const LEAST_TOP = 1;

export function createSparkline() {
  const [width, height] = [88, 20];
  const line = svg('path', { class: 'line' });
  const viewBox = `0 -1 ${width} ${height + 2}`;
  const element = svg('svg', { class: 'spark', viewBox, 'aria-hidden': 'true' }, line);
  /** @type {readonly number[] | undefined} */
  let shown;

  /** @param {readonly number[]} values */
  function show(values) {
    if (values === shown) return;
    shown = values;
    const top = Math.max(LEAST_TOP, ...values);
    line.setAttribute('d', top === 0 ? '' : pathOf(values, top, width, height));
  }

  return { element, show };
}

/** A chart's own coordinates; it is stretched to its place. */
const [WIDTH, HEIGHT] = [300, 72];

/**
 * @param {string} name in people's words
 * @param {string} raw the field
 * @param {(value: number | null) => string} read
 */
export function createChart(name, raw, read) {
  const area = svg('path', { class: 'area' });
  const line = svg('path', { class: 'line' });
  const limit = svg('path', { class: 'limit' });
  const at = svg('path', { class: 'at' });
  const viewBox = `0 -2 ${WIDTH} ${HEIGHT + 4}`;
  const drawing = svg(
    'svg',
    { class: 'drawing', viewBox, preserveAspectRatio: 'none', role: 'img', 'aria-label': name },
    area,
    limit,
    line,
    at,
  );
  const value = textNode();
  const note = textNode();
  const element = h(
    'figure',
    { class: 'chart' },
    h('figcaption', { title: raw }, h('span', {}, name), h('strong', {}, value)),
    drawing,
    h('p', { class: 'note' }, note),
  );
  /** @type {readonly number[]} */
  let times = [];
  /** @type {readonly (number | null)[]} */
  let values = [];
  /** @type {number | null} */
  let most = null;
  /** @type {number | undefined} the column that the pointer is at */
  let pointed;

  drawing.addEventListener('pointermove', (event) => {
    const box = drawing.getBoundingClientRect();
    const { clientX } = /** @type {PointerEvent} */ (event);
    const share = (clientX - box.left) / box.width;
    pointed = Math.max(0, Math.min(values.length - 1, Math.round(share * (values.length - 1))));
    label();
  });
  drawing.addEventListener('pointerleave', () => {
    pointed = undefined;
    label();
  });

  /**
   * @param {readonly number[]} newTimes
   * @param {readonly (number | null)[]} newValues
   * @param {number | null} [newMost] the limit, which is drawn
   */
  function show(newTimes, newValues, newMost = null) {
    [times, values, most] = [newTimes, newValues, newMost];
    const top = Math.max(LEAST_TOP, highest(), most ?? 0) * (most === null ? 1.1 : 1.02);
    const path = pathOf(values, top, WIDTH, HEIGHT);
    line.setAttribute('d', path);
    area.setAttribute('d', values.includes(null) ? '' : `${path}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z`);
    const y = most === null ? 0 : HEIGHT - (most / top) * HEIGHT;
    limit.setAttribute('d', most === null ? '' : `M0 ${y}H${WIDTH}`);
    label();
  }

  const highest = () => Math.max(0, ...values.map((each) => each ?? 0));

  function label() {
    const index = pointed ?? values.length - 1;
    const of = most === null ? '' : ` of ${read(most)}`;
    put(value, read(values[index] ?? null));
    const from = times[0] === undefined ? '' : `since ${timeOf(times[0])}`;
    put(
      note,
      pointed === undefined || times[index] === undefined
        ? `${of.trim() === '' ? '' : `${of.trim()} · `}most ${read(highest())} ${from}`
        : `at ${timeOf(times[index])}`,
    );
    const x = (index / Math.max(1, values.length - 1)) * WIDTH;
    at.setAttribute('d', pointed === undefined ? '' : `M${x} 0V${HEIGHT}`);
    const now = read(values.at(-1) ?? null);
    drawing.setAttribute(
      'aria-label',
      `${name}: now ${now}${of}, at most ${read(highest())} ${from}`,
    );
  }

  return { element, show };
}

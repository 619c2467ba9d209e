/** A table that fits its width: the columns that matter least go first. */
import { clip, harmlessCell, width } from './text.js';

/**
 * @template T
 * @typedef {object} Column
 * @property {string} title
 * @property {(row: T) => string} cell
 * @property {number} rank how much it matters: 1 goes last, 0 never
 * @property {'left' | 'right'} [side]
 * @property {boolean} [isElastic] is cut where there is no room
 * @property {(row: T) => number | undefined} [colour]
 */

const GAP = '  ';
/** Less of a cell that is cut says nothing. */
const LEAST_ELASTIC = 8;

/**
 * @template T
 * @param {readonly T[]} rows
 * @param {readonly Column<T>[]} columns
 * @param {number} room in columns of the terminal
 * @param {(code: number | string | undefined, text: string) => string} paint
 * @returns {string[]} lines, the titles first
 */
export function table(rows, columns, room, paint) {
  // Each cell is looked at once: with a thousand tenants there are many.
  const cells = columns.map(({ title, cell }) => {
    const texts = [title, ...rows.map((row) => harmlessCell(cell(row)))];
    return { texts, widths: texts.map(width) };
  });
  const natural = cells.map(({ widths }) => widths.reduce((a, b) => Math.max(a, b), 0));
  const shown = fitting(columns, natural, room);
  const widths = elastic(columns, natural, shown, room);
  /** @type {string[]} */
  const lines = Array(rows.length + 1).fill('');
  shown.forEach((index, place) => {
    const { side = 'left', colour } = /** @type {Column<T>} */ (columns[index]);
    const given = /** @type {number} */ (widths.get(index));
    const { texts, widths: own } = /** @type {typeof cells[0]} */ (cells[index]);
    const isLast = place === shown.length - 1;
    for (let at = 0; at < lines.length; at += 1) {
      const isCut = /** @type {number} */ (own[at]) > given;
      const text = isCut ? clip(texts[at] ?? '', given) : (texts[at] ?? '');
      const blank = ' '.repeat(Math.max(0, given - (isCut ? width(text) : (own[at] ?? 0))));
      const row = at === 0 ? undefined : rows[at - 1];
      const painted = text === '' || row === undefined ? text : paint(colour?.(row), text);
      const gap = place === 0 ? '' : GAP;
      lines[at] += gap + (side === 'right' ? blank + painted : painted + (isLast ? '' : blank));
    }
  });
  const [titles = '', ...others] = lines.map((line) => line.trimEnd());
  return [paint(1, titles), ...others];
}

/**
 * The places of the columns that fit, each as narrow as it may be.
 *
 * @param {readonly Column<any>[]} columns
 * @param {readonly number[]} natural
 * @param {number} room
 */
function fitting(columns, natural, room) {
  let shown = columns.map((_, index) => index);
  const least = (/** @type {number} */ index) =>
    columns[index]?.isElastic
      ? Math.min(natural[index] ?? 0, LEAST_ELASTIC)
      : (natural[index] ?? 0);
  const needed = () =>
    shown.reduce((total, index) => total + least(index) + GAP.length, -GAP.length);
  while (needed() > room) {
    const rank = Math.max(...shown.map((index) => columns[index]?.rank ?? 0));
    if (rank === 0) break;
    shown = shown.filter((index) => columns[index]?.rank !== rank);
  }
  return shown;
}

/**
 * The widths: what is left goes to the elastic columns, from the left.
 *
 * @param {readonly Column<any>[]} columns
 * @param {readonly number[]} natural
 * @param {readonly number[]} shown
 * @param {number} room
 */
function elastic(columns, natural, shown, room) {
  const rigid = shown.filter((index) => !columns[index]?.isElastic);
  const taken = rigid.reduce((total, index) => total + (natural[index] ?? 0), 0);
  let left = room - taken - GAP.length * (shown.length - 1);
  const widths = new Map(shown.map((index) => [index, natural[index] ?? 0]));
  const flexible = shown.filter((index) => columns[index]?.isElastic);
  flexible.forEach((index, at) => {
    const others = (flexible.length - at - 1) * LEAST_ELASTIC;
    const given = Math.max(1, Math.min(natural[index] ?? 0, left - others));
    widths.set(index, given);
    left -= given;
  });
  return widths;
}

/** A table that fits its width: the columns that matter least go first. */
import { clip, harmlessCell, pad, width } from './text.js';

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
  const cells = columns.map((column) => rows.map((row) => harmlessCell(column.cell(row))));
  const natural = columns.map(({ title }, index) =>
    Math.max(width(title), ...(cells[index] ?? []).map(width)),
  );
  const shown = fitting(columns, natural, room);
  const widths = elastic(columns, natural, shown, room);
  const line = (/** @type {(index: number) => string} */ cellAt, /** @type {T} */ row) =>
    shown
      .map((index) => {
        const { side, colour } = /** @type {Column<T>} */ (columns[index]);
        const columnWidth = /** @type {number} */ (widths.get(index));
        const isLast = index === shown.at(-1);
        const text = clip(cellAt(index), columnWidth);
        const padded = isLast && side !== 'right' ? text : pad(text, columnWidth, side);
        return row === undefined ? padded : paint(colour?.(row), padded);
      })
      .join(GAP)
      .trimEnd();
  const titles = line((index) => columns[index]?.title ?? '', /** @type {any} */ (undefined));
  return [
    paint(1, titles),
    ...rows.map((row, at) => line((index) => cells[index]?.[at] ?? '', row)),
  ];
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

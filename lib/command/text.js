/**
 * Text for terminals: what a tenant says, made harmless; how many columns it takes; cut to
 * columns.
 */
import { HIDDEN, spelt } from '../dashboard/page/hidden.js';

/** What most texts are: nothing in them can be wide, or steer. */
const ASCII = /^[\x20-\x7e]*$/;
/** A colour, as terminals ask for it: `ESC [ … m`. It is dropped, as it says nothing in words. */
const COLOURS = /\x1b\[[\d;:]*m/g;
/** What {@link harmless} shows instead of sending it: what is hidden, and the line feed. */
const STEERING = new RegExp(`${HIDDEN.source}|\\n`, HIDDEN.flags);

/**
 * What another wrote, without the power to steer a terminal: colours are left out, and every other
 * escape is shown instead of sent (`␛]0;…`). All output of the commands goes through it.
 *
 * @param {string} text
 */
export function harmless(text) {
  if (ASCII.test(text)) return text;
  return text.replace(COLOURS, '').replace(STEERING, shownInstead);
}

/** @param {string} character */
const shownInstead = (character) => spelt(character, '<', '>');

/**
 * A value as JSON. What steers a terminal is written as `\u…`, which is the same value.
 *
 * @param {unknown} value
 */
export const asJson = (value) =>
  JSON.stringify(value).replace(STEERING, (character) =>
    // Beyond the first plane a character is two of these.
    Array.from(
      { length: character.length },
      (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`,
    ).join(''),
  );

/** What {@link harmless} gives, for a cell of a table, in which a tab would shift what follows. @param {string} text */
export const harmlessCell = (text) => harmless(text).replaceAll('\t', ' ');

/** Marks that are drawn over the character before them, and characters without a width. */
const NARROW = /[\p{Mn}\p{Me}\p{Cf}\ufe00-\ufe0f]/u;
/** What terminals draw over two columns. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}\p{Emoji_Presentation}]/u;

/** The columns of one character. @param {string} character */
const columnsOf = (character) => (NARROW.test(character) ? 0 : WIDE.test(character) ? 2 : 1);

/** The columns that a text takes in a terminal. @param {string} text harmless */
export function width(text) {
  if (ASCII.test(text)) return text.length;
  let columns = 0;
  for (const character of text) columns += columnsOf(character);
  return columns;
}

/**
 * Cuts a text to so many columns; `…` says that something is missing.
 *
 * @param {string} text harmless
 * @param {number} columns
 */
export function clip(text, columns) {
  if (width(text) <= columns) return text;
  if (columns < 1) return '';
  let taken = 0;
  let kept = '';
  for (const character of text) {
    taken += columnsOf(character);
    if (taken > columns - 1) break;
    kept += character;
  }
  return `${kept}…`;
}

/**
 * Breaks a text at spaces; a word that is longer than a line stays whole.
 *
 * @param {string} text harmless
 * @param {number} columns
 * @returns {string[]}
 */
export function wrapped(text, columns) {
  /** @type {string[]} */
  const lines = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && width(line) + 1 + width(word) > columns) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

// What tenants write, made harmless: names and lines are shown as they are spelt, and of terminal
// escapes only colours and weights are left, as classes from a list.
import { HIDDEN, spelt } from './hidden.js';

/**
 * A name or a sentence of a tenant's, with what could not be seen made visible.
 * @param {string} text
 */
export const plain = (text) => withoutEscapes(`${text}`).replace(HIDDEN, visible);

/** @param {string} character */
const visible = (character) => spelt(character, '\u27e8', '\u27e9');

/** Of terminal escapes: each kind, by how it begins and ends. */
const ESCAPES = [
  // CSI: the first group is what it says, the second its kind.
  /(?:\u001b\[|\u009b)([0-?]*)[ -/]*([@-~])/,
  // OSC, DCS, APC, PM and SOS, up to their end, or to that of the line.
  /(?:\u001b[\]PX^_]|[\u0090\u0098\u009d-\u009f])[^\u0007\u001b\u009c]*(?:\u0007|\u001b\\|\u009c|$)/,
  // Those of two characters, and what is cut off.
  /\u001b[ -/]*[0-~]?/,
];
const ESCAPE = new RegExp(ESCAPES.map(({ source }) => source).join('|'), 'g');

/** @param {string} text */
export const withoutEscapes = (text) => text.replace(ESCAPE, '');

const COLOURS = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'];
/** The classes that an attribute of a terminal becomes. */
const ATTRIBUTES = /** @type {Record<number, string>} */ ({
  1: 'bold',
  2: 'dim',
  3: 'italic',
  4: 'underline',
});
/** Which of them 22, 23 and 24 end. */
const ENDS = /** @type {Record<number, string[]>} */ ({
  22: ['bold', 'dim'],
  23: ['italic'],
  24: ['underline'],
});
/** What is shown of a line; the rest is told by its length. */
export const LONGEST = 4000;

/**
 * A line as spans: text, and the classes that it has.
 * @param {string} line
 * @returns {Array<{ text: string, classes: string }>}
 */
export function spansOf(line) {
  const shown = line.length > LONGEST ? line.slice(0, LONGEST) : line;
  /** @type {Array<{ text: string, classes: string }>} */
  const spans = [];
  let colour = '';
  /** @type {Set<string>} */
  const attributes = new Set();
  const push = (/** @type {string} */ text) => {
    const classes = [colour && `ansi-${colour}`, ...[...attributes].map((name) => `ansi-${name}`)];
    if (text !== '')
      spans.push({
        text: text.replace(HIDDEN, visible),
        classes: classes.filter(Boolean).join(' '),
      });
  };
  let from = 0;
  for (const match of shown.matchAll(ESCAPE)) {
    push(shown.slice(from, match.index));
    from = match.index + match[0].length;
    if (match[2] === 'm') apply(match[1] ?? '');
  }
  push(shown.slice(from));
  if (shown !== line)
    spans.push({ text: ` … ${line.length - LONGEST} characters more`, classes: 'ansi-dim' });
  return spans;

  function reset() {
    colour = '';
    attributes.clear();
  }

  /** @param {string} parameters */
  function apply(parameters) {
    const codes = parameters.split(/[;:]/).map(Number);
    for (let at = 0; at < codes.length; at += 1) {
      const code = codes[at] ?? 0;
      // A colour of 256 or of 16 million: its parts are no codes of their own.
      if (code === 38 || code === 48) at += codes[at + 1] === 5 ? 2 : 4;
      else if (code === 0) reset();
      else if (code === 39) colour = '';
      else if (code >= 30 && code <= 37) colour = COLOURS[code - 30] ?? '';
      else if (code >= 90 && code <= 97) colour = COLOURS[code - 90] ?? '';
      else if (ATTRIBUTES[code] !== undefined) attributes.add(ATTRIBUTES[code]);
      else ENDS[code]?.forEach((name) => attributes.delete(name));
    }
  }
}

/** Formats findings as text for people. */
import { inWords } from './findings.js';

/** @typedef {import('./findings.js').Finding} Finding */
/** @typedef {import('./findings.js').Level} Level */
/** @typedef {import('./findings.js').Section} Section */

/** @type {Record<Level, { mark: string, colour: number }>} */
const LEVELS = {
  ok: { mark: '✔', colour: 32 },
  note: { mark: '·', colour: 36 },
  warning: { mark: '!', colour: 33 },
  problem: { mark: '✘', colour: 31 },
};
const DIM = 2;
const BOLD = 1;
const WIDEST = 110;
const INDENT = 4;

/**
 * @param {Section[]} sections
 * @param {object} how
 * @param {string} how.heading
 * @param {boolean} how.colour
 * @param {number} how.columns of the terminal
 */
export function asText(sections, { heading, colour, columns }) {
  const paint = (/** @type {number} */ code, /** @type {string} */ text) =>
    colour ? `\x1b[${code}m${text}\x1b[0m` : text;
  const findings = sections.flatMap((section) => section.findings);
  const checkWidth = Math.max(...findings.map(({ check }) => check.length));
  const textWidth = Math.max(40, Math.min(columns, WIDEST) - INDENT - checkWidth - 2);
  const blank = ' '.repeat(INDENT + checkWidth + 2);

  const entry = (/** @type {Finding} */ { check, level, found, means, advice }) => {
    const { mark, colour: code } = LEVELS[level];
    const [first, ...rest] = wrapped(found, textWidth);
    const lines = [
      `  ${paint(code, mark)} ${check.padEnd(checkWidth)}  ${first}`,
      ...rest.map((line) => blank + line),
    ];
    lines.push(...wrapped(means, textWidth).map((line) => blank + paint(DIM, line)));
    if (advice)
      lines.push(
        ...wrapped(`→ ${advice}`, textWidth - 2).map(
          (line, index) => blank + (index ? '  ' : '') + line,
        ),
      );
    return lines.join('\n');
  };

  const parts = sections.map(({ title, findings }) =>
    [paint(BOLD, title), ...findings.map(entry)].join('\n'),
  );
  return [heading, ...parts, summary(findings)].join('\n\n');
}

/** @param {Finding[]} findings */
export function summary(findings) {
  const count = (/** @type {Level} */ level) =>
    findings.filter((finding) => finding.level === level).length;
  const problems = count('problem');
  const verdict =
    problems > 0
      ? 'this host cannot run tenants as it is'
      : `this host can run tenants${roomInWords(findings)}`;
  return `${several(problems, 'problem')}, ${several(count('warning'), 'warning')}: ${verdict}`;
}

/**
 * The resource with the least room, and for how many tenants it suffices. @param {Finding[]}
 * findings
 */
function roomInWords(findings) {
  const narrowest = findings
    .filter(({ tenants }) => tenants !== undefined)
    .toSorted((a, b) => (a.tenants ?? 0) - (b.tenants ?? 0))[0];
  return narrowest
    ? `, about ${inWords(narrowest.tenants ?? 0)} at once (${narrowest.check} ends first)`
    : '';
}

/** @param {number} count @param {string} noun */
const several = (count, noun) => `${count} ${noun}${count === 1 ? '' : 's'}`;

/**
 * Breaks a text at spaces; a word that is longer than a line stays whole. @param {string} text
 * @param {number} width
 */
function wrapped(text, width) {
  /** @type {string[]} */
  const lines = [];
  for (const paragraph of text.split('\n')) {
    let line = '';
    for (const word of paragraph.split(' ')) {
      if (line !== '' && line.length + 1 + word.length > width) {
        lines.push(line);
        line = word;
      } else {
        line = line === '' ? word : `${line} ${word}`;
      }
    }
    lines.push(line);
  }
  return lines;
}

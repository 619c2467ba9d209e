// Which of a process's last lines tell why it ended: one rule, for the page and for the commands.
import { withoutEscapes } from './plain.js';

/** What says nothing of the cause: blank lines, and those of the program that ran the command. */
const SILENT = [
  /^\s*$/,
  /^\$ /,
  /^Bun v\d\S* \(.+\)$/,
  /^Node\.js v\d\S*$/,
  /^error: script "[^"]*" (?:exited with code|was terminated by signal) /,
];
/** The line of an error: `error: …`, `TypeError: …`, `Uncaught …`. */
const ERROR = /^\s*(?:Uncaught |panic\b|fatal\b|(?:[\w.]*(?:Error|Exception)|error)\b[^:]{0,40}:)/i;
/** Of the source: a numbered line, or the mark below it. */
const SOURCE = /^\s*(?:\d+ \| |\^+\s*$)/;
const STACK = /^\s+at /;

/**
 * The lines that tell most, in their order: those of the program itself, with the last line of an
 * error before all others, then its source, then its stack; of equals the latest.
 * @param {readonly string[]} lines
 * @param {number} most
 * @returns {string[]}
 */
export function tellingOf(lines, most) {
  const seen = lines.map((line) => ({ line, text: withoutEscapes(line) }));
  const own = seen.filter(({ text }) => !SILENT.some((silent) => silent.test(text)));
  // Where there is nothing else, even that says more than nothing.
  const left = own.length > 0 ? own : seen.filter(({ text }) => text.trim() !== '');
  const error = left.findLastIndex(({ text }) => ERROR.test(text));
  const ranked = left.map(({ text }, at) => ({ at, rank: at === error ? 0 : rankOf(text) }));
  const chosen = ranked.sort((a, b) => a.rank - b.rank || b.at - a.at).slice(0, most);
  const places = new Set(chosen.map(({ at }) => at));
  return left.filter((_, at) => places.has(at)).map(({ line }) => line);
}

/** @param {string} text */
const rankOf = (text) => (STACK.test(text) ? 3 : SOURCE.test(text) ? 2 : 1);

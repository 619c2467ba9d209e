/**
 * Reading command lines, the doctor's and those of the checkout's scripts: a word or flag that there is not is refused,
 * with the nearest that there is.
 */
import { parseArgs } from 'node:util';
import { nearest } from '../nearest.js';

/** @typedef {import('node:util').ParseArgsOptionsConfig} Flags */

/**
 * The flags and the words of a command line.
 *
 * @template {Flags} F
 * @param {readonly string[]} args
 * @param {F} flags
 * @returns {{ values: ReturnType<typeof parseArgs<{ options: F }>>['values'], words: string[] } | { error: string }}
 */
export function readFlags(args, flags) {
  const asked = { args: [...args], options: flags, allowPositionals: true };
  const { tokens } = parseArgs({ ...asked, strict: false, tokens: true });
  for (const token of tokens) {
    if (token.kind !== 'option' || Object.hasOwn(flags, token.name)) continue;
    const names = Object.keys(flags).map((name) => `--${name}`);
    return { error: unknown('flag', token.rawName, names) };
  }
  try {
    const { values, positionals } = parseArgs(asked);
    return { values, words: positionals };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * @param {string} kind of word: `command`
 * @param {string} word
 * @param {readonly string[]} known
 */
export function unknown(kind, word, known) {
  const near = nearest(word, known);
  return `Unknown ${kind}: ${word}${near === undefined ? '' : `; did you mean ${near}?`}`;
}

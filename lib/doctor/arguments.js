/**
 * Reads command lines, the doctor's and those of the checkout's scripts: an unknown word or flag
 * is refused, and the message names the nearest known one.
 */
import { parseArgs } from 'node:util';
import { nearest } from '../checks.js';

/** @typedef {import('node:util').ParseArgsOptionsConfig} Flags */

/**
 * The flags and the words of a command line.
 *
 * @template {Flags} F
 * @param {readonly string[]} args
 * @param {F} flags
 * @returns {{ values: ReturnType<typeof parseArgs<{ options: F }>>['values'], words: string[] } |
 * { error: string }}
 */
export function readFlags(args, flags) {
  const asked = { args: [...args], options: flags, allowPositionals: true };
  const { tokens } = parseArgs({ ...asked, strict: false, tokens: true });
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const { name, rawName, value } = token;
    if (!Object.hasOwn(flags, name)) {
      const names = Object.keys(flags).map((known) => `--${known}`);
      return { error: unknown('flag', rawName, names) };
    }
    const takesValue = flags[name]?.type === 'string';
    if (!takesValue && value !== undefined)
      return { error: `${rawName} takes no value, got ${value}` };
    // A negative number is a value, wrong or not; another flag in its place means that the value
    // is missing.
    if (takesValue && (!value || (!token.inlineValue && /^-(?!\d)/.test(value)))) {
      return { error: `${rawName} needs a value` };
    }
  }
  // Not strict: that would only refuse `--tenants -5` as ambiguous.
  const { values, positionals } = parseArgs({ ...asked, strict: false });
  return { values: /** @type {any} */ (values), words: positionals };
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

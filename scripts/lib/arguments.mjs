// The arguments of a script. An unknown one ends the script with exit code 2, and a message that
// names the nearest known one, before anything is installed or built.
import { readFlags, unknown } from '../../lib/doctor/arguments.js';

const EXIT_USAGE = 2;

/**
 * The flags and words that the script was given. `--help` prints the usage and ends the script.
 *
 * @template {import('node:util').ParseArgsOptionsConfig} F
 * @param {object} expected
 * @param {string} expected.usage
 * @param {F} [expected.flags] without `help`, which every script has
 * @param {{ kind: string, known: readonly string[] }} [expected.words] the known words
 * @param {number} [expected.maxWords] how many words there may be; by default 0
 */
export function readArguments({ usage, flags = /** @type {F} */ ({}), words, maxWords = 0 }) {
  const all = /** @type {F & { help: { type: 'boolean', short: 'h' } }} */ ({
    ...flags,
    help: { type: 'boolean', short: 'h' },
  });
  const given = readFlags(process.argv.slice(2), all);
  if ('error' in given) wrongUse(given.error, usage);
  if (/** @type {{ help?: boolean }} */ (given.values).help) {
    console.log(usage);
    process.exit(0);
  }
  const unknownWord = words && given.words.find((word) => !words.known.includes(word));
  if (words && unknownWord !== undefined)
    wrongUse(unknown(words.kind, unknownWord, words.known), usage);
  const surplus = given.words[maxWords];
  if (surplus !== undefined) {
    wrongUse(unknown('argument', surplus, [...Object.keys(all).map((name) => `--${name}`)]), usage);
  }
  return given;
}

/**
 * Ends the script with exit code 2, the problem and the usage.
 *
 * @param {string} problem
 * @param {string} usage
 * @returns {never}
 */
export function wrongUse(problem, usage) {
  console.error(`✘ ${problem}\n\n${usage}`);
  process.exit(EXIT_USAGE);
}

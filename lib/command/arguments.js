/** Reads the command line of a command by the table of options, and variables of the environment. */
import { nearest, shown } from '../checks.js';
import { readFlags } from '../doctor/arguments.js';
import { COMMANDS, optionOf } from './commands.js';
import { UsageError } from './mistakes.js';
import { isOurVariable, OPTIONS, variable, variables } from './options.js';
import { harmless } from './text.js';
import { Mismatch } from './values.js';

/**
 * @param {string} command
 * @param {readonly string[]} args what follows it
 * @returns {{ words: string[], flags: Record<string, string | boolean> }} as they are given
 */
export function parse(command, args) {
  const { options, count = [0, 0], words: wanted = '' } = /** @type {any} */ (COMMANDS)[command];
  const given = readFlags(
    args,
    Object.fromEntries(
      /** @type {string[]} */ (options).map((name) => {
        const { value, short } = optionOf(command, name);
        const type = value === undefined ? /** @type {const} */ ('boolean') : 'string';
        return [name, { type, ...(short && { short }) }];
      }),
    ),
  );
  if ('error' in given) throw new UsageError(harmless(given.error));
  const { values: flags, words } = given;
  if (flags.help) return { words, flags: /** @type {any} */ (flags) };
  const [least, most] = count;
  if (words.length < least) throw new UsageError(`${command} needs ${wanted.replace('…', '')}.`);
  if (words.length > most) {
    const extra = harmless(words.slice(most).join(' '));
    throw new UsageError(`${command} takes ${wanted || 'no argument'}, and not also: ${extra}`);
  }
  if (wanted.includes('KEY') && words.includes('')) {
    throw new UsageError(`${command} got an empty KEY.`);
  }
  return { words, flags: /** @type {any} */ (flags) };
}

/**
 * The options of a command that takes no config file: its flags, then variables, then defaults.
 *
 * @param {string} command
 * @param {Record<string, string | boolean>} flags
 * @param {NodeJS.ProcessEnv} env
 */
export function readOptions(command, flags, env) {
  const mistakes = wrongVariables(env);
  /** @type {Record<string, any>} */
  const options = {};
  for (const name of COMMANDS[command]?.options ?? []) {
    const { value, isSetting, byDefault, read } = optionOf(command, name);
    if (value === undefined) {
      options[name] = flags[name] === true;
      continue;
    }
    const fromEnv = isSetting ? env[variable(name)] || undefined : undefined;
    const origin = flags[name] !== undefined || !fromEnv ? `--${name}` : variable(name);
    const given = flags[name] ?? fromEnv ?? byDefault;
    if (given !== undefined) options[name] = readValue(name, given, origin, mistakes, read);
  }
  if (mistakes.length > 0) throw new UsageError(...mistakes);
  return options;
}

/**
 * Reads a value of an option, or adds what is wrong with it to the mistakes.
 *
 * @param {string} name
 * @param {unknown} value
 * @param {string} origin where it stands: `--memory`, `ABSOLUTE_RUNTIME_MEMORY`
 * @param {string[]} mistakes
 * @param {import('./values.js').Read} [read]
 */
export function readValue(name, value, origin, mistakes, read = OPTIONS[name]?.read) {
  try {
    return read?.(value);
  } catch (error) {
    if (!(error instanceof Mismatch)) throw error;
    const [must, ...hint] = error.message.split(';');
    const got = harmless(typeof value === 'string' ? value : shown(value)) || 'nothing';
    mistakes.push(`${origin} must be ${[`${must}, got ${got}`, ...hint].join(';')}`);
    return undefined;
  }
}

/** Variables with our prefix that mean nothing. @param {NodeJS.ProcessEnv} env */
export function wrongVariables(env) {
  const known = [...variables.keys()];
  return Object.keys(env)
    .filter((name) => isOurVariable(name) && !known.includes(name))
    .map((name) => {
      const near = nearest(name, known);
      return `Unknown variable: ${harmless(name)}${near === undefined ? '' : `; did you mean ${near}?`}`;
    });
}

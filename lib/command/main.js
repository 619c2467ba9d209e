/** The command line: finds the command, reads its arguments, runs it, and says what went wrong. */
import { nearest } from '../checks.js';
import { parse, readOptions } from './arguments.js';
import { COMMANDS } from './commands.js';
import {
  EXIT_DONE,
  EXIT_FAILED,
  EXIT_USAGE,
  Failure,
  mistakeInJson,
  UsageError,
} from './mistakes.js';
import { asJson, harmless } from './text.js';

/**
 * @param {readonly string[]} args
 * @param {import('./terminal.js').Io} io
 * @returns {Promise<number>} the exit code
 */
export async function main(args, io) {
  const [command = '', ...rest] = args;
  try {
    return await dispatch(command, rest, io);
  } catch (error) {
    const wantsJson = rest.includes('--json');
    return tellMistake(
      Object.hasOwn(COMMANDS, command) ? command : undefined,
      error,
      wantsJson,
      io,
    );
  }
}

/** @param {string} command @param {string[]} args @param {import('./terminal.js').Io} io */
async function dispatch(command, args, io) {
  if (command === '--version' || command === '-v') {
    const { version } = await import('./version.js');
    io.print(version());
    return EXIT_DONE;
  }
  if (command === '--help' || command === '-h') command = 'help';
  if (command === '') throw new UsageError('A command is missing.');
  if (!Object.hasOwn(COMMANDS, command)) throw unknownCommand(command);
  const { load } = /** @type {import('./commands.js').Command} */ (COMMANDS[command]);
  if (command === 'doctor') {
    // It has a command line of its own.
    const { run } = await load();
    const given = { command, words: args, options: {}, said: new Set() };
    return (await run(/** @type {any} */ (given), io)) ?? EXIT_DONE;
  }
  const { words, flags } = parse(command, args);
  if (flags.help) {
    const { helpOf } = await import('./help.js');
    io.print(helpOf(command));
    return EXIT_DONE;
  }
  // `serve` has a config file, and reads all of its settings itself.
  const options = command === 'serve' ? flags : readOptions(command, flags, io.env);
  const { run } = await load();
  const given = { command, words, options, said: new Set(Object.keys(flags)) };
  return (await run(given, io)) ?? EXIT_DONE;
}

/** @param {string} word */
export function unknownCommand(word) {
  if (word.startsWith('-')) {
    return new UsageError(
      `The command comes first, and flags after it; got ${harmless(word)}. ` +
        'See absolutejs-runtime help.',
    );
  }
  const near = nearest(word, Object.keys(COMMANDS));
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  return new UsageError(`Unknown command: ${harmless(word)}${hint}`);
}

/**
 * @param {string | undefined} command
 * @param {any} error
 * @param {boolean} wantsJson
 * @param {import('./terminal.js').Io} io
 */
async function tellMistake(command, error, wantsJson, io) {
  const isKnown = error instanceof UsageError || error instanceof Failure;
  const exitCode = isKnown ? error.exitCode : EXIT_FAILED;
  // An error of the package has a code and says what to do; of any other the trace helps.
  const isExplained = isKnown || typeof error?.code === 'string';
  const text = isExplained ? error.message : (error?.stack ?? String(error));
  const lines = String(text).split('\n').map(harmless).join('\n');
  if (wantsJson) {
    io.complain(asJson(mistakeInJson(error)));
    return exitCode;
  }
  io.complain(lines);
  if (exitCode === EXIT_USAGE) {
    const { usageOf } = await import('./help.js');
    io.complain(`\n${usageOf(command)}`);
  }
  return exitCode;
}

/**
 * Where a command prints: what was asked for to stdout, all else to stderr. Colour only in a
 * terminal, and not if `NO_COLOR` says so.
 */
import { EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED } from './mistakes.js';

export const DIM = 2;
export const BOLD = 1;
export const RED = 31;
export const GREEN = 32;
export const YELLOW = 33;
export const BLUE = 34;
export const MAGENTA = 35;
export const CYAN = 36;

/** Ends the process, also while a config file is loaded, which must not. */
export const exit = process.exit.bind(process);

/** Text is broken no later, however wide the terminal is. */
const WIDEST_TEXT = 100;

/**
 * @typedef {object} Io
 * @property {NodeJS.ProcessEnv} env
 * @property {string} cwd
 * @property {(text: string) => void} print to stdout, with a line ending
 * @property {(text: string) => void} complain to stderr, with a line ending
 * @property {NodeJS.WriteStream} stdout
 * @property {NodeJS.ReadStream} stdin
 * @property {boolean} isTerminal
 * @property {boolean} colour
 * @property {() => number} columns of the terminal; in a pipe `COLUMNS`, or no end
 * @property {() => number} textColumns for text that is broken into lines
 * @property {(code: number | string | undefined, text: string) => string} paint for stdout
 * @property {() => void} becomeHost from now on neither ^C nor a closed pipe ends the command
 */

/** @returns {Omit<Io, 'becomeHost'>} */
export function thisTerminal() {
  const { env, stdout, stderr, stdin } = process;
  const isTerminal = stdout.isTTY === true;
  const colour = isTerminal && !env.NO_COLOR && env.TERM !== 'dumb';
  const columns = () => {
    if (isTerminal) return stdout.columns || 80;
    const asked = Number(env.COLUMNS);
    return Number.isInteger(asked) && asked > 0 ? asked : Infinity;
  };
  return {
    env,
    cwd: process.cwd(),
    print: (text) => void stdout.write(`${text}\n`),
    complain: (text) => void stderr.write(`${text}\n`),
    stdout,
    stdin,
    isTerminal,
    colour,
    columns,
    textColumns: () => Math.min(columns(), WIDEST_TEXT),
    paint: (code, text) => (colour && code !== undefined ? `\x1b[${code}m${text}\x1b[0m` : text),
  };
}

/**
 * A reader that has seen enough, such as `head`, ends the command quietly; ^C ends it with the code
 * that shells know. Returns a function after which it is the command's own matter when it ends.
 */
export function endAsAsked() {
  let isHost = false;
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (/** @type {NodeJS.ErrnoException} */ error) => {
      // A host goes on when its log is not read any more.
      if (isHost) return;
      // EIO of a terminal: it is gone.
      const isGone = error.code === 'EPIPE' || (error.code === 'EIO' && stream.isTTY);
      if (isGone) exit(EXIT_DONE);
      if (stream === process.stdout)
        process.stderr.write(`stdout cannot be written: ${error.message}\n`);
      exit(EXIT_FAILED);
    });
  }
  const interrupted = () => exit(EXIT_INTERRUPTED);
  process.on('SIGINT', interrupted);
  return () => {
    isHost = true;
    process.off('SIGINT', interrupted);
  };
}

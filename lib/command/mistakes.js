/** The two ways in which a command fails, each with its exit code. */

export const EXIT_DONE = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
/** As a shell says of a program that ^C has ended: 128 and the number of the signal. */
export const EXIT_INTERRUPTED = 130;

/** The command was called wrongly: a wrong word, flag, variable or entry of the config file. */
export class UsageError extends Error {
  exitCode = EXIT_USAGE;
  code = 'ERR_USAGE';
  /** @param {string[]} mistakes */
  constructor(...mistakes) {
    super(mistakes.join('\n'));
  }
}

/** What was asked for could not be done. */
export class Failure extends Error {
  exitCode = EXIT_FAILED;
  /** @param {string} message @param {string} [code] @param {string} [key] of the tenant */
  constructor(message, code = 'ERR_FAILED', key) {
    super(message);
    this.code = code;
    this.key = key;
  }
}

/**
 * What `--json` says of an error.
 *
 * @param {any} error
 * @param {string} [tenant] whose it is, if the error does not say so
 */
export function mistakeInJson(error, tenant) {
  const { code = 'ERR_FAILED', key = tenant } = error ?? {};
  const message = String(error?.message ?? error);
  return { error: { code, message, ...(key && { key }) } };
}

/** Failed starts and replacements in people's words, by the messages of the runtime's errors. */
import { isRuntimeError, textOf } from '../errors.js';

/** An error beyond these did not come from the process that was to be started. */
const OF_A_PROCESS = [
  'ERR_RUNTIME_EXITED_EARLY',
  'ERR_RUNTIME_INVALID_OPTION',
  'ERR_RUNTIME_PORT_TAKEN',
  'ERR_RUNTIME_READINESS_TIMEOUT',
  'ERR_RUNTIME_SPAWN',
  'ERR_RUNTIME_UNSUPPORTED',
];
/** The last lines of a process that are told with its failure. */
const MOST_LINES = 20;

/**
 * @typedef {object} Failure
 * @property {string} why without the key, which stands beside it
 * @property {string[]} lines the last ones of its process
 * @property {string} code of the error; empty for one of the user's
 * @property {string | undefined} kind of problem that it is; undefined if no process was at fault
 */

/** @param {unknown} error that a call of `replace` was answered with @returns {Failure} */
export function failureOf(error) {
  const [message = '', ...lines] = textOf(error).split('\n');
  const code = isRuntimeError(error) ? error.code : '';
  const isOfProcess = code === '' || OF_A_PROCESS.includes(code);
  return {
    why: code === 'ERR_RUNTIME_ABORTED' ? 'it was called off' : whyOf(message),
    lines: lines.slice(-MOST_LINES),
    code,
    kind: isOfProcess ? kindOf(message) : undefined,
  };
}

/** Messages about a process, each with what it did instead of becoming ready. */
const ENDED = /^Runtime process for ".*?" (exited .+|ran out .+)$/;
const SILENT =
  /^Tenant readiness timed out after (\S+): tenant ".*?" has not answered (.+? on its port \d+): (.+)$/;

/**
 * What a process did instead of becoming ready; undefined if there was none.
 * @param {string} message the first line of an error's
 */
export function deedIn(message) {
  const [, time, request, found] = SILENT.exec(message) ?? [];
  if (time !== undefined) return `did not answer ${request} within ${time}: ${found}`;
  return ENDED.exec(message)?.[1];
}

/** @param {string} message the first line of an error's */
export function whyOf(message) {
  const [, why = message] =
    /^Tenant ".*?" (?:could not be|was not) started: (.+)$/.exec(message) ?? [];
  return deedIn(message) ?? why;
}

/** What kind of problem a failed start is. @param {string} message the first line of its error's */
export function kindOf(message) {
  if (/ ran out of its .+ of memory before it was ready/.test(message)) return 'OUT_OF_MEMORY';
  if (/^Tenant readiness timed out|: its readiness check said no$/.test(message))
    return 'NOT_READY';
  if (/, which was to be the tenant's own; /.test(message)) return 'PORT_TAKEN';
  return / before it was ready$/.test(message) ? 'EXITED_EARLY' : 'NOT_STARTED';
}

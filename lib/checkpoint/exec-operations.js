/**
 * The driver's operations on one key, which run one at a time: they run commands and keep images.
 */
import { checkpointFailed, textOf } from '../errors.js';
import { shown } from '../checks.js';
import { run } from './exec-command.js';
import * as images from './exec-images.js';

/** @typedef {import('./exec-driver.js').ExecSettings} ExecSettings */
/** @typedef {import('../../index.js').RuntimeError} RuntimeError */

/**
 * @param {ExecSettings} settings
 * @param {string} key
 * @param {number} pid
 * @returns {Promise<boolean>}
 */
export function checkpoint(settings, key, pid) {
  return inTurn(settings, key, false, async (directory) => {
    if (!isPid(pid))
      throw checkpointFailed(`cannot checkpoint "${key}": ${pidProblem(pid)}`, { key });
    const image = await images.begin(directory);
    try {
      await carryOut(settings, 'checkpointCommand', { key, pid, dir: image });
      await images.publish(directory, image, { key, pid });
    } catch (error) {
      await images.discard(directory, image);
      throw error;
    }
    return true;
  });
}

/**
 * @param {ExecSettings} settings
 * @param {string} key
 * @returns {Promise<{ pid: number } | null>}
 */
export function restore(settings, key) {
  return inTurn(settings, key, null, async (directory) => {
    const image = await images.current(directory, key);
    if (image === null) return null;
    const named = createNamedPids();
    const values = { key, pid: image.pid, dir: image.dir };
    const ending = await carryOut(settings, 'restoreCommand', values, named.onLine);
    try {
      return { pid: named.only(key) };
    } catch (error) {
      if (ending.how === 'still running') ending.kill();
      throw error;
    }
  });
}

/** @param {ExecSettings} settings @param {string} key @returns {Promise<void>} */
export function drop(settings, key) {
  return inTurn(settings, key, undefined, images.drop);
}

/**
 * Whether the key has an image now. Does not wait for an operation under way, which publishes or
 * drops an image atomically.
 * @param {ExecSettings} settings
 * @param {string} key
 */
export async function has(settings, key) {
  const directory = images.directoryOf(settings.imageDir, key);
  try {
    return (await images.current(directory, key)) !== null;
  } catch (error) {
    throw asCheckpointError(error, key, directory);
  }
}

/**
 * The last operation on each key's directory, of all drivers of this process.
 * @type {Map<string, Promise<unknown>>}
 */
const lastOperations = new Map();

/**
 * Runs an operation after all earlier ones on the same key.
 * @template T
 * @param {ExecSettings} settings
 * @param {string} key
 * @param {T} refused what it resolves with when a command ended with a code other than 0
 * @param {(directory: string) => Promise<T>} operation
 * @returns {Promise<T>}
 */
async function inTurn(settings, key, refused, operation) {
  const directory = images.directoryOf(settings.imageDir, key);
  const before = lastOperations.get(directory) ?? Promise.resolve();
  const outcome = before.then(() => operation(directory));
  const settled = outcome.catch(() => {});
  lastOperations.set(directory, settled);
  try {
    return await outcome;
  } catch (thrown) {
    const error = asCheckpointError(thrown, key, directory);
    void callOnError(settings.onError, error);
    if ('exitCode' in error) return refused;
    throw error;
  } finally {
    if (lastOperations.get(directory) === settled) lastOperations.delete(directory);
  }
}

/**
 * Runs a command. Resolves once it has ended with 0 or `onLine` has returned true; rejects
 * otherwise.
 * @param {ExecSettings} settings
 * @param {'checkpointCommand' | 'restoreCommand'} name
 * @param {{ key: string, pid: number, dir: string }} values
 * @param {(line: string) => boolean} [onLine]
 */
async function carryOut(settings, name, values, onLine) {
  const command = settings[name].map((argument) => filled(argument, values));
  const ending = await run(command, settings.timeoutMs, onLine);
  const fail = (/** @type {string} */ how, fields = {}) =>
    checkpointFailed(`${name} for "${values.key}" ${how} (${command.join(' ').slice(0, 300)})`, {
      key: values.key,
      ...fields,
    });
  switch (ending.how) {
    case 'still running':
      return ending;
    case 'not started':
      throw fail(`could not be started: ${ending.problem}`);
    case 'timed out':
      throw fail(`was killed: it took longer than ${settings.timeoutMs} ms`);
    case 'ended': {
      if (ending.exitCode === 0) return ending;
      const how = ending.exitCode === null ? `by ${ending.signal}` : `with code ${ending.exitCode}`;
      const error = fail(`ended ${how}`, { exitCode: ending.exitCode });
      if (ending.stderrTail !== '') error.message += `\n${ending.stderrTail}`;
      throw error;
    }
  }
}

/**
 * Fills in `{key}`, `{pid}` and `{dir}` in one pass, so that braces in a value stay as they are.
 * @param {string} argument
 * @param {Record<string, string | number>} values
 */
function filled(argument, values) {
  return argument.replace(/\{(key|pid|dir)\}/g, (_, name) => String(values[name]));
}

const LINE_START = 'RESTORED_PID=';

/** Collects the pids of a restore command's `RESTORED_PID=<n>` lines. */
function createNamedPids() {
  /** At most two are kept: the second one is an error already. @type {Set<string>} */
  const named = new Set();
  return {
    /** @param {string} line */
    onLine(line) {
      if (!line.startsWith(LINE_START)) return false;
      if (named.size < 2) named.add(line.slice(LINE_START.length).trimEnd());
      return true;
    },

    /** The one pid that was named; throws if there is none, or another. @param {string} key */
    only(key) {
      const [text, another] = named;
      const fail = (/** @type {string} */ problem) =>
        checkpointFailed(`restoreCommand for "${key}" ${problem}`, { key });
      if (text === undefined) throw fail(`printed no line ${LINE_START}<n>`);
      if (another !== undefined)
        throw fail(`printed both ${LINE_START}${text} and ${LINE_START}${another}`);
      const pid = /^[1-9]\d*$/.test(text) ? Number(text) : NaN;
      if (!isPid(pid)) throw fail(`printed an impossible ${LINE_START}<n>: ${pidProblem(text)}`);
      return pid;
    },
  };
}

const LARGEST_PID = 2 ** 31 - 1;

/**
 * Whether it can be a tenant's pid: not a group (0 or less), init (1) or the host.
 * @param {unknown} pid
 */
const isPid = (pid) =>
  Number.isInteger(pid) && Number(pid) > 1 && Number(pid) <= LARGEST_PID && pid !== process.pid;

/** @param {unknown} pid a number, or the text in its place */
function pidProblem(pid) {
  if (pid === process.pid || pid === `${process.pid}`) return `${process.pid} is the host itself`;
  return `${shown(pid)} is not the pid of a tenant, a whole number from 2 to ${LARGEST_PID}`;
}

/**
 * The error with the key; a file system's error becomes an `ERR_RUNTIME_CHECKPOINT`.
 * @param {unknown} error
 * @param {string} key
 * @param {string} directory
 * @returns {RuntimeError}
 */
function asCheckpointError(error, key, directory) {
  const { code } = /** @type {{ code?: unknown }} */ (error);
  if (code === 'ERR_RUNTIME_CHECKPOINT')
    return Object.assign(/** @type {RuntimeError} */ (error), { key });
  return checkpointFailed(`image of "${key}" in ${directory}: ${textOf(error)}`, {
    key,
    cause: error,
  });
}

/**
 * Calls `onError`; what it throws is ignored.
 * @param {ExecSettings['onError']} onError
 * @param {RuntimeError} error
 */
async function callOnError(onError, error) {
  try {
    await onError(error);
  } catch {
    // Ignored, as documented.
  }
}

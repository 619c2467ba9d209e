/** What the driver does for one key: its commands, around its images, one operation at a time. */
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
    if (!isPid(pid)) throw checkpointFailed(`cannot checkpoint "${key}": ${pidProblem(pid)}`, { key });
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
 * Waits for nobody: until an operation under way has changed something, what was there before is there.
 * @param {ExecSettings} settings
 * @param {string} key
 */
export async function has(settings, key) {
  const directory = images.directoryOf(settings.imageDir, key);
  try {
    return (await images.current(directory, key)) !== null;
  } catch (error) {
    throw asOurs(error, key, directory);
  }
}

/** The last operation on each key's directory, whichever driver it came from. @type {Map<string, Promise<unknown>>} */
const lastOperations = new Map();

/**
 * Carries out an operation after those on the same key that were asked for before it.
 * @template T
 * @param {ExecSettings} settings
 * @param {string} key
 * @param {T} refused the answer when a command ended with something other than 0
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
    const error = asOurs(thrown, key, directory);
    void tell(settings.onError, error);
    if ('exitCode' in error) return refused;
    throw error;
  } finally {
    if (lastOperations.get(directory) === settled) lastOperations.delete(directory);
  }
}

/**
 * Resolves once the command has ended with 0, or is done as far as `onLine` is concerned.
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
      if (ending.lastWords !== '') error.message += `\n${ending.lastWords}`;
      throw error;
    }
  }
}

/**
 * One pass, so that what a value contains is not filled in again.
 * @param {string} argument
 * @param {Record<string, string | number>} values
 */
function filled(argument, values) {
  return argument.replace(/\{(key|pid|dir)\}/g, (_, name) => String(values[name]));
}

const LINE_START = 'RESTORED_PID=';

/** Collects what a restore command says in `RESTORED_PID=<n>` lines. */
function createNamedPids() {
  /** Two tell that there are too many. @type {Set<string>} */
  const named = new Set();
  return {
    /** @param {string} line */
    onLine(line) {
      if (!line.startsWith(LINE_START)) return false;
      if (named.size < 2) named.add(line.slice(LINE_START.length).trimEnd());
      return true;
    },

    /** @param {string} key */
    only(key) {
      const [text, another] = named;
      const fail = (/** @type {string} */ problem) =>
        checkpointFailed(`restoreCommand for "${key}" ${problem}`, { key });
      if (text === undefined) throw fail(`printed no line ${LINE_START}<n>`);
      if (another !== undefined) throw fail(`printed both ${LINE_START}${text} and ${LINE_START}${another}`);
      const pid = /^[1-9]\d*$/.test(text) ? Number(text) : NaN;
      if (!isPid(pid)) throw fail(`printed an impossible ${LINE_START}<n>: ${pidProblem(text)}`);
      return pid;
    },
  };
}

const LARGEST_PID = 2 ** 31 - 1;

/** Whether a signal to it could be one to a tenant: not to a group, not to init, not to the host. @param {unknown} pid */
const isPid = (pid) =>
  Number.isInteger(pid) && Number(pid) > 1 && Number(pid) <= LARGEST_PID && pid !== process.pid;

/** @param {unknown} pid a number, or how one was written */
function pidProblem(pid) {
  if (pid === process.pid || pid === `${process.pid}`) return `${process.pid} is the host itself`;
  return `${shown(pid)} is not the pid of a tenant, a whole number from 2 to ${LARGEST_PID}`;
}

/**
 * The file system's errors become ours, and all have the key.
 * @param {unknown} error
 * @param {string} key
 * @param {string} directory
 * @returns {RuntimeError}
 */
function asOurs(error, key, directory) {
  const { code } = /** @type {{ code?: unknown }} */ (error);
  if (code === 'ERR_RUNTIME_CHECKPOINT') return Object.assign(/** @type {RuntimeError} */ (error), { key });
  return checkpointFailed(`image of "${key}" in ${directory}: ${textOf(error)}`, { key, cause: error });
}

/** What it throws breaks nothing. @param {ExecSettings['onError']} onError @param {RuntimeError} error */
async function tell(onError, error) {
  try {
    await onError(error);
  } catch {
    // The callback's own affair.
  }
}

/**
 * `execCheckpointDriver`: reads the options at once. The operations, and the parts of Node that
 * they need, are loaded with the first call.
 */
import { createPart } from '../errors.js';
import {
  assertKey,
  commandAt,
  directoryAt,
  fieldsOf,
  isFunction,
  number,
  optional,
  readAt,
} from '../checks.js';

/**
 * A driver that saves and restores with two commands of the user's, such as `criu`.
 * @param {import('../../index.js').ExecCheckpointDriverOptions} options
 * @returns {import('../../index.js').CheckpointDriver}
 */
export function execCheckpointDriver(options) {
  const settings = readSettings(options);
  const operations = createPart(() => import('#exec-operations'));
  return {
    async checkpoint({ key, pid }) {
      assertKey(key);
      return (await operations(key)).checkpoint(settings, key, pid);
    },
    async restore({ key }) {
      assertKey(key);
      return (await operations(key)).restore(settings, key);
    },
    async drop(key) {
      assertKey(key);
      return (await operations(key)).drop(settings, key);
    },
    async has(key) {
      assertKey(key);
      return (await operations(key)).has(settings, key);
    },
  };
}

/** @type {(keyof import('../../index.js').ExecCheckpointDriverOptions)[]} */
const OPTIONS = ['checkpointCommand', 'restoreCommand', 'imageDir', 'timeoutMs', 'onError'];

/** @param {import('../../index.js').ExecCheckpointDriverOptions} given */
function readSettings(given) {
  const options = fieldsOf('', given, OPTIONS);
  return {
    checkpointCommand: readAt('checkpointCommand', options.checkpointCommand, commandAt),
    restoreCommand: readAt('restoreCommand', options.restoreCommand, commandAt),
    imageDir: directoryAt('imageDir', options.imageDir),
    timeoutMs: number('timeoutMs', options.timeoutMs, 60_000, 1),
    onError: optional('onError', options.onError, isFunction, 'a function') ?? warn,
  };
}

/** @typedef {ReturnType<typeof readSettings>} ExecSettings */

/** @param {Error} error */
function warn(error) {
  process.emitWarning(error.message, 'RuntimeCheckpointWarning');
}

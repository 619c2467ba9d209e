/** `execCheckpointDriver`: what is read at once. The work, and what it needs of Node, is loaded with the first call. */
import { invalidOption } from '../errors.js';
import { commandAt, directoryAt, isFunction, number, optional, shown } from '../options.js';
import { assertKey } from '../place.js';

/**
 * A driver that checkpoints and restores with two commands of the operator's, `criu` for one.
 * @param {import('../../index.js').ExecCheckpointDriverOptions} options
 * @returns {import('../../index.js').CheckpointDriver}
 */
export function execCheckpointDriver(options) {
  const settings = readSettings(options);
  /** @type {Promise<typeof import('./exec-operations.js')> | undefined} */
  let loading;
  const operations = () => (loading ??= import('#exec-operations'));
  return {
    async checkpoint({ key, pid }) {
      assertKey(key);
      return (await operations()).checkpoint(settings, key, pid);
    },
    async restore({ key }) {
      assertKey(key);
      return (await operations()).restore(settings, key);
    },
    async drop(key) {
      assertKey(key);
      return (await operations()).drop(settings, key);
    },
    async has(key) {
      assertKey(key);
      return (await operations()).has(settings, key);
    },
  };
}

/** @param {import('../../index.js').ExecCheckpointDriverOptions} options */
function readSettings(options) {
  if (typeof options !== 'object' || options === null) {
    throw invalidOption(`options must be an object, got ${shown(options)}`);
  }
  return {
    checkpointCommand: commandAt('checkpointCommand', options.checkpointCommand),
    restoreCommand: commandAt('restoreCommand', options.restoreCommand),
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

/** The option `survive`. */
import { fieldsOf, number, optional, shown } from '../checks.js';
import { invalidOption } from '../errors.js';
import { MOST_PATH_BYTES, namesDirectory, TAKEN } from '../socket-paths.js';

/** How long tenants wait for a host of their name. */
const FOR_MS = 60_000;
/** Also the name of a file, so nothing in it leads out of its directory. */
const NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/;
const RULE = '1 to 64 letters, digits, ".", "_" and "-", not beginning with "."';

/** @param {unknown} name @returns {name is string} */
export const isName = (name) => typeof name === 'string' && NAME.test(name) && name !== TAKEN;

/** What a name must be, as it is said of one that is none. @param {unknown} name */
export const nameRule = (name) =>
  name === TAKEN ? `${RULE}, and not "${TAKEN}", as the control's socket is called` : RULE;

/** @param {string} directory @param {string} name */
const socketOf = (directory, name) => `${directory}/${name}.sock`;

/** @param {unknown} given */
export function survivalOf(given) {
  const { name, forMs, takeOver } = fieldsOf(
    'survive',
    /** @type {import('../../index.js').RuntimeSurvival} */ (given),
    ['name', 'forMs', 'takeOver'],
  );
  if (!isName(name))
    throw invalidOption(`survive.name must be ${nameRule(name)}, got ${shown(name)}`);
  const directory = namesDirectory();
  if (Buffer.byteLength(socketOf(directory, name)) > MOST_PATH_BYTES) {
    throw invalidOption(
      `survive.name is too long for ${directory}: the path of its socket has ${MOST_PATH_BYTES} ` +
        `bytes at most, got ${shown(name)}; use a shorter one, or a shorter XDG_RUNTIME_DIR`,
    );
  }
  return {
    name,
    directory,
    forMs: number('survive.forMs', forMs, FOR_MS, 0),
    takeOver: optional('survive.takeOver', takeOver, isBoolean, 'true or false') === true,
  };
}

/** @param {unknown} value */
const isBoolean = (value) => typeof value === 'boolean';

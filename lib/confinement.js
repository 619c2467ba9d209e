/**
 * Limits and walls as the user gives them: the options `limits` and `isolation`, and what functions
 * return for one tenant. Checked, and completed with the defaults; `src/confinement.rs` reads the
 * result.
 */
import { invalidOption } from './errors.js';
import { copyOf, fieldsOf, isRecord, optional, readAt, shown } from './checks.js';

/**
 * @typedef {{ memoryBytes?: number, swapBytes?: number, cpus?: number, cpuWeight?: number,
 *   processes?: number, openFiles?: number, fileBytes?: number, isRequired: boolean }} Limits
 * @typedef {{ uid: number, gid: number } | { first: number, count: number }} Users
 * @typedef {{ read: string[], write: string[], listen: number[], connect?: number[], user?: Users,
 *   isRequired: boolean }} Walls
 */

/** @typedef {'memoryBytes' | 'swapBytes' | 'processes' | 'openFiles' | 'fileBytes'} WholeLimit */

/** The limits that count things. @type {WholeLimit[]} */
const WHOLE = ['memoryBytes', 'swapBytes', 'processes', 'openFiles', 'fileBytes'];
/** All limits. */
const LIMITS = /** @type {const} */ ([...WHOLE, 'cpus', 'cpuWeight']);
const WALLS = /** @type {const} */ (['read', 'write', 'listen', 'connect', 'user', 'enforce']);

/** The kernel's least share of a processor: a millisecond in each tenth of a second. */
const CPUS_MIN = 0.01;
/** More than any machine has. The kernel takes no more than some hundred million. */
const CPUS_MAX = 1_000_000;
const CPU_WEIGHT_MAX = 10_000;
/** The most processes and threads that a kernel can number. */
const PROCESSES_MAX = 2 ** 22;
/** The largest number of a user or a group: the one after it means none. */
const USER_MAX = 2 ** 32 - 2;
const PORT_MAX = 65_535;
/** More than any tenant needs. To check a longer array, and to write its rules, would take long. */
const MOST_ENTRIES = 1_000;

/**
 * Reads limits. Undefined if none is given.
 * @param {string} path
 * @param {unknown} given
 * @returns {Limits | undefined}
 */
export function limitsAt(path, given) {
  const fields = fieldsOf(path, /** @type {Record<string, any>} */ (given), [...LIMITS, 'enforce']);
  /** @type {Limits} */
  const limits = { isRequired: isRequired(`${path}.enforce`, fields.enforce) };
  for (const name of WHOLE) {
    const value = fields[name];
    const most = name === 'processes' ? PROCESSES_MAX : Number.MAX_SAFE_INTEGER;
    if (value !== undefined) limits[name] = whole(`${path}.${name}`, value, most);
  }
  const { cpus, cpuWeight } = fields;
  if (cpus !== undefined) {
    const fits = typeof cpus === 'number' && cpus >= CPUS_MIN && cpus <= CPUS_MAX;
    if (!fits) throw notLimit(`${path}.cpus`, cpus, `a number from ${CPUS_MIN} to ${CPUS_MAX}`);
    limits.cpus = cpus;
  }
  if (cpuWeight !== undefined)
    limits.cpuWeight = whole(`${path}.cpuWeight`, cpuWeight, CPU_WEIGHT_MAX);
  if (limits.swapBytes !== undefined && limits.memoryBytes === undefined) {
    throw invalidOption(
      `${path}.swapBytes is swap on top of ${path}.memoryBytes, which must be given, too`,
    );
  }
  return LIMITS.some((name) => limits[name] !== undefined) ? limits : undefined;
}

/**
 * Reads walls. Undefined for `"none"`.
 * @param {string} path
 * @param {unknown} given
 * @returns {Walls | undefined}
 */
export function isolationAt(path, given) {
  if (given === 'none') return undefined;
  if (given !== 'tenant' && !isRecord(given)) {
    throw invalidOption(
      `${path} must be "none", "tenant" or an object of walls, got ${shown(given)}`,
    );
  }
  /** @type {Record<string, any>} */
  const fields = given === 'tenant' ? {} : fieldsOf(path, /** @type {any} */ (given), WALLS);
  const { read = [], write = [], listen = [], connect = 'any', user, enforce } = fields;
  /** @type {Walls} */
  const walls = {
    read: pathsAt(`${path}.read`, read),
    write: pathsAt(`${path}.write`, write),
    listen: portsAt(`${path}.listen`, listen, 'an array of ports'),
    isRequired: isRequired(`${path}.enforce`, enforce),
  };
  if (connect !== 'any')
    walls.connect = portsAt(`${path}.connect`, connect, '"any" or an array of ports');
  if (user !== undefined) walls.user = usersAt(`${path}.user`, user);
  return walls;
}

/**
 * @param {string} path
 * @param {unknown} value
 * @param {number} most
 */
function whole(path, value, most) {
  if (Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= most)
    return Number(value);
  const range = most === Number.MAX_SAFE_INTEGER ? 'of at least 1' : `from 1 to ${most}`;
  throw notLimit(path, value, `a whole number ${range}`);
}

/** @param {string} path @param {unknown} value @param {string} what */
function notLimit(path, value, what) {
  const hint = value === 0 || value === Infinity ? '; leave it out for no limit' : '';
  return invalidOption(`${path} must be ${what}, got ${shown(value)}${hint}`);
}

/** @param {string} path @param {unknown} enforce */
function isRequired(path, enforce) {
  const known = (/** @type {unknown} */ value) => value === 'required' || value === 'best-effort';
  return optional(path, enforce, known, '"required" or "best-effort"') !== 'best-effort';
}

/** @param {string} path @param {unknown} value @returns {string[]} */
function pathsAt(path, value) {
  const isPath = (/** @type {unknown} */ entry) =>
    typeof entry === 'string' && entry !== '' && !entry.includes('\0');
  return entriesAt(path, value, isPath, 'an array of paths');
}

/** @param {string} path @param {unknown} value @param {string} what @returns {number[]} */
function portsAt(path, value, what) {
  return entriesAt(path, value, (port) => isWhole(port, PORT_MAX), `${what} from 1 to ${PORT_MAX}`);
}

/**
 * @param {string} path
 * @param {unknown} value
 * @param {(entry: unknown) => boolean} fits
 * @param {string} what
 * @returns {any[]} a copy
 */
function entriesAt(path, value, fits, what) {
  const entries = readAt(path, value, () => copyOf(value, MOST_ENTRIES));
  if (entries !== undefined && entries.every(fits)) return entries;
  const wrong = entries?.find((entry) => !fits(entry));
  const got = entries === undefined ? shown(value) : `${shown(wrong)} in it`;
  throw invalidOption(`${path} must be ${what}, got ${got}`);
}

/**
 * @param {string} path
 * @param {unknown} given
 * @returns {Users}
 */
function usersAt(path, given) {
  const names = ['uid', 'gid', 'first', 'count'];
  const fields = fieldsOf(path, /** @type {Record<string, any>} */ (given), names);
  const { uid, gid, first, count } = fields;
  const [one, range] = [
    { uid, gid },
    { first, count },
  ];
  const isOne = first === undefined && count === undefined;
  const isRange = uid === undefined && gid === undefined;
  if (isOne === isRange) {
    throw invalidOption(`${path} must be either { uid, gid } or { first, count }`);
  }
  for (const [name, value] of Object.entries(isOne ? one : range)) {
    if (isWhole(value, USER_MAX)) continue;
    const root = value === 0 && name !== 'count' ? ', which is root' : '';
    throw invalidOption(
      `${path}.${name} must be a whole number from 1 to ${USER_MAX}, got ${shown(value)}${root}`,
    );
  }
  if (isRange && first + count - 1 > USER_MAX) {
    throw invalidOption(`${path}.count must lead no further than ${USER_MAX}, got ${count}`);
  }
  return isOne ? one : range;
}

/** @param {unknown} value @param {number} most */
const isWhole = (value, most) =>
  Number.isInteger(value) && Number(value) >= 1 && Number(value) <= most;

/** The results of the checks: findings, each with what it means and what to do. */

/**
 * `ok`: as it should be; `note`: worth knowing; `warning`: works, but not as well or for fewer
 * tenants than it could; `problem`: keeps the package from working or tenants from starting.
 * @typedef {'ok' | 'note' | 'warning' | 'problem'} Level
 */

/**
 * @typedef {object} Finding
 * @property {string} check what was looked at
 * @property {Level} level
 * @property {string} found what is there
 * @property {string} means what that means for this package
 * @property {string} [advice] what to do about it
 * @property {number} [tenants] how many tenants there is room for, by this alone
 */

/** @typedef {{ title: string, findings: Finding[] }} Section */

/** @param {string} check @param {string} found @param {string} means @returns {Finding} */
export const ok = (check, found, means) => ({ check, level: 'ok', found, means });

/**
 * @param {string} check @param {string} found @param {string} means @param {string} [advice]
 * @returns {Finding}
 */
export const note = (check, found, means, advice) =>
  withAdvice({ check, level: 'note', found, means }, advice);

/**
 * @param {string} check @param {string} found @param {string} means @param {string} advice
 * @returns {Finding}
 */
export const warning = (check, found, means, advice) => ({
  check,
  level: 'warning',
  found,
  means,
  advice,
});

/**
 * @param {string} check @param {string} found @param {string} means @param {string} advice
 * @returns {Finding}
 */
export const problem = (check, found, means, advice) => ({
  check,
  level: 'problem',
  found,
  means,
  advice,
});

/**
 * How many tenants a resource has room for, against how many are planned: none is a problem, too
 * few a warning.
 *
 * @param {string} check
 * @param {object} room
 * @param {string} room.found
 * @param {number} room.tenants
 * @param {number} room.planned
 * @param {string} room.each what a tenant takes of it
 * @param {string} room.advice how to get more
 * @returns {Finding}
 */
export function roomFor(check, { found, tenants, planned, each, advice }) {
  const fitting = Math.max(0, Math.floor(tenants));
  const room = { found, tenants: fitting };
  if (fitting >= planned) {
    return {
      check,
      level: 'ok',
      ...room,
      means: `room for ${inWords(fitting)} tenants: each takes ${each}`,
    };
  }
  const means = `room for ${inWords(fitting)} of ${inWords(planned)} planned tenants: each takes ${each}`;
  return { check, level: fitting === 0 ? 'problem' : 'warning', ...room, means, advice };
}

/** @param {Finding} finding @param {string | undefined} advice @returns {Finding} */
const withAdvice = (finding, advice) => (advice === undefined ? finding : { ...finding, advice });

/** From here on a number means "unlimited". */
const ENDLESS = 1e12;

/** `20,000`, or `unlimited`. @param {number} number */
export const inWords = (number) =>
  number < ENDLESS ? number.toLocaleString('en-US') : 'unlimited';

const UNITS = /** @type {const} */ ([
  [2 ** 40, 'TB'],
  [2 ** 30, 'GB'],
  [2 ** 20, 'MB'],
  [2 ** 10, 'KB'],
]);

/** `1.5 GB`. @param {number} bytes */
export function bytesInWords(bytes) {
  for (const [size, unit] of UNITS) {
    if (bytes >= size) return `${(bytes / size).toFixed(bytes < 10 * size ? 1 : 0)} ${unit}`;
  }
  return `${bytes} bytes`;
}

/** The options of a dashboard: read once, checked, and completed with the defaults. */
import { fieldsOf, shown } from '../checks.js';
import { invalidOption } from '../errors.js';

/**
 * @typedef {object} DashboardOptions
 * @property {number} port `0`: any that is free
 * @property {string} [hostname] where it listens; by default `127.0.0.1`
 * @property {string} [token] by default 256 random bits
 * @property {readonly string[]} [names] under which it is reached besides: what a proxy before it
 *   passes on as Host
 * @property {{ cert: string, key: string }} [tls] as PEM text
 */

/** @type {(keyof DashboardOptions)[]} */
const OPTIONS = ['port', 'hostname', 'token', 'names', 'tls'];
/** A token that could be guessed would be none. */
const SHORTEST_TOKEN = 16;
/** What a token may be made of: it goes into a URL, a cookie and a header as it is. */
const TOKEN = /^[A-Za-z0-9._~-]+$/;
/** A name as it stands in Host, without a port. */
const NAME = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?$/;

/**
 * @param {string} path of the options
 * @param {DashboardOptions} given
 */
export function readOptions(path, given) {
  const options = fieldsOf(path, given, OPTIONS);
  return {
    port: portAt(`${path}.port`, options.port),
    hostname: textAt(`${path}.hostname`, options.hostname) ?? '127.0.0.1',
    token: tokenAt(`${path}.token`, options.token),
    names: namesAt(`${path}.names`, options.names),
    tls: tlsAt(`${path}.tls`, options.tls),
  };
}

/** @param {string} path @param {unknown} value @returns {number} */
function portAt(path, value) {
  if (Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 65_535)
    return Number(value);
  throw invalidOption(`${path} must be a port, or 0 for any, got ${shown(value)}`);
}

/** @param {string} path @param {unknown} value @returns {string | undefined} */
function textAt(path, value) {
  if (value === undefined || (typeof value === 'string' && value !== '')) return value;
  throw invalidOption(`${path} must be a string, got ${shown(value)}`);
}

/** @param {string} path @param {unknown} value @returns {string | undefined} */
function tokenAt(path, value) {
  const token = textAt(path, value);
  if (token === undefined || (token.length >= SHORTEST_TOKEN && TOKEN.test(token))) return token;
  // The value is a secret, and is not shown.
  throw invalidOption(
    `${path} must be ${SHORTEST_TOKEN} or more letters, digits, and - . _ ~; leave it out, and ` +
      'one is made',
  );
}

/** @param {string} path @param {unknown} value @returns {string[]} */
function namesAt(path, value) {
  if (value === undefined) return [];
  if (!Array.isArray(value)) {
    throw invalidOption(`${path} must be an array of host names, got ${shown(value)}`);
  }
  return value.map((name, index) => {
    if (typeof name === 'string' && NAME.test(name)) return name.toLowerCase();
    throw invalidOption(`${path}[${index}] must be a host name without a port, got ${shown(name)}`);
  });
}

/** @param {string} path @param {any} value */
function tlsAt(path, value) {
  if (value === undefined) return undefined;
  const { cert, key } = fieldsOf(path, value, ['cert', 'key']);
  for (const [name, text] of Object.entries({ cert, key })) {
    if (typeof text !== 'string') throw invalidOption(`${path}.${name} must be PEM text`);
  }
  return { cert, key };
}

/** Stores: what hosts of a fleet share. A store is described here, and opened in Rust. */
import { copyOf, fieldsOf, readAt, shown } from '../checks.js';
import { invalidOption } from '../errors.js';
import { pemAt } from '../gateway/certificates.js';

/** @typedef {import('../../fleet.js').EtcdOptions} EtcdOptions */
/** @typedef {import('../../fleet.js').FleetStore} FleetStore */

/** Marks what `etcd` has returned. A registered symbol, as a program may load several copies. */
const STORE = Symbol.for('@absolutejs/runtime.fleet-store');

const PREFIX = '/absolute/';
/** Keys of etcd may be longer; a longer prefix is a mistake. */
const MOST_PREFIX_BYTES = 256;
const MOST_ENDPOINTS = 100;

/**
 * @param {EtcdOptions} options
 * @returns {FleetStore}
 */
export function etcd(options) {
  const names = ['endpoints', 'prefix', 'user', 'password', 'ca', 'cert', 'key'];
  const given = fieldsOf('', /** @type {Record<string, unknown>} */ (options), names);
  const { user, password, ca, cert, key } = given;
  for (const [one, other] of [
    ['user', 'password'],
    ['cert', 'key'],
  ]) {
    if ((given[`${one}`] === undefined) === (given[`${other}`] === undefined)) continue;
    throw invalidOption(`${one} and ${other} are for each other: give both, or none`);
  }
  const endpoints = readAt('endpoints', given.endpoints, endpointsAt);
  const secured = endpoints.find((endpoint) => endpoint.startsWith('https:'));
  if (secured !== undefined && ca === undefined) {
    throw invalidOption(`ca is needed for ${secured}: who has signed its certificate`);
  }
  if (cert !== undefined && ca === undefined) throw invalidOption('cert and key also need ca');
  return describedBy({
    kind: 'etcd',
    endpoints,
    prefix: prefixAt('prefix', given.prefix ?? PREFIX),
    user: user === undefined ? undefined : textAt('user', user),
    password: password === undefined ? undefined : textAt('password', password),
    ca: ca === undefined ? undefined : pemAt('ca', ca, 'CERTIFICATE'),
    cert: cert === undefined ? undefined : pemAt('cert', cert, 'CERTIFICATE'),
    key: key === undefined ? undefined : pemAt('key', key, 'PRIVATE KEY'),
  });
}

/**
 * What Rust is told of the store.
 * @typedef {object} StoreDescription
 * @property {'etcd'} kind
 * @property {string[]} endpoints
 * @property {string} prefix
 * @property {string | undefined} user
 * @property {string | undefined} password
 * @property {string | undefined} ca
 * @property {string | undefined} cert
 * @property {string | undefined} key
 */

/**
 * The description is not enumerable, so that no log of options shows the password.
 * @param {StoreDescription} description
 * @returns {FleetStore}
 */
const describedBy = (description) =>
  Object.freeze(Object.defineProperty({ kind: description.kind }, STORE, { value: description }));

/** @param {string} path @param {any} store @returns {StoreDescription} */
export function storeAt(path, store) {
  const description = store?.[STORE];
  if (description !== undefined) return description;
  throw invalidOption(`${path} must be what etcd() returned, got ${shown(store)}`);
}

/** @param {string} path @param {unknown} value @returns {string[]} */
function endpointsAt(path, value) {
  const endpoints = copyOf(value, MOST_ENDPOINTS);
  if (endpoints === undefined || endpoints.length === 0) {
    throw invalidOption(
      `${path} must be an array of addresses such as "http://127.0.0.1:2379", got ${shown(value)}`,
    );
  }
  return endpoints.map((endpoint, index) => addressAt(`${path}[${index}]`, endpoint));
}

/**
 * An address without a path, such as `http://10.0.0.5:7070`.
 * @param {string} path
 * @param {unknown} value
 */
export function addressAt(path, value) {
  const url = typeof value === 'string' ? urlOf(value) : undefined;
  const isBare =
    url !== undefined &&
    /^https?:$/.test(url.protocol) &&
    `${url.pathname}${url.search}${url.hash}${url.username}${url.password}` === '/' &&
    url.hostname !== '';
  if (isBare) return `${url.protocol}//${url.hostname}:${url.port || defaultPort(url)}`;
  throw invalidOption(
    `${path} must be http://host:port or https://host:port without a path, got ${shown(value)}`,
  );
}

/** @param {URL} url */
const defaultPort = ({ protocol }) => (protocol === 'https:' ? '443' : '80');

/** @param {string} text */
function urlOf(text) {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

/** @param {string} path @param {unknown} value */
function prefixAt(path, value) {
  const isPrefix =
    typeof value === 'string' &&
    /^\/(?:[!-.0-~]+\/)*$/.test(value) &&
    value.length <= MOST_PREFIX_BYTES;
  if (isPrefix) return value;
  throw invalidOption(
    `${path} must begin and end with a slash, as "${PREFIX}" does, without spaces or empty parts, ` +
      `and have at most ${MOST_PREFIX_BYTES} bytes, got ${shown(value)}`,
  );
}

/** A value that does not fit is not shown: it may be a password. @param {string} path @param {unknown} value */
function textAt(path, value) {
  if (typeof value === 'string' && value !== '') return value;
  throw invalidOption(`${path} must be a text that is not empty`);
}

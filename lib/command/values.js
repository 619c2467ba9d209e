/**
 * The kinds of values that settings have: how each is read from a flag, a variable or the config
 * file. A reader returns the value, or throws a `Mismatch` that says what it must be.
 */
import { isIP } from 'node:net';
import { nearest } from '../checks.js';
import { isName, nameRule } from '../survive/option.js';

/** What is wrong with a value; the caller says whose value it is. */
export class Mismatch extends Error {}

/** @type {Record<string, number>} */
const BYTES = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };
/** @type {Record<string, number>} */
const MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** Less is no memory for a tenant, but a unit that was left out. */
const LEAST_MEMORY = 2 ** 20;

/** @typedef {(value: unknown) => any} Read */

/** @type {Read} */
export function bytes(value) {
  const text = textOf(value).toLowerCase();
  const [, amount = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/.exec(text) ?? [];
  const size = Number(amount) * (BYTES[unit] ?? NaN);
  if (amount === '' || !Number.isSafeInteger(Math.round(size))) {
    throw new Mismatch('a size such as 512M or 1G');
  }
  if (size < LEAST_MEMORY) {
    const meant = unit === '' && Number(amount) >= 1 ? `; did you mean ${amount}M?` : '';
    throw new Mismatch(`a size of at least 1M${meant}`);
  }
  return Math.round(size);
}

/** @type {Read} */
export function duration(value) {
  // A number in the config file is milliseconds, as in the library.
  if (typeof value === 'number' && value >= 0 && Number.isFinite(value)) return value;
  const text = textOf(value).toLowerCase();
  if (text === '0') return 0;
  if (/^\d+$/.test(text)) throw new Mismatch(`a time with its unit; did you mean ${text}s?`);
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/.test(text)) {
    throw new Mismatch('a time such as 5m, 30s or 1h30m');
  }
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    total += Number(amount) * (MS[unit ?? ''] ?? NaN);
  }
  return total;
}

/** A time of a millisecond at least. @param {string} [hint] what 0 may stand for @returns {Read} */
export const someTime = (hint) => (value) => {
  const ms = duration(value);
  if (ms >= 1) return ms;
  const meant = hint === undefined ? '' : `; did you mean ${hint}?`;
  throw new Mismatch(`a time of at least 1ms${meant}`);
};

/** @param {number} least @param {number} [most] @returns {Read} */
export const whole =
  (least, most = Infinity) =>
  (value) => {
    const text = textOf(value);
    const count = /^\d+$/.test(text) ? Number(text) : NaN;
    if (count >= least && count <= most) return count;
    const range = most === Infinity ? `of at least ${least}` : `from ${least} to ${most}`;
    throw new Mismatch(`a whole number ${range}`);
  };

/** @type {Read} */
export function cores(value) {
  const text = textOf(value);
  const count = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : NaN;
  if (count >= 0.01) return count;
  throw new Mismatch('a number of cores, such as 1 or 0.5');
}

/** @param {readonly string[]} words @returns {Read} */
export const oneOf = (words) => (value) => {
  const text = textOf(value);
  if (words.includes(text)) return text;
  const near = nearest(text, words);
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  throw new Mismatch(`${listed(words)}${hint}`);
};

/**
 * Another kind, or a word that turns it off: then the value is null.
 *
 * @param {string} word
 * @param {Read} read
 * @returns {Read}
 */
export const orWord = (word, read) => (value) => {
  if (value === word || value === null || value === false) return null;
  try {
    return read(value);
  } catch (error) {
    if (!(error instanceof Mismatch)) throw error;
    if (typeof value === 'string' && nearest(value, [word]) !== undefined) {
      throw new Mismatch(`${error.message}, or ${word}; did you mean ${word}?`);
    }
    const [must, ...hint] = error.message.split(';');
    throw new Mismatch([`${must}, or ${word}`, ...hint].join(';'));
  }
};

/** `127.0.0.1:9464`, `[::1]:9464` or a port alone. @type {Read} */
export function address(value) {
  const text = textOf(value);
  const [, hostname, port = ''] = /^(?:(\[[\da-f:.]+\]|[^:[\]/\s]+):)?(\d{1,5})$/i.exec(text) ?? [];
  if (port === '' || Number(port) > 65_535) {
    throw new Mismatch('an address with its port, such as 127.0.0.1:9464');
  }
  return { hostname: hostname?.replace(/^\[|\]$/g, '') ?? '127.0.0.1', port: Number(port) };
}

/** @type {Read} */
export function hostname(value) {
  const text = textOf(value);
  if (text !== '' && !/[\s/]/.test(text) && (isIP(text) !== 0 || !text.includes(':'))) return text;
  throw new Mismatch('an address or a name without port, such as 127.0.0.1 or 0.0.0.0');
}

/** @type {Read} */
export function domain(value) {
  const text = textOf(value);
  const label = '[a-z\\d](?:[a-z\\d-]*[a-z\\d])?';
  if (new RegExp(`^${label}(?:\\.${label})*$`, 'i').test(text)) return text;
  throw new Mismatch('a domain such as localhost or apps.example.com');
}

/**
 * What the hosts of a fleet share: `etcd://host:port,host:port/prefix`.
 * @type {Read}
 */
export function fleetStore(value) {
  const [, members = '', path = ''] = /^etcd:\/\/([^/]+)(\/.*)?$/.exec(textOf(value)) ?? [];
  const endpoints = members.split(',').map((member) => `http://${member}`);
  const isPrefix = /^(?:\/[!-.0-~]+)*\/?$/.test(path);
  if (!isPrefix || !endpoints.every((endpoint) => isAddress(endpoint))) {
    throw new Mismatch('an address such as etcd://10.0.0.2:2379,10.0.0.3:2379/absolute');
  }
  return { endpoints, ...(path.length > 1 && { prefix: path.endsWith('/') ? path : `${path}/` }) };
}

/** @param {string} text */
const isAddress = (text) =>
  /^https?:\/\/(?:[a-z\d_.-]+|\[[\da-f:.]+\]):\d{1,5}$/i.test(text) && URL.canParse(text);

/** @type {Read} */
export function fleetAddress(value) {
  const text = textOf(value);
  if (isAddress(text)) return text;
  throw new Mismatch('an address such as http://10.0.0.5:7070');
}

/** @type {Read} */
export function fleetName(value) {
  const text = textOf(value);
  if (/^[!-.0-~]{1,128}$/.test(text)) return text;
  throw new Mismatch('a name of at most 128 letters, digits and signs without spaces and slashes');
}

/** Addresses of proxies, between commas or as an array. @type {Read} */
export function networks(value) {
  const parts = Array.isArray(value) ? value.map(textOf) : textOf(value).split(',');
  return parts.map((part) => {
    const [base = '', bits, ...rest] = part.trim().split('/');
    const version = isIP(base);
    const most = version === 6 ? 128 : 32;
    const fits = bits === undefined || (/^\d+$/.test(bits) && Number(bits) <= most);
    if (version !== 0 && fits && rest.length === 0) return part.trim();
    throw new Mismatch('addresses of proxies, such as 10.0.0.0/8');
  });
}

/** A name of hosts that tenants outlive, or `on`, which stands for one made of the directory. */
/** @type {Read} */
export function survivalName(value) {
  const given = value === true ? 'on' : textOf(value);
  if (isName(given)) return given;
  throw new Mismatch(`on, or a name of ${nameRule(given)}`);
}

/** A switch, where it is not a flag. @type {Read} */
export function yesOrNo(value) {
  if (typeof value === 'boolean') return value;
  const text = textOf(value).toLowerCase();
  if (['1', 'true', 'yes', 'on'].includes(text)) return true;
  if (['0', 'false', 'no', 'off'].includes(text)) return false;
  throw new Mismatch('true or false');
}

/** `20000:10000`: the first user and how many. @type {Read} */
export function users(value) {
  const [, first, count] = /^(\d+):(\d+)$/.exec(textOf(value)) ?? [];
  if (Number(first) > 0 && Number(count) > 0) return { first: Number(first), count: Number(count) };
  throw new Mismatch('the first user and how many, such as 20000:10000');
}

/** @type {Read} */
export function text(value) {
  const given = textOf(value);
  if (given !== '' && !given.includes('\0')) return given;
  throw new Mismatch('a text that is not empty');
}

/** How long ago, or a point in time: milliseconds since the epoch. @type {Read} */
export function since(value) {
  try {
    return Date.now() - duration(value);
  } catch {
    const at = /^\d{4}-\d\d/.test(String(value)) ? Date.parse(String(value)) : NaN;
    if (!Number.isNaN(at)) return at;
    throw new Mismatch('how long ago, such as 10m, or a time such as 2026-11-29T08:00');
  }
}

/** @param {unknown} value */
function textOf(value) {
  if (typeof value === 'string') return value.trim();
  if (typeof value === 'number') return String(value);
  throw new Mismatch('a text');
}

/** @param {readonly string[]} words */
const listed = (words) => `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;

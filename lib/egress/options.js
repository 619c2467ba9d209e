/** EgressGuardOptions: read once, checked, completed with the defaults; and addresses as text, which the lists consist of. */
import { createRequire } from 'node:module';
import { invalidOption } from '../errors.js';
import { isFunction, isRecord, number, optional, shown, wholeNumber } from '../options.js';

/** @typedef {import('../../index.js').EgressGuardOptions} EgressGuardOptions */
/**
 * Hosts that a list names: exactly, by `*.`, or by a range of addresses.
 * @typedef {{ names: Set<string>, suffixes: string[], ranges: Range[] }} Hosts
 */

const knownOptions = ['allow', 'deny', 'only', 'budget', 'lookup', 'onDenied'];
const knownBudgetOptions = ['windowMs', 'maxRequests', 'maxBytes'];

/** @param {EgressGuardOptions} options */
export function readEgressOptions(options) {
  if (!isRecord(options)) throw invalidOption(`options must be an object, got ${shown(options)}`);
  refuseUnknown('', options, knownOptions);
  return {
    allow: rangesOf(options.allow),
    deny: hostsOf('deny', options.deny) ?? { names: new Set(), suffixes: [], ranges: [] },
    only: hostsOf('only', options.only),
    budget: budgetOf(options.budget),
    lookup: optional('lookup', options.lookup, isFunction, 'a function'),
    onDenied: optional('onDenied', options.onDenied, isFunction, 'a function'),
  };
}

/** @typedef {ReturnType<typeof readEgressOptions>} EgressSettings */
/** @typedef {NonNullable<ReturnType<typeof budgetOf>>} Budget */

/**
 * A misspelt `deny` must not pass for no `deny`.
 * @param {string} path @param {object} options @param {string[]} known
 */
function refuseUnknown(path, options, known) {
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw invalidOption(
    `${path}${unknown} is not an option of the egress guard; there are ${known.join(', ')}`,
  );
}

/** @param {unknown} list @returns {Range[]} */
function rangesOf(list) {
  return entriesOf('allow', list).map((entry, index) => {
    const range = parseRange(entry);
    if (range) return range;
    throw invalidOption(
      `allow[${index}] must be an address or a range of addresses such as "10.1.2.0/24", got ${shown(entry)}; ` +
        'to admit certain host names only, use the option only',
    );
  });
}

/** @param {string} path @param {unknown} list @returns {Hosts | undefined} */
function hostsOf(path, list) {
  if (list === undefined) return undefined;
  /** @type {Hosts} */
  const hosts = { names: new Set(), suffixes: [], ranges: [] };
  for (const [index, entry] of entriesOf(path, list).entries()) {
    const range = parseRange(entry);
    if (range) {
      hosts.ranges.push(range);
      continue;
    }
    const isSuffix = entry.startsWith('*.');
    const name = nameOf(isSuffix ? entry.slice(2) : entry);
    if (name === undefined) {
      throw invalidOption(
        `${path}[${index}] must be a host name ("example.com", "*.example.com"), an address or a range of ` +
          `addresses, got ${shown(entry)}`,
      );
    }
    if (isSuffix) hosts.suffixes.push(`.${name}`);
    else hosts.names.add(name);
  }
  return hosts;
}

/**
 * A host name as a parsed URL has it: lower case, in ASCII, without the trailing dot.
 * @param {string} entry
 */
function nameOf(entry) {
  const url = `http://${entry}/`;
  if (/[/\\?#@:*\s]/.test(entry) || !URL.canParse(url)) return undefined;
  const name = new URL(url).hostname.replace(/\.$/, '');
  const isName = name !== '' && !name.split('.').includes('') && parseAddress(name) === undefined;
  return isName ? name : undefined;
}

/** @param {string} path @param {unknown} list @returns {string[]} */
function entriesOf(path, list) {
  if (list === undefined) return [];
  // A copy has no holes, which `every` would pass over.
  const entries = Array.isArray(list) ? [...list] : undefined;
  if (entries?.every((entry) => typeof entry === 'string')) return entries;
  throw invalidOption(`${path} must be an array of strings, got ${shown(list)}`);
}

/** @param {unknown} budget */
function budgetOf(budget) {
  if (budget === undefined) return undefined;
  if (!isRecord(budget)) throw invalidOption(`budget must be an object, got ${shown(budget)}`);
  refuseUnknown('budget.', /** @type {object} */ (budget), knownBudgetOptions);
  const { windowMs, maxRequests, maxBytes } = /** @type {Record<string, unknown>} */ (budget);
  const read = {
    windowMs: number('budget.windowMs', windowMs, 60_000, 1),
    maxRequests: wholeNumber('budget.maxRequests', maxRequests, Infinity, 0),
    maxBytes: wholeNumber('budget.maxBytes', maxBytes, Infinity, 0),
  };
  if (read.windowMs === Infinity) throw invalidOption('budget.windowMs must be finite, got Infinity');
  return read;
}

/** @typedef {import('ipaddr.js').IPv4 | import('ipaddr.js').IPv6} Address */
/** An address and how many of its leading bits count. @typedef {[base: Address, bits: number]} Range */

/** @type {typeof import('ipaddr.js') | undefined} */
let library;

/** Loads at the first use, so that importing the package stays fast. */
export function ipaddr() {
  return (library ??= /** @type {typeof import('ipaddr.js')} */ (
    createRequire(import.meta.url)('ipaddr.js')
  ));
}

/**
 * The address that a text is. IPv4 only as four plain decimals, since other spellings (`127.1`, `0x7f000001`) mean
 * different things to different readers: URLs have none left once parsed. An IPv4-mapped IPv6 address is the IPv4
 * address, because that is where the kernel connects to.
 * @param {string} text
 * @returns {Address | undefined}
 */
export function parseAddress(text) {
  if (!text.includes(':')) {
    const { IPv4 } = ipaddr();
    return IPv4.isValidFourPartDecimal(text) ? IPv4.parse(text) : undefined;
  }
  const plain = text.replace(/%[\w.-]+$/, ''); // a zone only says through which interface
  // The URL parser is stricter than the library, which reads `::1.2.3.4` as a mapped address.
  const url = `http://[${plain}]/`;
  if (!/^[\da-f:.]+$/i.test(plain) || !URL.canParse(url)) return undefined;
  const address = ipaddr().IPv6.parse(new URL(url).hostname.slice(1, -1));
  return address.isIPv4MappedAddress() ? address.toIPv4Address() : address;
}

/**
 * The range that a text is: `10.0.0.0/8`, `fd00::/8`, or a single address.
 * @param {string} text
 * @returns {Range | undefined}
 */
export function parseRange(text) {
  const [start = '', length, ...rest] = text.split('/');
  const base = parseAddress(start);
  if (base === undefined || rest.length > 0) return undefined;
  const isIPv4 = base.kind() === 'ipv4';
  const most = isIPv4 ? 32 : 128;
  if (length === undefined) return [base, most];
  if (!/^\d{1,3}$/.test(length)) return undefined;
  const bits = isIPv4 && start.includes(':') ? Number(length) - 96 : Number(length);
  if (bits < 0 || bits > most || !startsRange(base, bits)) return undefined;
  return [base, bits];
}

/**
 * Whether nothing is set beyond the bits that count: `10.1.0.0/8` is rather a slip than a range.
 * @param {Address} base @param {number} bits
 */
function startsRange(base, bits) {
  return base.toByteArray().every((byte, index) => {
    const counted = Math.min(8, Math.max(0, bits - index * 8));
    return (byte & (0xff >> counted)) === 0;
  });
}

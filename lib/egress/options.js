/**
 * EgressGuardOptions: read once, checked, completed with the defaults. Also the parser of
 * addresses and ranges, which the lists consist of.
 */
import { createRequire } from 'node:module';
import { invalidOption, partNotLoaded } from '../errors.js';
import {
  copyOf,
  fieldsOf,
  isFunction,
  isTracerProvider,
  number,
  optional,
  readAt,
  shown,
  wholeNumber,
} from '../checks.js';

/** @typedef {import('../../index.js').EgressGuardOptions} EgressGuardOptions */
/**
 * Hosts that a list names: exactly, by `*.`, or by a range of addresses.
 * @typedef {{ names: Set<string>, suffixes: string[], ranges: Range[] }} Hosts
 */

/** Options that only this guard has: see `isCoarse`. @type {(keyof EgressGuardOptions)[]} */
const OWN = ['deny', 'only', 'budget', 'onDenied'];
/**
 * Options of the TypeScript package's guard: see `isCoarse`.
 * @type {(keyof EgressGuardOptions)[]}
 */
const OTHERS = ['budgets', 'onDeny', 'fetchImpl', 'now', 'tracerProvider'];
/** @type {(keyof EgressGuardOptions)[]} */
const OPTIONS = ['allow', 'deny', 'only', 'budget', 'lookup', 'onDenied', ...OTHERS];

/** @typedef {{ windowMs: number, maxRequests: number, maxBytes: number }} Budget */

/** @param {EgressGuardOptions} given */
export function readEgressOptions(given) {
  const options = fieldsOf('', given, OPTIONS);
  const { allow, budget, budgets, now } = options;
  const decide = isFunction(allow)
    ? /** @type {(key: string, url: URL) => unknown} */ (allow)
    : undefined;
  if (decide && (options.deny !== undefined || options.only !== undefined)) {
    throw invalidOption('allow is a function, which decides alone: leave out deny and only');
  }
  if (budget !== undefined && budgets !== undefined) {
    throw invalidOption('budget and budgets are two names for one thing: give one of them');
  }
  return {
    decide,
    allow: decide ? [] : readAt('allow', allow, rangesAt),
    deny: readAt('deny', options.deny, hostsAt) ?? { names: new Set(), suffixes: [], ranges: [] },
    only: readAt('only', options.only, hostsAt),
    budget: budgets === undefined ? budgetOf(budget) : budgetsOf(budgets),
    lookup: optional('lookup', options.lookup, isFunction, 'a function'),
    onDenied: optional('onDenied', options.onDenied, isFunction, 'a function'),
    onDeny: optional('onDeny', options.onDeny, isFunction, 'a function'),
    fetchImpl: optional('fetchImpl', options.fetchImpl, isFunction, 'a function'),
    now: optional('now', now, isFunction, 'a function') && (() => timeOf(now)),
    tracerProvider: optional(
      'tracerProvider',
      options.tracerProvider,
      isTracerProvider,
      'a tracer provider',
    ),
    isCoarse: isCoarse(options),
  };
}

/** @typedef {ReturnType<typeof readEgressOptions>} EgressSettings */

/**
 * Whether refusals have the TypeScript package's three reasons (`EgressDenyReason`) instead of
 * this guard's: if only options of that package were given.
 * @param {EgressGuardOptions} options
 */
function isCoarse(options) {
  const isGiven = (/** @type {keyof EgressGuardOptions} */ name) => options[name] !== undefined;
  const { allow } = options;
  if (OWN.some(isGiven)) return false;
  // A function first: one that is a revoked proxy may not be asked whether it is an array.
  return isFunction(allow) || (!Array.isArray(allow) && OTHERS.some(isGiven));
}

/**
 * Refuses a clock that returns no usable number: compared with NaN, no budget would hold.
 * @param {(() => number) | undefined} now
 */
function timeOf(now) {
  const time = now?.();
  // Beyond these, adding a window may give the same number. Only a number is compared: to make one
  // of a large array would take minutes.
  if (typeof time === 'number' && Math.abs(time) <= Number.MAX_SAFE_INTEGER) return time;
  throw invalidOption(`now must return a number, got ${shown(time)}`);
}

/** @param {string} path @param {unknown} list @returns {Range[]} */
function rangesAt(path, list) {
  return entriesOf(path, list).map((entry, index) => {
    const range = parseRange(entry);
    if (range) return range;
    throw invalidOption(
      `${path}[${index}] must be an address or a range of addresses such as "10.1.2.0/24", got ${shown(entry)}; ` +
        'to admit certain host names only, use the option only',
    );
  });
}

/** @param {string} path @param {unknown} list @returns {Hosts | undefined} */
function hostsAt(path, list) {
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

/** Bounds the time of a request: its host is compared with every entry. */
const MAX_ENTRIES = 100_000;

/** @param {string} path @param {unknown} list @returns {string[]} */
function entriesOf(path, list) {
  if (list === undefined) return [];
  const entries = copyOf(list, MAX_ENTRIES);
  if (entries?.every((entry) => typeof entry === 'string')) return entries;
  throw invalidOption(`${path} must be an array of strings, got ${shown(list)}`);
}

/** @param {EgressGuardOptions['budget']} budget @returns {Budget | undefined} */
function budgetOf(budget) {
  if (budget === undefined) return undefined;
  const { windowMs, maxRequests, maxBytes } = fieldsOf('budget', budget, [
    'windowMs',
    'maxRequests',
    'maxBytes',
  ]);
  return {
    windowMs: windowAt('budget.windowMs', windowMs),
    maxRequests: wholeNumber('budget.maxRequests', maxRequests, Infinity, 0),
    maxBytes: wholeNumber('budget.maxBytes', maxBytes, Infinity, 0),
  };
}

/**
 * `budgetOf` for the option names of the TypeScript package.
 * @param {import('../../index.js').EgressBudgets} budgets
 * @returns {Budget}
 */
function budgetsOf(budgets) {
  const { windowMs, requests, bytes } = fieldsOf('budgets', budgets, [
    'windowMs',
    'requests',
    'bytes',
  ]);
  return {
    windowMs: windowAt('budgets.windowMs', windowMs),
    maxRequests: wholeNumber('budgets.requests', requests, Infinity, 0),
    maxBytes: wholeNumber('budgets.bytes', bytes, Infinity, 0),
  };
}

/** @param {string} path @param {unknown} value */
function windowAt(path, value) {
  const windowMs = number(path, value, 60_000, 1);
  if (windowMs === Infinity) throw invalidOption(`${path} must be finite, got Infinity`);
  return windowMs;
}

/** @typedef {import('ipaddr.js').IPv4 | import('ipaddr.js').IPv6} Address */
/**
 * An address and the number of its leading bits that count.
 * @typedef {[base: Address, bits: number]} Range
 */

/** @type {typeof import('ipaddr.js') | undefined} */
let library;

/** The library `ipaddr.js`, loaded at the first use, so that importing the package stays fast. */
export function ipaddr() {
  try {
    return (library ??= /** @type {typeof import('ipaddr.js')} */ (
      createRequire(import.meta.url)('ipaddr.js')
    ));
  } catch (error) {
    throw partNotLoaded(error);
  }
}

/**
 * Parses an address; undefined for any other text. IPv4 is accepted as four plain decimals only:
 * parsers read other spellings (`127.1`, `0x7f000001`) differently, and a parsed URL has none
 * left. An IPv4-mapped IPv6 address becomes the IPv4 address, which is what the kernel connects
 * to.
 * @param {string} text
 * @returns {Address | undefined}
 */
export function parseAddress(text) {
  if (!text.includes(':')) {
    const { IPv4 } = ipaddr();
    return IPv4.isValidFourPartDecimal(text) ? IPv4.parse(text) : undefined;
  }
  const plain = text.replace(/%[\w.-]+$/, ''); // a zone names an interface only
  // The URL parser is stricter than the library, which reads `::1.2.3.4` as a mapped address.
  const url = `http://[${plain}]/`;
  if (!/^[\da-f:.]+$/i.test(plain) || !URL.canParse(url)) return undefined;
  const address = ipaddr().IPv6.parse(new URL(url).hostname.slice(1, -1));
  return address.isIPv4MappedAddress() ? address.toIPv4Address() : address;
}

/**
 * Parses a range (`10.0.0.0/8`, `fd00::/8`) or a single address; undefined if the text is neither.
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
 * Whether all bits beyond the prefix are zero: `10.1.0.0/8` is more likely a slip than a range.
 * @param {Address} base @param {number} bits
 */
function startsRange(base, bits) {
  return base.toByteArray().every((byte, index) => {
    const counted = Math.min(8, Math.max(0, bits - index * 8));
    return (byte & (0xff >> counted)) === 0;
  });
}

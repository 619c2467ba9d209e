/**
 * GatewayOptions: read once, checked, and completed with the defaults. `src/gateway/settings.rs`
 * reads `native` of the result.
 */
import {
  assertKey,
  copyOf,
  directoryAt,
  fieldsOf,
  ipVersion,
  isFunction,
  isRecord,
  number,
  optional,
  readAt,
  shown,
  wholeNumber,
} from '../checks.js';
import { invalidOption, isRuntimeError } from '../errors.js';
import { coreOf } from '../observe/core.js';
import { certificatesAt } from './certificates.js';

/** @typedef {import('../../gateway.js').GatewayOptions} GatewayOptions */
/** @typedef {import('../../gateway.js').GatewayRoute} GatewayRoute */

/** @type {(keyof GatewayOptions)[]} */
const OPTIONS = [
  'runtime',
  'route',
  'listen',
  'tls',
  'trust',
  'wake',
  'limits',
  'drainMs',
  'onAccess',
  'page',
];

/** What `setTimeout` and clocks can be trusted with: longer than any host lives at a time. */
export const LONGEST_MS = 2 ** 31 - 1;
/** How long what a route's function says is remembered. */
const ASK_CACHE_MS = 10_000;
/** How many places, ranges or hosts a gateway has at most: more is a mistake. */
const MOST_ENTRIES = 100_000;
/** The head of a request is held in memory, for each connection. */
const MOST_HEADER_BYTES = 1 << 20;
/** The longest path of a unix socket on Linux. */
const MOST_SOCKET_PATH_BYTES = 107;

/** @param {GatewayOptions} given */
export function readOptions(given) {
  const options = fieldsOf('', given, OPTIONS);
  const { tls } = options;
  const route = routeOf(options.route);
  const onAccess = optional('onAccess', options.onAccess, isFunction, 'a function');
  const page = optional('page', options.page, isFunction, 'a function');
  const core = readAt('runtime', options.runtime, (path, given) => coreOf(path, given, 'gateway'));
  return {
    core,
    ask: route.ask,
    page,
    onAccess,
    certificate: isFunction(tls)
      ? /** @type {import('../../gateway.js').GatewayCertificateFunction} */ (tls)
      : undefined,
    drainMs: milliseconds('drainMs', options.drainMs, 30_000, 0),
    native: {
      route: route.native,
      listen: readAt('listen', options.listen, listenAt),
      certificates:
        tls === undefined || isFunction(tls) ? undefined : readAt('tls', tls, certificatesAt),
      asksForCertificates: isFunction(tls),
      trust: readAt('trust', options.trust, trustAt),
      wake: wakeOf(options.wake),
      limits: limitsOf(options.limits),
      hasAccess: onAccess !== undefined,
      hasPage: page !== undefined,
      traces: core.settings.tracerProvider !== undefined,
    },
  };
}

/** @typedef {ReturnType<typeof readOptions>} Settings */

/**
 * A duration that is at most the longest.
 * @param {string} path
 * @param {unknown} value
 * @param {number} byDefault
 * @param {number} least
 */
export const milliseconds = (path, value, byDefault, least) =>
  Math.min(number(path, value, byDefault, least), LONGEST_MS);

/** Which fields a route has, by what. @type {Record<string, string[]>} */
const ROUTES = {
  subdomain: ['by', 'domain'],
  path: ['by'],
  host: ['by', 'hosts'],
  ask: ['by', 'ask', 'cacheMs'],
};

/**
 * @param {unknown} route
 * @returns {{ native: Record<string, unknown>, ask?: Extract<GatewayRoute, { by: 'ask' }>['ask'] }}
 */
function routeOf(route) {
  const given = /** @type {Record<string, any>} */ (route);
  const by = readAt('route', route, (path, value) => {
    if (!isRecord(value)) {
      throw invalidOption(
        `${path} must be { by: "subdomain", domain }, { by: "path" }, { by: "host", hosts } or ` +
          `{ by: "ask", ask }, got ${shown(value)}`,
      );
    }
    return value.by;
  });
  const names = typeof by === 'string' && Object.hasOwn(ROUTES, by) ? ROUTES[by] : undefined;
  if (names === undefined) {
    throw invalidOption(`route.by must be "subdomain", "path", "host" or "ask", got ${shown(by)}`);
  }
  const fields = fieldsOf('route', given, names);
  switch (by) {
    case 'subdomain':
      return { native: { by, domain: hostAt('route.domain', fields.domain) } };
    case 'host':
      return { native: { by, hosts: readAt('route.hosts', fields.hosts, hostsAt) } };
    case 'ask':
      if (!isFunction(fields.ask)) {
        throw invalidOption(`route.ask must be a function, got ${shown(fields.ask)}`);
      }
      return {
        native: { by, cacheMs: milliseconds('route.cacheMs', fields.cacheMs, ASK_CACHE_MS, 0) },
        ask: fields.ask,
      };
    default:
      return { native: { by } };
  }
}

/**
 * The hosts of a route, and the key of each.
 * @param {string} path
 * @param {unknown} hosts
 * @returns {{ host: string, key: string }[]}
 */
function hostsAt(path, hosts) {
  if (!isRecord(hosts)) {
    throw invalidOption(`${path} must be a record of keys by host, got ${shown(hosts)}`);
  }
  const all = Object.entries(hosts);
  if (all.length > MOST_ENTRIES) {
    throw invalidOption(`${path} has ${all.length} hosts; route by a function instead`);
  }
  const seen = new Set();
  return all.map(([name, key]) => {
    const host = hostAt(`${path}[${JSON.stringify(name.slice(0, 80))}]`, name);
    if (seen.has(host)) throw invalidOption(`${path} has the host ${shown(host)} twice`);
    seen.add(host);
    return { host, key: keyAt(`${path}.${name.slice(0, 80)}`, key) };
  });
}

/** @param {string} path @param {unknown} key @returns {string} */
function keyAt(path, key) {
  try {
    assertKey(key);
  } catch (error) {
    if (!isRuntimeError(error)) throw error;
    throw invalidOption(`${path}: ${error.message}`);
  }
  return key;
}

/**
 * The name of a host, in lower case and without a dot at its end.
 * @param {string} path
 * @param {unknown} value
 */
function hostAt(path, value) {
  const host = typeof value === 'string' ? value.toLowerCase().replace(/\.$/, '') : '';
  if (host.length <= 253 && /^(?:[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*)$/.test(host)) return host;
  if (/^\[.*\]$/.test(host) && ipVersion(host.slice(1, -1)) === 6) return host;
  const hint = /[^ -~]/.test(host) ? ': write it as it is sent, xn--...' : ', without port';
  throw invalidOption(`${path} must be the name of a host${hint}, got ${shown(value)}`);
}

/** @param {string} path @param {unknown} listen */
function listenAt(path, listen) {
  if (listen === undefined || !Array.isArray(listen)) return [placeAt(path, listen ?? {})];
  const places = copyOf(listen, MOST_ENTRIES);
  if (places === undefined || places.length === 0) {
    throw invalidOption(`${path} must be a place to listen at, or several, got ${shown(listen)}`);
  }
  return places.map((place, index) => placeAt(`${path}[${index}]`, place));
}

/** @param {string} path @param {unknown} place */
function placeAt(path, place) {
  const given = /** @type {Record<string, any>} */ (place);
  const fields = fieldsOf(path, given, ['hostname', 'port', 'path', 'fd']);
  const { hostname, port, path: socket, fd } = fields;
  const kinds = [hostname ?? port, socket, fd].filter((field) => field !== undefined);
  if (kinds.length > 1) {
    throw invalidOption(`${path} must have one of hostname and port, path, or fd, and has several`);
  }
  if (socket !== undefined) return { path: socketPathAt(`${path}.path`, socket) };
  if (fd !== undefined) {
    if (Number.isInteger(fd) && fd >= 0 && fd < 2 ** 31) return { fd: /** @type {number} */ (fd) };
    throw invalidOption(`${path}.fd must be the number of a descriptor, got ${shown(fd)}`);
  }
  return {
    hostname: hostnameAt(`${path}.hostname`, hostname),
    port: within(`${path}.port`, port, 3_000, 0, 65_535),
  };
}

/** @param {string} path @param {unknown} value */
function hostnameAt(path, value) {
  if (value === undefined) return '127.0.0.1';
  const bare = typeof value === 'string' ? value.replace(/^\[(.*)\]$/, '$1') : '';
  // An address may have a zone: fe80::1%eth0.
  const isAddress = () => ipVersion(bare.replace(/%[\w.:-]+$/, '')) === 6;
  if (/^[a-z0-9_.-]{1,253}$/i.test(bare) || isAddress()) return bare;
  throw invalidOption(`${path} must be an address or a name, got ${shown(value)}`);
}

/** @param {string} path @param {unknown} value */
function socketPathAt(path, value) {
  const socket = directoryAt(path, value);
  if (Buffer.byteLength(socket) <= MOST_SOCKET_PATH_BYTES) return socket;
  throw invalidOption(
    `${path} must not be longer than ${MOST_SOCKET_PATH_BYTES} bytes, got ${shown(socket)}`,
  );
}

/** @param {string} path @param {unknown} trust @returns {string[]} */
function trustAt(path, trust) {
  if (trust === undefined) return [];
  const ranges = copyOf(trust, MOST_ENTRIES);
  if (ranges === undefined) {
    throw invalidOption(`${path} must be an array of ranges, got ${shown(trust)}`);
  }
  return ranges.map((range, index) => {
    if (isRange(range)) return range;
    throw invalidOption(
      `${path}[${index}] must be an address or a range such as 10.0.0.0/8, got ${shown(range)}`,
    );
  });
}

/** @param {unknown} range @returns {range is string} */
function isRange(range) {
  if (typeof range !== 'string') return false;
  const [, address = '', bits] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(range) ?? [];
  const version = ipVersion(address);
  return version !== 0 && Number(bits ?? 0) <= (version === 4 ? 32 : 128);
}

/** @param {GatewayOptions['wake']} wake */
function wakeOf(wake = {}) {
  const { timeoutMs, queue } = fieldsOf('wake', wake, ['timeoutMs', 'queue']);
  return {
    timeoutMs: milliseconds('wake.timeoutMs', timeoutMs, 30_000, 1),
    queue: wholeNumber('wake.queue', queue, 1_000, 0),
  };
}

/** @type {(keyof NonNullable<GatewayOptions['limits']>)[]} */
const LIMITS = [
  'headerBytes',
  'headers',
  'headersTimeoutMs',
  'bodyIdleTimeoutMs',
  'bodyBytes',
  'connections',
  'requestsPerTenant',
  'requestsPerSecondPerAddress',
];

/** @param {GatewayOptions['limits']} limits */
function limitsOf(limits = {}) {
  const fields = fieldsOf('limits', limits, LIMITS);
  /** @param {keyof typeof fields} name @param {number} least @param {number} [byDefault] */
  const whole = (name, least, byDefault) =>
    noneIfEndless(wholeNumber(`limits.${name}`, fields[name], byDefault, least));
  /** @param {'headersTimeoutMs' | 'bodyIdleTimeoutMs'} name @param {number} byDefault */
  const duration = (name, byDefault) => milliseconds(`limits.${name}`, fields[name], byDefault, 1);
  return {
    headerBytes: within('limits.headerBytes', fields.headerBytes, 16_384, 1_024, MOST_HEADER_BYTES),
    headers: within('limits.headers', fields.headers, 100, 1, 10_000),
    headersTimeoutMs: duration('headersTimeoutMs', 30_000),
    bodyIdleTimeoutMs: duration('bodyIdleTimeoutMs', 60_000),
    bodyBytes: whole('bodyBytes', 0),
    connections: whole('connections', 1, 10_000),
    requestsPerTenant: whole('requestsPerTenant', 1),
    requestsPerSecondPerAddress: whole('requestsPerSecondPerAddress', 1),
  };
}

/** @param {number | undefined} value */
const noneIfEndless = (value) => (value === Infinity ? undefined : value);

/**
 * @param {string} path
 * @param {unknown} value
 * @param {number} byDefault
 * @param {number} least
 * @param {number} most
 */
function within(path, value, byDefault, least, most) {
  if (value === undefined) return byDefault;
  if (Number.isInteger(value) && Number(value) >= least && Number(value) <= most)
    return Number(value);
  throw invalidOption(
    `${path} must be a whole number from ${least} to ${most}, got ${shown(value)}`,
  );
}

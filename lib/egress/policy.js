/** What may be reached: decided from the URL and the addresses alone, without sending anything. */
import { ipaddr, parseAddress, parseRange } from './options.js';

/** @typedef {import('./options.js').Address} Address */
/** @typedef {import('./options.js').Range} Range */
/** @typedef {import('./options.js').EgressSettings} EgressSettings */
/**
 * @typedef {{ reason: import('../../index.js').EgressDenialReason, why: string, address?: string
 * }} Problem
 */

/** Host names of cloud metadata services, which give any client on a machine its credentials. */
const metadataNames = new Set([
  'metadata',
  'metadata.google.internal',
  'metadata.goog',
  'instance-data',
  'instance-data.ec2.internal',
  'metadata.azure.internal',
  'metadata.platformequinix.com',
  'metadata.packet.net',
  'metadata.tencentyun.com',
]);

/**
 * The addresses of cloud metadata services. Ranges that are allowed for another purpose contain
 * some of them, and Azure's is a public address: only an entry for that one address in `allow`
 * admits it.
 */
const metadataAddresses = [
  '169.254.169.254', // most clouds
  '169.254.169.253', // AWS: resolver
  '169.254.170.2', // AWS: container credentials
  '169.254.170.23', // AWS: pod identity
  '169.254.0.23', // Tencent
  '100.100.100.200', // Alibaba
  '168.63.129.16', // Azure: wire server
  '192.0.0.192', // Oracle
  'fd00:ec2::254', // AWS
  'fd00:ec2::253',
  'fd00:ec2::23',
  'fd20:ce::254', // Google
  'fe80::a9fe:a9fe', // OpenStack
];

/**
 * Ports of other protocols (mail, IRC, X11, …) that the Fetch standard blocks for HTTP clients.
 */
const refusedPorts = new Set(
  (
    '1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111 113 115 117 119 123 ' +
    '135 137 139 143 161 179 389 427 465 512 513 514 515 526 530 531 532 540 548 554 556 563 587 601 636 989 990 993 ' +
    '995 1719 1720 1723 2049 3659 4045 4190 5060 5061 6000 6566 6665 6666 6667 6668 6669 6679 6697 10080'
  ).split(' '),
);

/** Names that, by convention, resolve to a private network or to this machine. */
const PRIVATE_NAME = /(^|\.)(localhost|internal)$/;

/** @param {EgressSettings} settings */
export function createPolicy({ allow, deny, only, decide, fetchImpl }) {
  // `fetchImpl` resolves names again, maybe to other addresses: private names are refused by name.
  const trustsNames = fetchImpl === undefined || allow.length > 0;
  const metadata = metadataAddresses.map(rangeOf);
  const globalUnicast = rangeOf('2000::/3');
  const nat64 = rangeOf('64:ff9b::/96');

  /**
   * Why an address may not be reached, if it may not.
   * @param {Address} address
   * @returns {string | undefined}
   */
  function problemOf(address) {
    for (const part of [address, ...embeddedIn(address)]) {
      const problem = problemOfOne(part);
      if (problem) return part === address ? problem : `${problem}, as ${part} within it`;
    }
    return undefined;
  }

  /** @param {Address} address */
  function problemOfOne(address) {
    if (isWithin(address, deny.ranges)) return 'in the list `deny`';
    if (isWithin(address, metadata)) {
      const named = allow.filter(([base, bits]) => bits === (base.kind() === 'ipv4' ? 32 : 128));
      return isWithin(address, named) ? undefined : 'a cloud metadata service';
    }
    if (isWithin(address, allow)) return undefined;
    return kindUnlessPublic(address);
  }

  /**
   * Whether a name resolves to a metadata service: refused even if the function `allow` admits it.
   * @param {Address} address
   */
  function metadataIn(address) {
    const isOne = [address, ...embeddedIn(address)].some((part) => isWithin(part, metadata));
    return isOne ? 'a cloud metadata service' : undefined;
  }

  /** @param {Address} address */
  function kindUnlessPublic(address) {
    const kind = /** @type {string} */ (address.range());
    if (kind !== 'unicast') {
      // On an IPv6-only network every public IPv4 address has this prefix: `embeddedIn` decides.
      return isWithin(address, [nat64]) ? undefined : nameOfKind(kind);
    }
    // IPv6 beyond 2000::/3 is unassigned, although the library says unicast.
    const isAssigned = address.kind() === 'ipv4' || isWithin(address, [globalUnicast]);
    return isAssigned ? undefined : 'unassigned';
  }

  return {
    /**
     * Why a tenant may not reach a URL, as far as it can be known without looking the name up.
     * @param {string} key
     * @param {URL} url
     * @returns {Problem | undefined}
     */
    problemOfUrl(key, url) {
      if (url.protocol !== 'http:' && url.protocol !== 'https:') {
        return {
          reason: 'scheme',
          why: `only http: and https: can be reached, not ${url.protocol}`,
        };
      }
      if (url.username !== '' || url.password !== '') {
        return {
          reason: 'credentials',
          why: 'the URL contains a user name or password; use a header',
        };
      }
      if (refusedPorts.has(url.port)) {
        return { reason: 'port', why: `port ${url.port} belongs to another protocol` };
      }
      if (decide) return problemOfDecision(decide(key, new URL(url)));
      const host = hostOf(url);
      const address = parseAddress(host);
      return address ? problemOfLiteral(address) : problemOfName(host);
    },

    /**
     * Why a name that resolves to these addresses may not be reached. One that is denied is
     * enough: a name that stands for both kinds has no honest use. Where a function decides, it
     * has admitted the name, or the address itself.
     * @param {URL} url
     * @param {Address[]} addresses
     * @returns {Problem | undefined}
     */
    problemOfAddresses(url, addresses) {
      if (decide && parseAddress(hostOf(url))) return undefined;
      for (const address of addresses) {
        const why = decide ? metadataIn(address) : problemOf(address);
        if (why) return denied(address, `it resolves to ${address}, which is ${why}`);
      }
      return undefined;
    },
  };

  /** @param {Address} address @returns {Problem | undefined} */
  function problemOfLiteral(address) {
    const why = problemOf(address);
    if (why) return denied(address, `it is ${why}`);
    const isAmong = !only || isWithin(address, only.ranges);
    return isAmong ? undefined : { reason: 'host', why: 'it is not in the list `only`' };
  }

  /** @param {string} name @returns {Problem | undefined} */
  function problemOfName(name) {
    const why = whyNotNamed(name);
    return why === undefined ? undefined : { reason: 'host', why };
  }

  /** @param {string} name */
  function whyNotNamed(name) {
    // Some resolvers read a name that ends in digits as an address. The URL parser leaves none.
    if (name.split('.').includes('') || /(^|\.)(\d+|0x[\da-f]*)$/i.test(name))
      return 'it is not a host name';
    if (metadataNames.has(name)) return 'it is the name of a cloud metadata service';
    if (!trustsNames && PRIVATE_NAME.test(name))
      return 'it is a name of this machine or a private network';
    if (isNamed(name, deny)) return 'it is in the list `deny`';
    if (only && !isNamed(name, only)) return 'it is not in the list `only`';
    return undefined;
  }
}

/** @typedef {ReturnType<typeof createPolicy>} Policy */

/**
 * A promise is refused: being truthy, it would admit everything.
 * @param {unknown} answer of a function given as `allow`
 * @returns {Problem | undefined}
 */
function problemOfDecision(answer) {
  const isPromise = typeof (/** @type {any} */ (answer)?.then) === 'function';
  if (answer && !isPromise) return undefined;
  if (isPromise) Promise.resolve(answer).catch(() => {});
  const why = isPromise
    ? 'the function `allow` must answer at once, and gave a promise'
    : 'the function `allow` said no';
  return { reason: 'host', why };
}

/**
 * The host of a URL, without brackets and the trailing dot.
 * @param {URL} url
 */
export function hostOf({ hostname }) {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname.replace(/\.$/, '');
}

/** @param {string} name @param {import('./options.js').Hosts} hosts */
function isNamed(name, { names, suffixes }) {
  return names.has(name) || suffixes.some((suffix) => name.endsWith(suffix));
}

/** @param {Address} address @param {readonly Range[]} ranges */
function isWithin(address, ranges) {
  return ranges.some(([base, bits]) => base.kind() === address.kind() && address.match(base, bits));
}

/**
 * The IPv4 addresses to which a packet for this IPv6 address may be delivered. (`parseAddress` has
 * turned mapped addresses into IPv4.)
 * @param {Address} address
 * @returns {Address[]}
 */
function embeddedIn(address) {
  if (address.kind() === 'ipv4') return [];
  const { parts } = /** @type {import('ipaddr.js').IPv6} */ (address);
  const at = (/** @type {number} */ index, flip = 0) => {
    const pair = [(parts[index] ?? 0) ^ flip, (parts[index + 1] ?? 0) ^ flip];
    const { IPv4 } = ipaddr();
    return new IPv4(pair.flatMap((part) => [part >> 8, part & 0xff]));
  };
  const [a, b, c, d, e, f] = parts;
  if (a === 0x2002) return [at(1)]; // 6to4
  if (a === 0x2001 && b === 0) return [at(2), at(6, 0xffff)]; // Teredo: its server, and the client inverted
  if (a === 0x64 && b === 0xff9b) return [at(6)]; // NAT64
  if ((a || b || c || d || f) === 0 && (e === 0xffff || (e === 0 && parts[6] !== 0))) {
    return [at(6)]; // IPv4-translated, and IPv4-compatible, which `::` and `::1` are not
  }
  if ((e === 0 || e === 0x200) && f === 0x5efe) return [at(6)]; // ISATAP
  return [];
}

/** @param {Address} address @param {string} why @returns {Problem} */
function denied(address, why) {
  return { reason: 'address', why, address: address.toString() };
}

/** The library's name of a range, such as `carrierGradeNat`, in words. @param {string} kind */
function nameOfKind(kind) {
  return `in a range that is not public (${kind.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)})`;
}

/** @param {string} text */
function rangeOf(text) {
  const range = parseRange(text);
  if (range) return range;
  throw new Error(`not a range of addresses: ${text}`);
}

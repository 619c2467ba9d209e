/**
 * FleetOptions: read once, checked, and completed with the defaults. `src/fleet/settings.rs` reads
 * `native` of the result.
 */
import {
  copyOf,
  fieldsOf,
  isFunction,
  isRecord,
  number,
  optional,
  readAt,
  shown,
} from '../checks.js';
import { invalidOption } from '../errors.js';
import { pemAt } from '../gateway/certificates.js';
import { coreOf } from '../observe/core.js';
import { gatewaySeamAt } from '../observe/gateway-seam.js';
import { addressAt, storeAt } from './store.js';

/** @typedef {import('../../fleet.js').FleetOptions} FleetOptions */

/** @type {(keyof FleetOptions)[]} */
const OPTIONS = [
  'runtime',
  'gateway',
  'store',
  'host',
  'leaseMs',
  'secret',
  'tls',
  'drainMs',
  'onEvent',
];

const LEASE_MS = 5_000;
/** An election of a store's leader takes a second or so: a shorter lease ends in each of them. */
const LEAST_LEASE_MS = 2_000;
/** A day: a host that is lost would be missed for as long. */
const MOST_LEASE_MS = 86_400_000;
const DRAIN_MS = 30_000;
const LONGEST_MS = 2 ** 31 - 1;
const MOST_ID_BYTES = 128;
const LEAST_SECRET_BYTES = 16;
const MOST_SECRET_BYTES = 4_096;
const MOST_WEIGHT = 1e6;
/** More gateways than a host has: a longer array is a mistake. */
const MOST_GATEWAYS = 100;

/** @param {FleetOptions} given */
export function readOptions(given) {
  const options = fieldsOf('', given, OPTIONS);
  const onEvent = optional('onEvent', options.onEvent, isFunction, 'a function');
  const core = readAt('runtime', options.runtime, (path, value) => coreOf(path, value, 'fleet'));
  checkRuntime(core);
  checkGateways(options.gateway, core);
  return {
    core,
    runtime: options.runtime,
    onEvent,
    native: {
      host: hostOf(options.host),
      store: readAt('store', options.store, storeAt),
      leaseMs: leaseOf(options.leaseMs),
      drainMs: Math.min(number('drainMs', options.drainMs, DRAIN_MS, 0), LONGEST_MS),
      ...trustOf(options.secret, options.tls),
    },
  };
}

/** @typedef {ReturnType<typeof readOptions>} Settings */

/** @param {import('../runtime.js').Core} core */
function checkRuntime({ settings, fleet }) {
  if (fleet !== undefined) {
    throw invalidOption('runtime is in a fleet already: close that one first');
  }
  if (settings.survive !== undefined) {
    throw invalidOption(
      'runtime has the option survive, and in a fleet no tenant may outlive its host: others serve ' +
        'its keys by then',
    );
  }
  if (settings.checkpoint !== undefined) {
    throw invalidOption(
      'runtime has the option checkpoint, and in a fleet a snapshot may be older than what another ' +
        'host has done since',
    );
  }
}

/** @param {unknown} given @param {import('../runtime.js').Core} core */
function checkGateways(given, core) {
  if (given === undefined) return;
  const isList = readAt('gateway', given, () => Array.isArray(given));
  const all = isList ? copyOf(/** @type {unknown[]} */ (given), MOST_GATEWAYS) : [given];
  if (all === undefined) {
    throw invalidOption(`gateway must be a gateway or several, got ${shown(given)}`);
  }
  all.forEach((one, index) => {
    const path = isList ? `gateway[${index}]` : 'gateway';
    const seam = readAt(path, one, gatewaySeamAt);
    if (seam.core !== core) throw invalidOption(`${path} is in front of another runtime`);
  });
}

/** @param {FleetOptions['host']} given */
function hostOf(given) {
  const host = readAt('host', given, (path, value) => {
    if (isRecord(value)) return fieldsOf(path, value, ['id', 'address', 'weight', 'zone']);
    throw invalidOption(`${path} must be { id, address }, got ${shown(value)}`);
  });
  const weight = number('host.weight', host.weight, 1);
  if (!(weight > 0 && weight <= MOST_WEIGHT)) {
    throw invalidOption(`host.weight must be above 0 and at most ${MOST_WEIGHT}, got ${weight}`);
  }
  return {
    id: nameAt('host.id', host.id),
    address: addressAt('host.address', host.address),
    weight,
    zone: host.zone === undefined ? undefined : nameAt('host.zone', host.zone),
  };
}

/** Names stand in keys of the store and in headers. @param {string} path @param {unknown} value */
function nameAt(path, value) {
  const isName =
    typeof value === 'string' && /^[!-.0-~]+$/.test(value) && value.length <= MOST_ID_BYTES;
  if (isName) return value;
  throw invalidOption(
    `${path} must be a name of at most ${MOST_ID_BYTES} printable ASCII characters without spaces and ` +
      `slashes, got ${shown(value)}`,
  );
}

/** @param {unknown} leaseMs */
function leaseOf(leaseMs = LEASE_MS) {
  const fits =
    Number.isInteger(leaseMs) &&
    Number(leaseMs) % 1_000 === 0 &&
    Number(leaseMs) >= LEAST_LEASE_MS &&
    Number(leaseMs) <= MOST_LEASE_MS;
  if (fits) return Number(leaseMs);
  throw invalidOption(
    `leaseMs must be whole seconds in milliseconds, from ${LEAST_LEASE_MS} to ${MOST_LEASE_MS}, got ` +
      shown(leaseMs),
  );
}

/**
 * By what hosts know each other.
 * @param {FleetOptions['secret']} secret
 * @param {FleetOptions['tls']} tls
 */
function trustOf(secret, tls) {
  if ((secret === undefined) === (tls === undefined)) {
    const are = secret === undefined ? 'neither is given' : 'both are given';
    throw invalidOption(`one of secret and tls says which hosts are of the fleet: ${are}`);
  }
  return secret === undefined
    ? { tls: readAt('tls', tls, tlsAt) }
    : { secret: readAt('secret', secret, secretAt) };
}

/** A secret that does not fit is not shown. @param {string} path @param {unknown} value */
function secretAt(path, value) {
  const bytes =
    typeof value === 'string'
      ? Buffer.from(value)
      : value instanceof Uint8Array
        ? value
        : undefined;
  if (bytes === undefined) throw invalidOption(`${path} must be a text or bytes`);
  if (bytes.length >= LEAST_SECRET_BYTES && bytes.length <= MOST_SECRET_BYTES) {
    return Uint8Array.from(bytes);
  }
  throw invalidOption(
    `${path} must have from ${LEAST_SECRET_BYTES} to ${MOST_SECRET_BYTES} bytes, and has ` +
      `${bytes.length}: "openssl rand -hex 32" makes one`,
  );
}

/** @param {string} path @param {unknown} value */
function tlsAt(path, value) {
  const given = /** @type {Record<string, unknown>} */ (value);
  const { cert, key, ca } = fieldsOf(path, given, ['cert', 'key', 'ca']);
  return {
    cert: pemAt(`${path}.cert`, cert, 'CERTIFICATE'),
    key: pemAt(`${path}.key`, key, 'PRIVATE KEY'),
    ca: pemAt(`${path}.ca`, ca, 'CERTIFICATE'),
  };
}

/** From a host to a connection: the addresses of its name, and a socket to one of them. */
import { lookup as lookupInSystem } from 'node:dns/promises';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { parseAddress } from './options.js';
import { egressFailed, textOf } from '../errors.js';
import { unlessAborted } from './hop.js';
import { copyOf } from '../checks.js';
import { hostOf } from './policy.js';

/** @typedef {import('./options.js').Address} Address */
/** @typedef {NonNullable<import('../../index.js').EgressGuardOptions['lookup']>} Lookup */

/** How long an address has to accept the connection before the next one is tried. */
const NEXT_ADDRESS_MS = 3_000;
/** How long the last address has, and the TLS handshake: as long as in other HTTP clients. */
const CONNECT_MS = 10_000;
/** One request dials no more addresses than these, however many its host has. */
const MAX_ADDRESSES_TRIED = 8;

/** No name has as many addresses; a lookup that gives more is refused. */
const MAX_ADDRESSES = 10_000;

/** @type {Lookup} */
const lookupByDefault = (hostname) => lookupInSystem(hostname, { all: true });

/**
 * All addresses of a URL's host. The caller checks each of them.
 * @param {URL} url
 * @param {Lookup | undefined} lookup
 * @param {AbortSignal} signal
 * @returns {Promise<Address[]>}
 */
export async function addressesOf(url, lookup, signal) {
  const host = hostOf(url);
  const literal = parseAddress(host);
  if (literal) return [literal];
  const found = await unlessAborted(Promise.resolve((lookup ?? lookupByDefault)(host)), signal);
  const addresses = (copyOf(found, MAX_ADDRESSES) ?? []).map(addressOf);
  if (addresses.length === 0) throw egressFailed(`${host} has no address`);
  return addresses;
}

/** @param {unknown} entry */
function addressOf(entry) {
  const given = typeof entry === 'string' ? entry : /** @type {any} */ (entry)?.address;
  const text = textOf(given);
  const address = parseAddress(text);
  if (address) return address;
  throw egressFailed(
    `the lookup gave ${JSON.stringify(text.slice(0, 80))}, which is not an IP address`,
  );
}

/**
 * Connects to one of these addresses, dialled as they are: the name is not resolved again. The
 * connection carries one request only, so that no request travels on one that was checked for
 * another.
 * @param {URL} url
 * @param {Address[]} addresses
 * @param {AbortSignal} signal
 */
export async function connect(url, addresses, signal) {
  const isSecure = url.protocol === 'https:';
  const port = Number(url.port || (isSecure ? 443 : 80));
  const socket = await connectToAny(addresses.slice(0, MAX_ADDRESSES_TRIED), port, signal);
  return isSecure ? await secured(socket, hostOf(url), signal) : socket;
}

/** @param {Address[]} addresses @param {number} port @param {AbortSignal} signal */
async function connectToAny(addresses, port, signal) {
  /** @type {unknown} */
  let failure;
  for (const [index, address] of addresses.entries()) {
    const socket = connectTcp({ host: address.toString(), port, noDelay: true });
    const isLast = index === addresses.length - 1;
    try {
      return await ready(socket, 'connect', isLast ? CONNECT_MS : NEXT_ADDRESS_MS, signal);
    } catch (error) {
      signal.throwIfAborted();
      failure = error;
    }
  }
  throw failure;
}

/**
 * Wraps a socket in TLS. The certificate must be valid for the name, whatever the address is, and
 * whatever NODE_TLS_REJECT_UNAUTHORIZED says.
 * @param {import('node:net').Socket} socket @param {string} host @param {AbortSignal} signal
 */
async function secured(socket, host, signal) {
  const servername = parseAddress(host) ? '' : host;
  const ALPNProtocols = ['http/1.1'];
  const secure = connectTls({ socket, host, servername, ALPNProtocols, rejectUnauthorized: true });
  try {
    await ready(secure, 'secureConnect', CONNECT_MS, signal);
    if (!secure.authorized) throw secure.authorizationError;
    return secure;
  } catch (error) {
    socket.destroy();
    secure.destroy();
    throw error;
  }
}

/**
 * Resolves with the socket once `event` has come; otherwise destroys it and rejects.
 * @template {import('node:net').Socket} S
 * @param {S} socket
 * @param {'connect' | 'secureConnect'} event
 * @param {number} patienceMs
 * @param {AbortSignal} signal
 * @returns {Promise<S>}
 */
function ready(socket, event, patienceMs, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => fail(new Error(`no connection within ${patienceMs} ms`)),
      patienceMs,
    );
    const onAbort = () => fail(signal.reason);
    const onClose = () => fail(new Error('the connection was closed before it was ready'));
    const stopWaiting = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.off('close', onClose);
    };
    /** @param {unknown} error */
    const fail = (error) => {
      stopWaiting();
      socket.destroy();
      reject(error);
    };
    // This listener stays: a later error reaches the reader or writer, and must not be uncaught
    // here.
    socket.on('error', fail);
    socket.once('close', onClose);
    socket.once(event, () => {
      stopWaiting();
      resolve(socket);
    });
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}

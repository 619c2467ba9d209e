/** A whole host: runtime, gateway, control socket, and what else was asked for. */
import { readFileSync } from 'node:fs';
import { hostname as machineName } from 'node:os';
import { closeGateway, countBrokenOff, GRACE_MS, passOn } from '../../control/last-requests.js';
import { inTerms } from '../../control/terms.js';
import { LEAVING_MS, listenWhenLeft } from '../../leaving.js';
import { Failure } from '../mistakes.js';
import { optionNames } from './terms.js';
import { runtimeOptions } from './tenants.js';

/** @typedef {import('../settings.js').Settings} Settings */

/** How long open requests have when a tenant is stopped, or this host leaves its tenants. */
const DRAIN_MS = 30_000;
/** How long a host that starts waits for its fleet before it says that it serves. */
const JOIN_MS = 10_000;

/**
 * @typedef {object} Host
 * @property {import('../../../index.js').Runtime} runtime
 * @property {import('../../../gateway.js').Gateway} gateway
 * @property {import('../../../control.js').Control} control
 * @property {import('../../../gateway.js').GatewayAddress[]} addresses
 * @property {{ path: string, dashboardUrl?: string }} listening of the control
 * @property {string | undefined} metricsUrl
 * @property {InFleet | undefined} fleet
 * @property {() => Promise<{ brokenOff: number }>} close the gateway first, then tenants, then the
 * rest; tells how many requests had to be broken off
 * @property {() => Promise<{ brokenOff: number }>} leave leaves the tenants to the next host of the
 * name; tells the same
 */

/** @typedef {{ id: string, address: string, stores: readonly string[], hasJoined: boolean }} InFleet */

/**
 * Starts all of it, or nothing: what has been started when another part fails is ended.
 *
 * @param {() => Settings} current
 * @param {{ sockets: { fd: number }[],
 *   onTransition: (event: import('../../../index.js').RuntimeTransitionEvent) => void }} more
 * @returns {Promise<Host>}
 */
export async function startHost(current, { sockets, onTransition }) {
  const { values } = current();
  // A host that leaves its tenants to this one lets go of its addresses in its own time.
  const patienceMs = values['take-over'] ? LEAVING_MS : 0;
  // With tls, before anything is started: the files may not be there.
  const tls = certificates(values);
  const [{ createRuntime }, { createGateway }] = await Promise.all([
    import('@absolutejs/runtime'),
    import('@absolutejs/runtime/gateway'),
    // Loaded before there is something to hear: what has outlived an earlier host is told at once.
    values.survive && import('@absolutejs/runtime/control'),
  ]);
  const collector = values.metrics
    ? (await import('@absolutejs/runtime/prometheus')).createRuntimeCollector()
    : undefined;
  const said = new Map();
  const optionName = optionNames(current, said);
  const options = { ...runtimeOptions(current, said), onTransition };
  /** @type {Host['runtime']} */
  let runtime;
  try {
    runtime = collector ? collector.attach(createRuntime, options) : createRuntime(options);
  } catch (error) {
    throw inOurTerms(error, optionName);
  }
  try {
    const gateway = createGateway({
      runtime,
      route: values.route === 'path' ? { by: 'path' } : { by: 'subdomain', domain: values.domain },
      listen: sockets.length > 0 ? sockets : { hostname: values.host, port: values.port },
      trust: values.trust ?? [],
      drainMs: DRAIN_MS,
      ...(tls && { tls }),
    });
    // Its failure is told by what is awaited below; control must not make it an unhandled one.
    gateway.listening.catch(() => {});
    collector?.attachGateway(gateway);
    // The gateway already serves while the rest is loaded.
    const control = await openControl(runtime, gateway, values, optionName);
    const { fleet, inFleet } = await joinFleet(runtime, gateway, values);
    const [addresses, listening, metrics] = await Promise.all([
      gateway.listening,
      control.listening,
      collector && serveMetrics(collector, values.metrics, runtime, patienceMs),
    ]);
    const close = async () => {
      if (fleet !== undefined) await passOn(fleet);
      // Nothing is started any more, also not by request over the control, which closes last.
      runtime.drain();
      const brokenOff = await closeGateway(gateway, GRACE_MS);
      await runtime.dispose();
      await control.close();
      metrics?.close();
      return { brokenOff };
    };
    const leave = async () => {
      metrics?.close();
      const open = () => gateway.stats().inFlight;
      return { brokenOff: await countBrokenOff(open, DRAIN_MS, () => runtime.detach()) };
    };
    const metricsUrl = metrics?.url;
    const shown = { addresses, listening, metricsUrl, fleet: inFleet };
    return { runtime, gateway, control, ...shown, close, leave };
  } catch (error) {
    await runtime.dispose().catch(() => {});
    throw inOurTerms(error, optionName);
  }
}

/**
 * The error, in which options are named as they were given to `serve`.
 *
 * @param {unknown} error
 * @param {(option: string, key: string | null) => string} optionName
 */
function inOurTerms(error, optionName) {
  if (error instanceof Error) error.message = inTerms(error.message, optionName, null);
  return error;
}

/**
 * @param {import('../../../index.js').Runtime} runtime
 * @param {import('../../../gateway.js').Gateway} gateway
 * @param {Record<string, any>} values
 * @param {(option: string, key: string | null) => string} optionName
 */
async function openControl(runtime, gateway, values, optionName) {
  const { createControl } = await import('@absolutejs/runtime/control');
  return createControl({
    runtime,
    gateway,
    ...(values.control && { path: values.control }),
    name: values.name,
    optionName,
    ...(values['log-dir'] && { logs: { directory: values['log-dir'] } }),
    ...(values.dashboard && {
      dashboard: { ...values.dashboard, names: namesAt(values.dashboard) },
    }),
  });
}

/**
 * The part of this host in a fleet. While the store does not answer, it goes on trying.
 *
 * @param {import('../../../index.js').Runtime} runtime
 * @param {import('../../../gateway.js').Gateway} gateway
 * @param {Record<string, any>} values
 */
async function joinFleet(runtime, gateway, values) {
  if (!values.fleet) return {};
  const secret = fileOf(values['fleet-secret-file']).trim();
  const { createFleet, etcd } = await import('@absolutejs/runtime/fleet');
  const id = values['host-id'] ?? machineName();
  const host = { id, address: values['host-address'] };
  const fleet = createFleet({ runtime, gateway, store: etcd(values.fleet), host, secret });
  const joined = fleet.joined.then(() => true);
  const hasJoined = (await Promise.race([joined, timeout(JOIN_MS)])) === true;
  joined.catch(() => {});
  return { fleet, inFleet: { ...host, stores: values.fleet.endpoints, hasJoined } };
}

/** @param {number} ms */
const timeout = (ms) => new Promise((resolve) => setTimeout(resolve, ms).unref());

/** @param {string} file */
function fileOf(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Failure(`${file} cannot be read: ${/** @type {Error} */ (error).message}`);
  }
}

/**
 * What others on the network call this machine, where the dashboard is to be reached by them.
 *
 * @param {{ hostname: string }} address
 */
function namesAt({ hostname }) {
  const name = machineName();
  return isEveryAddress(hostname) && HOST_NAME.test(name) ? [name] : [];
}

/** A name that may stand in the Host of a request. */
const HOST_NAME = /^[a-z\d](?:[a-z\d.-]*[a-z\d])?$/i;

/** @param {string} address in brackets or without */
export const isEveryAddress = (address) => ['0.0.0.0', '::', '[::]'].includes(address);

/** @param {string} address */
export const isLoopback = (address) => /^(?:localhost|127\..*|::1)$/.test(address);

/**
 * The certificate and its key, as they are on disk now; undefined without TLS.
 *
 * @param {Record<string, any>} values
 */
export function certificates({ 'tls-cert': certFile, 'tls-key': keyFile }) {
  if (certFile === undefined) return undefined;
  return { cert: fileOf(certFile), key: fileOf(keyFile) };
}

/**
 * @param {import('../../../prometheus.js').RuntimeCollector} collector
 * @param {{ hostname: string, port: number }} address
 * @param {import('../../../index.js').Runtime} runtime
 * @param {number} patienceMs how long the address may be another host's
 */
async function serveMetrics(collector, { hostname, port }, runtime, patienceMs) {
  const { createServer } = await import('node:http');
  const server = createServer((request, response) => {
    const { contentType, body } = collector.expose(request.headers.accept);
    response.writeHead(200, { 'content-type': contentType });
    response.end(body);
  });
  // The host before has left only when this one has its tenants. Whether it has is told elsewhere.
  await runtime.recovered.catch(() => {});
  try {
    await listenWhenLeft(server, { port, host: hostname }, patienceMs);
  } catch (error) {
    const { message } = /** @type {Error} */ (error);
    throw new Failure(`Metrics cannot be served at ${hostname}:${port}: ${message}`);
  }
  const bound = /** @type {import('node:net').AddressInfo} */ (server.address());
  const shown = hostname.includes(':') ? `[${hostname}]` : hostname;
  return {
    url: `http://${shown}:${bound.port}/metrics`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

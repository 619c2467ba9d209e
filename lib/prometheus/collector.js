/**
 * `createRuntimeCollector`: attaches runtimes, and exposes them as text or in prom-client
 * registries.
 */
import { invalidOption } from '../errors.js';
import { exposition, formatFor } from './exposition.js';
import { familiesOf } from './families.js';
import { OF_A_GATEWAY, STATUS_LABEL } from './gateways.js';
import { createObserver } from './observer.js';
import { readAt, shown } from '../checks.js';
import { labelsOf, readOptions } from './options.js';
import { registerWith } from './prom-client.js';

/** @typedef {import('../../prometheus.js').RuntimeCollector} RuntimeCollector */
/** @typedef {import('../../prometheus.js').ObservedRuntime} ObservedRuntime */
/** @typedef {import('../../prometheus.js').ObservedGateway} ObservedGateway */
/** @typedef {ReturnType<typeof createObserver>} Observer */
/** @typedef {ReturnType<Observer['read']>} Snapshot */

/**
 * @param {import('../../prometheus.js').RuntimeCollectorOptions} [options]
 * @returns {RuntimeCollector}
 */
export function createRuntimeCollector(options = {}) {
  const settings = readOptions(options);
  const families = familiesOf(settings.perTenantMax);
  /** @type {Map<ObservedRuntime, { identity: string, observer: Observer }>} */
  const attached = new Map();
  const read = () =>
    [...attached.values()].map(({ observer }) => observer.read(settings.perTenantMax));

  /** @type {Map<ObservedGateway, { identity: string, labels: Record<string, string> }>} */
  const gateways = new Map();
  const readGateways = () =>
    [...gateways].map(([gateway, { labels }]) => ({ labels, stats: gateway.stats() }));

  for (const register of settings.registers) {
    registerWith(register, settings.prefix, families, onceATick(read));
  }

  let hasRegisteredGateways = false;
  /** Programs without a gateway see none of its metrics. */
  function registerGateways() {
    if (hasRegisteredGateways) return;
    for (const register of settings.registers) {
      registerWith(register, settings.prefix, OF_A_GATEWAY, onceATick(readGateways));
    }
    hasRegisteredGateways = true;
  }

  /**
   * The labels of a runtime or gateway, which no other one may have.
   * @param {Record<string, string>} labels
   * @param {ReadonlyMap<unknown, { identity: string }>} others
   * @param {'runtime' | 'gateway'} kind
   */
  function ownLabels(labels, others, kind) {
    const own = { ...settings.labels, ...readAt('labels', labels, labelsOf) };
    const identity = identityOf(own);
    if ([...others.values()].some((other) => other.identity === identity)) {
      throw invalidOption(
        `labels ${JSON.stringify(own).slice(0, 80)} are those of a ${kind} that is attached already; ` +
          `series must differ: give each ${kind} labels of its own, or detach() the other one first`,
      );
    }
    return { own, identity };
  }

  /** @type {RuntimeCollector['attach']} */
  function attach(create, runtimeOptions, labels = {}) {
    const { own, identity } = ownLabels(labels, attached, 'runtime');
    if (typeof create !== 'function') {
      throw invalidOption(`create must be a function, got ${shown(create)}`);
    }
    const options = readAt('options', runtimeOptions, () => ({ ...runtimeOptions }));
    const observer = createObserver(own, options.maxConcurrent);
    const runtime = create({ ...options, ...observer.callbacks(options) });
    if (typeof runtime?.metrics !== 'function' || typeof runtime.list !== 'function') {
      throw invalidOption(`create must return a runtime, got ${shown(runtime)}`);
    }
    observer.follow(runtime);
    attached.set(runtime, { identity, observer });
    return runtime;
  }

  /** @type {RuntimeCollector['attachGateway']} */
  function attachGateway(gateway, labels = {}) {
    if (typeof gateway?.stats !== 'function') {
      throw invalidOption(`gateway must be what createGateway returned, got ${shown(gateway)}`);
    }
    const { own, identity } = ownLabels(labels, gateways, 'gateway');
    if (Object.hasOwn(own, STATUS_LABEL)) {
      throw invalidOption(
        `labels.${STATUS_LABEL} is given out by the collector itself; choose another name`,
      );
    }
    registerGateways();
    gateways.set(gateway, { identity, labels: own });
    return gateway;
  }

  /** @type {RuntimeCollector['expose']} */
  function expose(accept) {
    const format = formatFor(accept);
    return {
      contentType: format.contentType,
      body: exposition(
        settings.prefix,
        [
          { families, snapshots: read() },
          { families: OF_A_GATEWAY, snapshots: readGateways() },
        ],
        format,
      ),
    };
  }

  return {
    attach,
    attachGateway,
    detach(observed) {
      attached.delete(/** @type {ObservedRuntime} */ (observed));
      gateways.delete(/** @type {ObservedGateway} */ (observed));
    },
    expose,
    fetch(request) {
      const { contentType, body } = expose(request.headers.get('accept'));
      return new Response(body, { headers: { 'content-type': contentType } });
    },
  };
}

/**
 * Reads once per scrape: a registry asks for all its metrics in one synchronous loop, and the
 * snapshots are dropped in the next microtask.
 * @template S
 * @param {() => S[]} read
 * @returns {() => S[]}
 */
function onceATick(read) {
  /** @type {S[] | undefined} */
  let snapshots;
  return () => {
    if (snapshots === undefined) {
      snapshots = read();
      queueMicrotask(() => (snapshots = undefined));
    }
    return snapshots;
  };
}

/** The same text for the same labels, in any order. @param {Record<string, string>} labels */
const identityOf = (labels) =>
  JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));

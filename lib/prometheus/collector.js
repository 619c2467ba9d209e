/**
 * `createRuntimeCollector`: attaches runtimes, and exposes them as text or in prom-client
 * registries.
 */
import { invalidOption } from '../errors.js';
import { exposition, formatFor } from './exposition.js';
import { familiesOf } from './families.js';
import { createObserver } from './observer.js';
import { readAt, shown } from '../checks.js';
import { labelsOf, readOptions } from './options.js';
import { registerWith } from './prom-client.js';

/** @typedef {import('../../prometheus.js').RuntimeCollector} RuntimeCollector */
/** @typedef {import('../../prometheus.js').ObservedRuntime} ObservedRuntime */
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

  for (const register of settings.registers) {
    registerWith(register, settings.prefix, families, onceATick(read));
  }

  /** @type {RuntimeCollector['attach']} */
  function attach(create, runtimeOptions, labels = {}) {
    const own = { ...settings.labels, ...readAt('labels', labels, labelsOf) };
    const identity = identityOf(own);
    if ([...attached.values()].some((other) => other.identity === identity)) {
      throw invalidOption(
        `labels ${JSON.stringify(own).slice(0, 80)} are those of a runtime that is attached already; ` +
          'series must differ: give each runtime labels of its own, or detach() the other one first',
      );
    }
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

  /** @type {RuntimeCollector['expose']} */
  function expose(accept) {
    const format = formatFor(accept);
    return {
      contentType: format.contentType,
      body: exposition(settings.prefix, families, read(), format),
    };
  }

  return {
    attach,
    detach: (runtime) => void attached.delete(runtime),
    expose,
    fetch(request) {
      const { contentType, body } = expose(request.headers.get('accept'));
      return new Response(body, { headers: { 'content-type': contentType } });
    },
  };
}

/**
 * Reads the runtimes once per scrape: a registry asks for all its metrics in one synchronous loop,
 * and the snapshots are dropped in the next microtask.
 * @param {() => Snapshot[]} read
 * @returns {() => Snapshot[]}
 */
function onceATick(read) {
  /** @type {Snapshot[] | undefined} */
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

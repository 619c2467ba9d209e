/** The host as operators see it. */
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { inTerms } from './terms.js';

/** @typedef {import('../runtime.js').Core} Core */
/** @typedef {import('../../control.js').ControlHost} ControlHost */

/** @returns {string} */
const packageVersion = () =>
  JSON.parse(readFileSync(new URL('../package.json', packageRoot()), 'utf8')).version;

/** This file is in `lib/control/`, or bundled in `dist/`. */
const packageRoot = () =>
  new URL(import.meta.url.includes('/lib/control/') ? '../' : '', new URL('.', import.meta.url));

/**
 * @param {object} given
 * @param {Pick<import('../../index.js').Runtime, 'metrics'>} given.runtime
 * @param {Core} given.core
 * @param {readonly { stats: () => import('../../gateway.js').GatewayStats }[]} given.gateways
 * @param {string} given.name
 * @param {import('./terms.js').OptionName} given.optionName
 */
export function createHost({ runtime, core, gateways, name, optionName }) {
  const protects = once(() => protectsOf(core, optionName));
  const version = once(packageVersion);
  const survival = survivalOf(core);
  const { bun } = process.versions;
  const engine = bun === undefined ? `node ${process.versions.node}` : `bun ${bun}`;

  /**
   * @param {Pick<ControlHost, 'logs' | 'control' | 'dashboard'> & { addresses: string[],
   *   requestsPerSecond: number }} more
   * @returns {ControlHost}
   */
  return ({ addresses, requestsPerSecond, ...more }) => {
    const now = Date.now();
    const uptimeMs = Math.round(process.uptime() * 1_000);
    const metrics = runtime.metrics();
    return {
      name,
      version: version(),
      engine,
      pid: process.pid,
      startedAt: now - uptimeMs,
      uptimeMs,
      now,
      cpuCount: os.availableParallelism(),
      loadAverage: /** @type {[number, number, number]} */ (os.loadavg()),
      memory: memoryOf(),
      hostRssBytes: process.memoryUsage.rss(),
      runtime: {
        running: metrics.running,
        total: metrics.total,
        asleep: metrics.sleep.asleep,
        maxConcurrent: core.settings.maxConcurrent,
        draining: metrics.draining,
        backoff: metrics.backoff,
        starts: metrics.totalSpawns,
        crashes: metrics.totalExits.crashed,
      },
      gateway: gateways.length === 0 ? null : { addresses, ...sumOf(gateways), requestsPerSecond },
      root: core.settings.root,
      survive: survival(),
      protects: protects(),
      ...more,
    };
  };
}

/**
 * Whether this host has the tenants of its name, and since when.
 * @param {Core} core
 * @returns {() => ControlHost['survive']}
 */
function survivalOf({ settings, recovered }) {
  const { survive } = settings;
  if (survive === undefined) return () => null;
  const { name, forMs } = survive;
  /** @type {number | null} */
  let ownedSince = null;
  recovered?.then(
    () => (ownedSince = Date.now()),
    () => {},
  );
  return () => ({ name, forMs: Number.isFinite(forMs) ? forMs : null, ownedSince });
}

/** @template T @param {() => T} make @returns {() => T} */
function once(make) {
  /** @type {{ made: T } | undefined} */
  let known;
  return () => (known ??= { made: make() }).made;
}

/** @param {readonly { stats: () => import('../../gateway.js').GatewayStats }[]} gateways */
function sumOf(gateways) {
  const sum = { connections: 0, inFlight: 0, waiting: 0 };
  const requests = { '1xx': 0, '2xx': 0, '3xx': 0, '4xx': 0, '5xx': 0 };
  for (const { stats } of gateways) {
    const its = stats();
    for (const name of /** @type {const} */ (['connections', 'inFlight', 'waiting'])) {
      sum[name] += its[name];
    }
    for (const name of /** @type {(keyof typeof requests)[]} */ (Object.keys(requests))) {
      requests[name] += its.requests[name];
    }
  }
  return { ...sum, requests };
}

/** The memory of the machine. `os.freemem` of some engines leaves out what can be taken back. */
function memoryOf() {
  const [total, available] = ['MemTotal', 'MemAvailable'].map(meminfo());
  return {
    totalBytes: total ?? os.totalmem(),
    availableBytes: available ?? os.freemem(),
  };
}

/** @returns {(name: string) => number | undefined} */
function meminfo() {
  let text = '';
  try {
    text = readFileSync('/proc/meminfo', 'utf8');
  } catch {
    // Left out, as on a host that hides it.
  }
  return (name) => {
    const found = new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(text)?.[1];
    return found === undefined ? undefined : Number(found) * 1_024;
  };
}

/**
 * What tenants are held within, as far as it is the same for all, and what this host cannot keep
 * of it.
 * @param {Core} core
 * @param {import('./terms.js').OptionName} optionName
 * @returns {ControlHost['protects']}
 */
function protectsOf({ settings, readHost }, optionName) {
  const { limits, limitsOf, isolation, isolationOf, tenant } = settings;
  const { isRequired: _, ...asked } = limits ?? { isRequired: true };
  const walls = isolation;
  const perTenant = [limitsOf, isolationOf, tenant].some((asks) => asks !== undefined);
  if (limits === undefined && walls === undefined) {
    return { limits: [], isolation: null, perTenant, missing: [] };
  }
  const { confinement } = readHost();
  /** @type {{ name: string, by?: string, why?: string }[]} */
  const promises = confinement.limits;
  const kept = Object.entries(asked).map(([name, value]) => {
    const promise = promises.find((one) => one.name === name);
    return { name, value: Number(value), by: promise?.by ?? 'none', why: promise?.why };
  });
  /** @type {{ name: string, why?: string }[]} */
  const broken = walls === undefined ? [] : confinement.missing;
  const without = kept.filter(({ by }) => by === 'none');
  const unkept = [
    ...without.map(({ name, why }) => ({ name: `limits.${name}`, why })),
    ...broken,
  ].map(({ name, why }) => `${name}: ${why ?? 'this host cannot keep it'}`);
  return {
    limits: kept.map(({ name, value, by }) => ({ name, value, by })),
    isolation:
      walls === undefined
        ? null
        : { landlock: confinement.landlock ?? null, seccomp: confinement.refusesSystemCalls },
    perTenant,
    missing: unkept.map((text) => inTerms(text, optionName, null)),
  };
}

/**
 * Totals from one runtime's events. An event costs the same few operations however many tenants
 * there are; the runtime itself is only read during a scrape.
 */
import { createHistogram, OF_WAKES_SECONDS } from './histogram.js';
import { summaryOf } from './tenants.js';

/** @typedef {import('../../prometheus.js').ObservedRuntime} ObservedRuntime */
/** @typedef {import('../../index.js').RuntimeOptions} RuntimeOptions */
/** @typedef {import('../../index.js').RuntimeMetricEvent} RuntimeMetricEvent */
/** @typedef {import('../../index.js').RuntimeTransitionEvent} RuntimeTransitionEvent */
/**
 * `cpuMs` is what has been counted so far; NaN until the first observation of an adopted process.
 * @typedef {{ cpuMs: number, rssBytes: number }} Usage
 */

/** The runtime's default of `maxConcurrent`. */
const DEFAULT_MAX_TENANTS = 100;

/**
 * @param {Record<string, string>} labels
 * @param {number} [maxTenants]
 */
export function createObserver(labels, maxTenants = DEFAULT_MAX_TENANTS) {
  /**
   * Live processes by pid and key, as last observed: two releases of a key have one each, and
   * processes on two machines may have the same pid.
   * @type {Map<string, Usage>}
   */
  const usages = new Map();
  const spawnDuration = createHistogram();
  const readyDuration = createHistogram();
  const restoreDuration = createHistogram();
  const wakeDuration = createHistogram(OF_WAKES_SECONDS);
  let cpuMs = 0;
  let residentBytes = 0;
  let adoptions = 0;
  let recoveries = 0;
  let refusals = 0;
  /** Processes that ran out of their memory, by the reason of their exit. @type {Map<string, number>} */
  const outOfMemory = new Map();
  /** @type {ObservedRuntime | undefined} */
  let runtime;

  /**
   * Begins to count a process.
   * @param {string} key
   * @param {number} pid
   * @param {number} [countedMs] CPU time not to be counted
   * @returns {Usage}
   */
  function begin(key, pid, countedMs = 0) {
    end(key, pid);
    const usage = { cpuMs: countedMs, rssBytes: 0 };
    usages.set(`${pid} ${key}`, usage);
    return usage;
  }

  /**
   * Removes a process: its CPU time stays in the total, its memory does not.
   * @param {string} key
   * @param {number} pid
   */
  function end(key, pid) {
    const name = `${pid} ${key}`;
    residentBytes -= usages.get(name)?.rssBytes ?? 0;
    usages.delete(name);
  }

  /** @param {RuntimeMetricEvent} event */
  function onMetrics(event) {
    if (event.type !== 'observation') return;
    const { key, pid } = event;
    note(usages.get(`${pid} ${key}`) ?? begin(key, pid), event);
  }

  /**
   * Notes what a process has used and uses.
   * @param {Usage} usage
   * @param {Usage} seen
   */
  function note(usage, seen) {
    if (Number.isNaN(usage.cpuMs)) usage.cpuMs = seen.cpuMs;
    // The total is a counter: it never decreases.
    if (seen.cpuMs > usage.cpuMs) {
      cpuMs += seen.cpuMs - usage.cpuMs;
      usage.cpuMs = seen.cpuMs;
    }
    residentBytes += seen.rssBytes - usage.rssBytes;
    usage.rssBytes = seen.rssBytes;
  }

  /**
   * Notes what the list says of processes: there is no event of what was seen when a tenant became
   * ready, and the sums are to be those of the series per tenant. A process of which no event has
   * told yet is left for its event to begin with.
   * @param {readonly import('../../index.js').TenantStatus[]} tenants
   */
  function noteAll(tenants) {
    for (const { key, pid, cpuMs, rssBytes } of tenants) {
      if (pid === null || cpuMs === null || rssBytes === null) continue;
      const usage = usages.get(`${pid} ${key}`);
      if (usage !== undefined) note(usage, { cpuMs, rssBytes });
    }
  }

  /** @param {RuntimeTransitionEvent} event */
  function onTransition(event) {
    switch (event.type) {
      case 'spawn':
        begin(event.key, event.pid);
        return noteSpawn(event.key, event.pid);
      case 'ready':
        return readyDuration.observe(event.durationMs);
      case 'adopt':
        adoptions += 1;
        // NaN: CPU time before the adoption was counted by the earlier host.
        return void begin(event.key, event.pid, NaN);
      case 'recover':
        recoveries += 1;
        // CPU time before was counted by the earlier host.
        return void begin(event.key, event.pid, event.cpuMs);
      case 'restored':
        restoreDuration.observe(event.durationMs);
        return void begin(event.key, event.pid);
      case 'wake':
        return wakeDuration.observe(event.durationMs);
      case 'exit':
        if (event.limit === 'memory')
          outOfMemory.set(event.reason, (outOfMemory.get(event.reason) ?? 0) + 1);
        return end(event.key, event.pid);
      case 'backoff':
        refusals += 1;
    }
  }

  /**
   * Observes how long a start took. Its beginning is not in the event; the runtime knows it while
   * the key has this process.
   * @param {string} key
   * @param {number} pid
   */
  function noteSpawn(key, pid) {
    const tenant = runtime?.inspect(key);
    if (tenant?.pid !== pid || tenant.startedAt === null) return;
    spawnDuration.observe(Math.max(0, Date.now() - tenant.startedAt));
  }

  return {
    /**
     * The callbacks for the runtime: each observes, then calls the user's.
     * @param {Pick<RuntimeOptions, 'onMetrics' | 'onTransition'> | undefined} options
     */
    callbacks: (options) => ({
      onMetrics: inOrder(onMetrics, options?.onMetrics),
      onTransition: inOrder(onTransition, options?.onTransition),
    }),

    /** @param {ObservedRuntime} created */
    follow(created) {
      runtime = created;
    },

    /** A snapshot of all totals and of the runtime. @param {number} perTenantMax */
    read(perTenantMax) {
      const followed = /** @type {ObservedRuntime} */ (runtime);
      const tenants = followed.list();
      noteAll(tenants);
      return {
        labels,
        maxTenants,
        metrics: followed.metrics(),
        ...summaryOf(tenants, perTenantMax),
        cpuMs,
        residentBytes,
        adoptions,
        recoveries,
        refusals,
        outOfMemory,
        spawnDuration,
        readyDuration,
        restoreDuration,
        wakeDuration,
      };
    },
  };
}

/**
 * Calls both callbacks. The user's one throws to the runtime, and its promise is returned to it,
 * as without a collector. A value that is no function is passed on: the runtime refuses it.
 * @template E
 * @param {(event: E) => void} ours
 * @param {((event: E) => void) | undefined} theirs
 * @returns {(event: E) => void}
 */
function inOrder(ours, theirs) {
  if (theirs === undefined) return ours;
  if (typeof theirs !== 'function') return theirs;
  return (event) => {
    ours(event);
    return theirs(event);
  };
}

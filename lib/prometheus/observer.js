/**
 * What one runtime's events add up to. Each event costs the same few operations, however many tenants there are; the
 * runtime itself is only looked at when somebody scrapes.
 */
import { createHistogram } from './histogram.js';
import { summaryOf } from './tenants.js';

/** @typedef {import('../../prometheus.js').ObservedRuntime} ObservedRuntime */
/** @typedef {import('../../index.js').RuntimeOptions} RuntimeOptions */
/** @typedef {import('../../index.js').RuntimeMetricEvent} RuntimeMetricEvent */
/** @typedef {import('../../index.js').RuntimeTransitionEvent} RuntimeTransitionEvent */
/** `cpuMs` is NaN while it is not known how much of it is to be counted. @typedef {{ pid: number, cpuMs: number, rssBytes: number }} Usage */

/** `maxConcurrent` when it is not set. */
const DEFAULT_MAX_TENANTS = 100;

/**
 * @param {Record<string, string>} labels
 * @param {number} [maxTenants]
 */
export function createObserver(labels, maxTenants = DEFAULT_MAX_TENANTS) {
  /** What live processes had used when they were last looked at. @type {Map<string, Usage>} */
  const usages = new Map();
  const spawnDuration = createHistogram();
  const readyDuration = createHistogram();
  const restoreDuration = createHistogram();
  let cpuMs = 0;
  let residentBytes = 0;
  let adoptions = 0;
  let refusals = 0;
  /** @type {ObservedRuntime | undefined} */
  let runtime;

  /** @param {string} key @param {number} pid @param {number} [countedMs] of its CPU time @returns {Usage} */
  function begin(key, pid, countedMs = 0) {
    end(key);
    const usage = { pid, cpuMs: countedMs, rssBytes: 0 };
    usages.set(key, usage);
    return usage;
  }

  /** What it used stays counted; what it held is free. @param {string} key */
  function end(key) {
    residentBytes -= usages.get(key)?.rssBytes ?? 0;
    usages.delete(key);
  }

  /** @param {RuntimeMetricEvent} event */
  function onMetrics(event) {
    if (event.type !== 'observation') return;
    const known = usages.get(event.key);
    const usage = known?.pid === event.pid ? known : begin(event.key, event.pid);
    if (Number.isNaN(usage.cpuMs)) usage.cpuMs = event.cpuMs;
    // What has been counted cannot become less.
    if (event.cpuMs > usage.cpuMs) {
      cpuMs += event.cpuMs - usage.cpuMs;
      usage.cpuMs = event.cpuMs;
    }
    residentBytes += event.rssBytes - usage.rssBytes;
    usage.rssBytes = event.rssBytes;
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
        // What it used before was counted by the host that it had then.
        return void begin(event.key, event.pid, NaN);
      case 'restored':
        restoreDuration.observe(event.durationMs);
        return void begin(event.key, event.pid);
      case 'exit':
        return end(event.key);
      case 'backoff':
        refusals += 1;
    }
  }

  /** The event does not say when the start began; the runtime does, as long as the process is the key's. @param {string} key @param {number} pid */
  function noteSpawn(key, pid) {
    const tenant = runtime?.inspect(key);
    if (tenant?.pid !== pid || tenant.startedAt === null) return;
    spawnDuration.observe(Math.max(0, Date.now() - tenant.startedAt));
  }

  return {
    /**
     * Ours, then the user's.
     * @param {Pick<RuntimeOptions, 'onMetrics' | 'onTransition'> | undefined} options
     */
    callbacks: (options) => ({
      onMetrics: both(onMetrics, options?.onMetrics),
      onTransition: both(onTransition, options?.onTransition),
    }),

    /** @param {ObservedRuntime} created */
    follow(created) {
      runtime = created;
    },

    /** Everything that there is to tell, now. @param {number} perTenantMax */
    read(perTenantMax) {
      const followed = /** @type {ObservedRuntime} */ (runtime);
      return {
        labels,
        maxTenants,
        metrics: followed.metrics(),
        ...summaryOf(followed.list(), perTenantMax),
        cpuMs,
        residentBytes,
        adoptions,
        refusals,
        spawnDuration,
        readyDuration,
        restoreDuration,
      };
    },
  };
}

/**
 * What the user's callback throws, or the promise it returns, is the runtime's to deal with, as ever. What is no function
 * is left for the runtime to refuse.
 * @template E
 * @param {(event: E) => void} ours
 * @param {((event: E) => void) | undefined} theirs
 * @returns {(event: E) => void}
 */
function both(ours, theirs) {
  if (theirs === undefined) return ours;
  if (typeof theirs !== 'function') return theirs;
  return (event) => {
    ours(event);
    return theirs(event);
  };
}

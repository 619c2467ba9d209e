/**
 * The exported metrics: name, type, help text and source of each. Names follow Prometheus: base
 * units, and `_total` at the end of counters, which `exposition.js` and `prom-client.js` add.
 */

/**
 * @typedef {import('./collector.js').Snapshot} Snapshot
 * @typedef {import('../../index.js').TenantStatus} TenantStatus
 * @typedef {{ suffix?: string, labels?: Record<string, string>, value: number }} Sample
 */

/**
 * @template [S=Snapshot] what it is read from
 * @typedef {object} Family
 * @property {string} name without prefix and `_total`
 * @property {'counter' | 'gauge' | 'histogram'} type
 * @property {string} help
 * @property {'sum' | 'max'} aggregator how prom-client's cluster registry joins the processes'
 * numbers
 * @property {(snapshot: S) => Sample[]} samples
 */

/** Every reason has a series from the start, so that its first increase is seen. */
const REASONS = [
  ...['crashed', 'exited-clean', 'idle-killed', 'lru-evicted', 'killed', 'readiness-timeout'],
  ...['disposed', 'restarted', 'checkpointed', 'replaced', 'moved', 'fenced'],
];
const NO_EXITS = Object.fromEntries(REASONS.map((reason) => [reason, 0]));

/** @type {Family[]} */
const OF_THE_POOL = [
  gauge('tenants', 'Tenants by state.', ({ byState }) => labelled('state', byState)),
  gauge(
    'queue_length',
    'Tenants waiting for room or for their turn to be started.',
    ({ byState }) => [{ value: byState.queued ?? 0 }],
  ),
  gauge('max_tenants', 'Tenants that may be alive at once.', ({ maxTenants }) => [
    { value: maxTenants },
  ]),
  counter('spawns', 'Processes started.', ({ metrics }) => [{ value: metrics.totalSpawns }]),
  counter('exits', 'Processes ended, by reason.', exits),
  counter('adoptions', 'Running processes taken over.', ({ adoptions }) => [{ value: adoptions }]),
  counter('recoveries', 'Tenants found running after an earlier host.', ({ recoveries }) => [
    { value: recoveries },
  ]),
  counter('backoff_entries', 'Failed starts that put a tenant into back-off.', ({ metrics }) => [
    { value: metrics.totalBackoffEntries },
  ]),
  counter(
    'backoff_refusals',
    'Calls refused because the tenant was backing off.',
    ({ refusals }) => [{ value: refusals }],
  ),
  histogram(
    'spawn_duration_seconds',
    'From the start of a process being decided until it existed, as the host saw it.',
    ({ spawnDuration }) => spawnDuration.samples(),
  ),
  histogram(
    'ready_duration_seconds',
    'From the start of a process being decided until it was ready; time in the queue is not part of it.',
    ({ readyDuration }) => readyDuration.samples(),
  ),
  counter(
    'cpu_seconds',
    'CPU time of all processes so far, those that have ended included, as last observed.',
    ({ cpuMs }) => [{ value: cpuMs / 1000 }],
  ),
  gauge(
    'resident_memory_bytes',
    'Resident memory of all live processes, as last observed.',
    (snapshot) => [{ value: snapshot.residentBytes }],
  ),
  counter('checkpoints', 'Idle tenants saved before they were stopped.', ({ metrics }) => [
    { value: metrics.checkpoints.checkpoints },
  ]),
  counter('restores', 'Tenants brought back from a checkpoint.', ({ metrics }) => [
    { value: metrics.checkpoints.restores },
  ]),
  counter('restore_failures', 'Checkpoints that could not be restored.', ({ metrics }) => [
    { value: metrics.checkpoints.restoreFailures },
  ]),
  histogram(
    'restore_duration_seconds',
    'How long it took to bring a tenant back from a checkpoint.',
    ({ restoreDuration }) => restoreDuration.samples(),
  ),
  counter('sleeps', 'Tenants that fell asleep.', ({ metrics }) => [
    { value: metrics.sleep.sleeps },
  ]),
  counter('wakes', 'Sleeping tenants that were woken.', ({ metrics }) => [
    { value: metrics.sleep.wakes },
  ]),
  histogram(
    'wake_duration_seconds',
    'From the order to a sleeping tenant to run until it ran; the wait for room is not part of it.',
    ({ wakeDuration }) => wakeDuration.samples(),
  ),
  gauge(
    'draining',
    'Whether new starts are refused: 1 or 0.',
    ({ metrics }) => [{ value: metrics.draining ? 1 : 0 }],
    'max',
  ),
  gauge(
    'uptime_seconds',
    'How long the runtime has existed.',
    ({ metrics }) => [{ value: metrics.uptimeMs / 1000 }],
    'max',
  ),
];

/** @type {Family[]} */
const PER_TENANT = [
  counter(
    'tenant_cpu_seconds',
    'CPU time of a tenant since its process began, as last observed.',
    (snapshot) => byKey(snapshot, ({ cpuMs }) => (cpuMs === null ? null : cpuMs / 1000)),
  ),
  gauge(
    'tenant_resident_memory_bytes',
    'Resident memory of a tenant, as last observed.',
    (snapshot) => byKey(snapshot, ({ rssBytes }) => rssBytes),
  ),
  gauge('tenant_ready', 'Whether a live tenant is ready, or asleep: 1 or 0.', (snapshot) =>
    byKey(snapshot, ({ state }) => (state === 'ready' || state === 'asleep' ? 1 : 0)),
  ),
  gauge(
    'tenants_without_series',
    'Live tenants beyond the cap of series per tenant.',
    ({ withoutSeries }) => [{ value: withoutSeries }],
  ),
];

/** @param {number} perTenantMax 0: without the families per tenant @returns {Family[]} */
export function familiesOf(perTenantMax) {
  return perTenantMax === 0 ? OF_THE_POOL : [...OF_THE_POOL, ...PER_TENANT];
}

/**
 * @template S
 * @param {string} name
 * @param {string} help
 * @param {Family<S>['samples']} samples
 * @returns {Family<S>}
 */
export function counter(name, help, samples) {
  return { name, type: 'counter', help, aggregator: 'sum', samples };
}

/**
 * @template S
 * @param {string} name
 * @param {string} help
 * @param {Family<S>['samples']} samples
 * @param {Family['aggregator']} aggregator
 * @returns {Family<S>}
 */
export function gauge(name, help, samples, aggregator = 'sum') {
  return { name, type: 'gauge', help, aggregator, samples };
}

/**
 * @template S
 * @param {string} name
 * @param {string} help
 * @param {Family<S>['samples']} samples
 * @returns {Family<S>}
 */
export function histogram(name, help, samples) {
  return { name, type: 'histogram', help, aggregator: 'sum', samples };
}

/**
 * A process is counted in one series: with the label `limit` if one has ended it.
 * @param {Snapshot} snapshot
 * @returns {Sample[]}
 */
function exits({ metrics, outOfMemory }) {
  /** @type {Record<string, number>} */
  const counts = { ...NO_EXITS, ...metrics.totalExits };
  const limited = [...outOfMemory].map(([reason, value]) => {
    counts[reason] = (counts[reason] ?? 0) - value;
    return { labels: { reason, limit: 'memory' }, value };
  });
  return [...labelled('reason', counts), ...limited];
}

/** @param {string} name @param {Record<string, number>} values @returns {Sample[]} */
export function labelled(name, values) {
  return Object.entries(values).map(([label, value]) => ({ labels: { [name]: label }, value }));
}

/**
 * One sample for each tenant that has series of its own, unless its value is null.
 * @param {Snapshot} snapshot
 * @param {(tenant: TenantStatus) => number | null} valueOf
 * @returns {Sample[]}
 */
function byKey({ heaviest }, valueOf) {
  const samples = [];
  for (const tenant of heaviest) {
    const value = valueOf(tenant);
    if (value !== null) samples.push({ labels: { key: tenant.key }, value });
  }
  return samples;
}

// Tenants that do not exist: what a host with many of them would tell of each.

const COLUMNS = 30;
const LIMIT = 512 * 2 ** 20;

/** The same numbers in each run. @param {number} seed @returns {() => number} from 0 to 1 */
export function numbersFrom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const FIRST = 'amber birch cedar delta ember fjord gale harbor iris juniper kestrel lumen'.split(
  ' ',
);
const SECOND = 'books cafe clinic dental farm garden legal music studio travel works yoga'.split(
  ' ',
);

/** @param {number} index */
export function nameOf(index) {
  const pair = `${FIRST[index % 12]}-${SECOND[Math.floor(index / 12) % 12]}`;
  return index < 144 ? pair : `${pair}-${Math.floor(index / 144) + 1}`;
}

/** A tenant that was never started. @param {string} key @returns {any} */
export function stopped(key) {
  return {
    key,
    state: 'stopped',
    depth: null,
    rank: 8,
    pid: null,
    port: null,
    address: null,
    startedAt: null,
    uptimeMs: null,
    lastTouchedAt: null,
    starts: 0,
    crashes: 0,
    exits: 0,
    inFlight: 0,
    waiting: 0,
    requests: 0,
    requestsPerSecond: 0,
    p50Ms: null,
    p99Ms: null,
    cpuPercent: null,
    cpuMs: null,
    rssBytes: null,
    memoryLimitBytes: null,
    limits: {},
    isolation: null,
    attempt: 0,
    retryAt: null,
    problem: null,
    errorsPerSecond: 0,
    refusedPerSecond: 0,
    spark: Array(COLUMNS).fill(0),
  };
}

/** @param {string} key @param {number} index @param {() => number} random @returns {any} */
export function running(key, index, random) {
  const uptimeMs = 1000 * Math.floor(10 ** (1 + 4.5 * random()));
  const level = random() < 0.3 ? 0 : 10 ** (2.2 * random() - 0.5);
  const spark = Array.from({ length: COLUMNS }, () => round(level * (0.6 + 0.8 * random())));
  return {
    ...stopped(key),
    state: 'running',
    rank: 6,
    pid: 4000 + index * 3,
    port: 40_000 + (index % 20_000),
    address: `127.0.0.1:${40_000 + (index % 20_000)}`,
    startedAt: Date.now() - uptimeMs,
    uptimeMs,
    lastTouchedAt: Date.now() - Math.floor(60_000 * random()),
    starts: 1 + Math.floor(6 * random()),
    exits: Math.floor(3 * random()),
    requests: Math.floor(level * 4000),
    requestsPerSecond: spark.at(-1),
    inFlight: Math.floor(level / 8),
    p50Ms: level === 0 ? null : round(2 + 20 * random()),
    p99Ms: level === 0 ? null : round(30 + 200 * random()),
    cpuPercent: round(level * 0.8),
    cpuMs: Math.floor(uptimeMs * 0.01),
    rssBytes: Math.floor(2 ** 20 * (34 + 140 * random())),
    memoryLimitBytes: LIMIT,
    limits: {
      memoryBytes: { value: LIMIT, by: 'cgroup2' },
      cpus: { value: 1, by: 'cgroup2' },
      processes: { value: 200, by: 'cgroup2' },
    },
    isolation: { landlock: 6, seccomp: true, user: null, missing: [] },
    spark,
  };
}

/** @param {any} tenant */
export function crashLooping(tenant) {
  const lines = [
    'Listening on http://127.0.0.1:41337',
    'error: Cannot find module "./routes/invoices" from "/app/server.ts"',
    '      at /app/server.ts:4:22',
    'Bun v1.4.5 (Linux x64)',
  ];
  return {
    ...tenant,
    ...down('backing-off'),
    rank: 1,
    starts: 9,
    crashes: 4,
    exits: 9,
    attempt: 4,
    retryAt: Date.now() + 8_000,
    problem: {
      code: 'ERR_RUNTIME_EXITED_EARLY',
      summary: 'crashed 4 times, last with exit code 1',
      advice:
        'The last lines say why it ended. Mend it, then start it or clear its back-off: it is tried again by itself with the next request after that.',
      lines,
      at: Date.now() - 12_000,
    },
  };
}

/** @param {any} tenant */
export function outOfMemory(tenant) {
  return {
    ...tenant,
    ...down('failed'),
    rank: 0,
    starts: 3,
    crashes: 2,
    exits: 3,
    problem: {
      code: 'ERR_RUNTIME_EXITED_EARLY',
      summary: 'ran out of its 512 MiB of memory',
      advice: 'Give it more memory, or find what it keeps: it grew for 40 minutes before its end.',
      lines: ['[import] 120,000 rows read', '[import] 180,000 rows read'],
      at: Date.now() - 4 * 60_000,
    },
  };
}

/** @param {any} tenant */
export function hungry(tenant) {
  return {
    ...tenant,
    rank: 2,
    rssBytes: Math.floor(0.95 * LIMIT),
    problem: {
      code: 'MEMORY_NEARLY_FULL',
      summary: 'uses more than 90 % of its 512 MiB of memory',
      advice:
        'At the limit the kernel ends it. Raise limits.memoryBytes, or look for what it keeps.',
      lines: [],
      at: Date.now(),
    },
  };
}

/** What no tenant without a process has. @param {string} state */
function down(state) {
  const { key: _, ...fields } = stopped('');
  return { ...fields, state };
}

/** One second later. @param {any} tenant @param {() => number} random */
export function live(tenant, random) {
  if (tenant.state !== 'running') return tenant;
  const level = Math.max(0, (tenant.requestsPerSecond || 1) * (0.8 + 0.4 * random()));
  return {
    ...tenant,
    uptimeMs: Date.now() - tenant.startedAt,
    requests: tenant.requests + Math.round(level),
    requestsPerSecond: round(level),
    inFlight: Math.floor(level / 8),
    cpuPercent: round(level * 0.8),
    rssBytes: Math.floor(tenant.rssBytes * (0.99 + 0.02 * random())),
    spark: [...tenant.spark.slice(1), round(level)],
  };
}

/** @param {number} value */
const round = (value) => Math.round(value * 10) / 10;

// A host that does not exist, behind the API that docs/control.md describes: for tests of the page,
// for its benchmark, and to work on the page (see page.mjs).
import {
  crashLooping,
  live,
  nameOf,
  numbersFrom,
  outOfMemory,
  running,
  stopped,
} from './made-up-tenants.mjs';

const LINES = 1000;

/**
 * @param {object} [settings]
 * @param {number} [settings.tenants] how many
 * @param {number} [settings.seed]
 * @param {string[]} [settings.keys] besides, running
 * @param {number} [settings.busy] the share of the running ones that change each second
 * @param {string} [settings.name]
 */
export function madeUpHost({ tenants: count = 40, seed = 1, keys = [], busy = 1, name } = {}) {
  const random = numbersFrom(seed);
  const startedAt = Date.now() - 3 * 3_600_000;
  /** @type {Map<string, any>} */
  const tenants = new Map();
  /** @type {any[]} */
  const events = [];
  /** @type {any[]} */
  const lines = [];
  /** @type {Set<(name: string, data: any) => void>} */
  const listeners = new Set();
  let [eventSeq, lineSeq] = [0, 0];
  const is = {
    draining: false,
    connections: 214,
    /** Until then a stream has the host, and not its tenants. @type {Promise<void> | undefined} */
    held: undefined,
    /** Its files of output. @type {Record<string, unknown> | null} */
    files: null,
  };
  /** @type {Array<{ key: string, action: string }>} */
  const actions = [];

  for (let index = 0; index < count; index += 1) {
    const key = nameOf(index);
    tenants.set(key, index % 3 === 2 ? stopped(key) : running(key, index, random));
  }
  keys.forEach((key, index) => tenants.set(key, running(key, 50_000 + index, random)));

  /** @param {string} event @param {any} data */
  const tell = (event, data) => listeners.forEach((listener) => listener(event, data));

  /** @param {string} key @param {any} tenant */
  function put(key, tenant) {
    tenants.set(key, { ...tenant, key });
    tell('changed', { at: Date.now(), tenants: [tenants.get(key)], gone: [] });
  }

  /** Its directory is no more. @param {string} key */
  function remove(key) {
    tenants.delete(key);
    tell('changed', { at: Date.now(), tenants: [], gone: [key] });
    tell('gone', { key });
  }

  /** @param {string | null} key @param {string} type @param {string} text @param {object} [raw] */
  function happen(key, type, text, raw = {}) {
    eventSeq += 1;
    const event = { seq: eventSeq, at: Date.now(), type, key, text, ...raw };
    events.push(event);
    tell('event', event);
  }

  /** @param {string} key @param {string} line @param {'stdout' | 'stderr'} [stream] */
  function say(key, line, stream = 'stdout') {
    lineSeq += 1;
    const pid = tenants.get(key)?.pid ?? 1;
    const said = { seq: lineSeq, at: Date.now(), key, pid, stream, line };
    lines.push(said);
    if (lines.length > 20 * LINES) lines.splice(0, LINES);
    tell('line', said);
  }

  /** One second: what is up has changed a little. */
  function tick() {
    const changed = [...tenants.values()]
      .filter((tenant) => tenant.state === 'running' && random() < busy)
      .map((tenant) => live(tenant, random));
    for (const tenant of changed) tenants.set(tenant.key, tenant);
    tell('changed', { at: Date.now(), tenants: changed, gone: [] });
    tell('host', hostNow());
    tell('tick', undefined);
  }

  function hostNow() {
    const all = [...tenants.values()];
    const up = all.filter(({ state }) => state === 'running' || state === 'asleep');
    const sum = (/** @type {(tenant: any) => number} */ of) => all.reduce((n, t) => n + of(t), 0);
    return {
      name: name ?? 'web-1',
      version: '0.1.0',
      engine: 'bun 1.4.5',
      pid: 812,
      startedAt,
      uptimeMs: Date.now() - startedAt,
      now: Date.now(),
      cpuCount: 8,
      loadAverage: [2.41, 2.02, 1.87],
      memory: { totalBytes: 32 * 2 ** 30, availableBytes: 19.4 * 2 ** 30 },
      hostRssBytes: 88 * 2 ** 20,
      runtime: {
        running: up.length,
        total: up.length,
        asleep: up.filter(({ state }) => state === 'asleep').length,
        maxConcurrent: Math.max(100, Math.ceil(count / 100) * 100),
        draining: is.draining,
        backoff: all.filter(({ state }) => state === 'backing-off').length,
        starts: sum((t) => t.starts),
        crashes: sum((t) => t.crashes),
      },
      gateway: {
        addresses: ['http://127.0.0.1:3000/'],
        connections: is.connections,
        inFlight: sum((t) => t.inFlight),
        waiting: 0,
        requests: { '1xx': 12, '2xx': 184_220, '3xx': 2_031, '4xx': 811, '5xx': 42 },
        requestsPerSecond: Math.round(sum((t) => t.requestsPerSecond) * 10) / 10,
      },
      root: '/srv/tenants',
      survive: { name: 'apps', forMs: 60_000, ownedSince: startedAt },
      protects: {
        limits: [
          { name: 'memoryBytes', value: 512 * 2 ** 20, by: 'cgroup2' },
          { name: 'cpus', value: 1, by: 'cgroup2' },
          { name: 'processes', value: 200, by: 'cgroup2' },
        ],
        isolation: { landlock: 6, seccomp: true },
        perTenant: false,
        missing: ['Tenants run as one user: give --user-range so that each has its own.'],
      },
      logs: { bytes: 1_204_113, files: is.files },
      control: { path: '/run/user/1000/absolute-runtime.sock', name: name ?? 'web-1' },
      dashboard: { url: 'http://127.0.0.1:3900/' },
    };
  }

  /** @param {any} tenant */
  function whole(tenant) {
    const at = Array.from({ length: 150 }, (_, index) => Date.now() - (150 - index) * 2000);
    const around = (/** @type {number | null} */ value) =>
      at.map((_, i) =>
        value === null ? null : value * (1 + 0.25 * Math.sin(i / 9) + 0.1 * random()),
      );
    return {
      ...tenant,
      timeline: events.filter(({ key }) => key === tenant.key).slice(-100),
      figures: {
        everyMs: 2000,
        at,
        cpuPercent: around(tenant.cpuPercent),
        rssBytes: around(tenant.rssBytes),
        requestsPerSecond: around(tenant.requestsPerSecond),
        inFlight: around(tenant.inFlight),
      },
      lastLines: lines.filter(({ key }) => key === tenant.key).slice(-20),
    };
  }

  /** @param {string} key @param {string} action */
  function act(key, action) {
    actions.push({ key, action });
    const was = tenants.get(key);
    if (action === 'stop') put(key, { ...stopped(key), starts: was.starts, crashes: was.crashes });
    else if (action === 'clear')
      put(key, { ...was, state: 'stopped', attempt: 0, retryAt: null, problem: null });
    else put(key, { ...running(key, 1, random), starts: was.starts + 1, crashes: was.crashes });
    happen(
      key,
      action === 'stop' ? 'exit' : 'ready',
      action === 'stop' ? 'was stopped' : 'is ready',
    );
    return tenants.get(key);
  }

  return {
    act,
    actions,
    events,
    happen,
    hostNow,
    is,
    lines,
    listeners,
    put,
    remove,
    say,
    tenants,
    tick,
    whole,
    crash: (/** @type {string} */ key) => put(key, crashLooping(tenants.get(key))),
    starve: (/** @type {string} */ key) => put(key, outOfMemory(tenants.get(key))),
  };
}

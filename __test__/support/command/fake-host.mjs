// A control socket without a runtime behind it: answers what a test says, in the shapes of
// docs/control.md.
import { createServer } from 'node:http';
import { stopped } from '../dashboard/made-up-tenants.mjs';

/** @param {string} key @param {Record<string, unknown>} [changes] */
export const tenant = (key, changes = {}) => ({ ...stopped(key), spark: [], ...changes });

/** @param {string} key @param {Record<string, unknown>} [changes] */
export function running(key, changes = {}) {
  return tenant(key, {
    state: 'running',
    rank: 6,
    pid: 4711,
    port: 40_001,
    startedAt: Date.now() - 60_000,
    uptimeMs: 60_000,
    lastTouchedAt: Date.now(),
    starts: 1,
    requests: 10,
    requestsPerSecond: 1.5,
    p50Ms: 1.2,
    p99Ms: 12,
    cpuPercent: 3,
    cpuMs: 200,
    rssBytes: 50 * 2 ** 20,
    memoryLimitBytes: 512 * 2 ** 20,
    ...changes,
  });
}

/** @param {string} key @param {Record<string, unknown>} [problem] */
export function failed(key, problem = {}) {
  return tenant(key, {
    state: 'failed',
    rank: 0,
    starts: 4,
    crashes: 4,
    problem: {
      code: 'ERR_RUNTIME_EXITED_EARLY',
      summary: 'crashed 4 times, last with exit code 1',
      advice: 'mend it, then clear it',
      lines: ['Error: no such database'],
      at: Date.now() - 12_000,
      ...problem,
    },
  });
}

/** @param {Record<string, unknown>} [changes] */
export function host(changes = {}) {
  return {
    name: 'apps',
    version: '0.1.0',
    engine: 'bun 1.4.5',
    pid: 99,
    startedAt: Date.now() - 60_000,
    uptimeMs: 60_000,
    now: Date.now(),
    cpuCount: 2,
    loadAverage: [0.5, 0.5, 0.5],
    memory: { totalBytes: 2 ** 31, availableBytes: 2 ** 30 },
    hostRssBytes: 2 ** 26,
    runtime: { running: 1, total: 1, asleep: 0, maxConcurrent: 100, draining: false, backoff: 0 },
    gateway: null,
    root: '/srv/tenants',
    survive: null,
    protects: { limits: [], isolation: null, missing: [] },
    ...changes,
  };
}

/**
 * Listens at a path, and answers with what `state` holds at that moment.
 *
 * @param {string} path
 * @param {{ tenants?: any[], host?: any, lines?: any[], events?: any[], dropped?: number,
 *   post?: (key: string, what: string) => any }} state
 */
export async function fakeHost(path, state) {
  /** @type {Set<import('node:http').ServerResponse>} */
  const followers = new Set();
  /** @type {{ method: string, url: string, lastEventId: string | undefined }[]} */
  const asked = [];
  const server = createServer((request, response) => {
    const { method = '', url = '', headers } = request;
    const lastEventId = /** @type {string | undefined} */ (headers['last-event-id']);
    asked.push({ method, url, lastEventId });
    const { pathname, searchParams } = new URL(url, 'http://host');
    const answer = answerTo(state, method, pathname, searchParams);
    if (headers.accept === 'text/event-stream' && answer.status === undefined) {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(': follows\n\n');
      for (const [event, data, id] of answer.stream) send(response, event, data, id);
      followers.add(response);
      response.on('close', () => followers.delete(response));
      return;
    }
    response.writeHead(answer.status ?? 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer.body));
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => resolve(undefined));
  });
  return {
    asked,
    /** @param {string} event @param {unknown} data @param {number} [id] */
    push: (event, data, id) => {
      for (const follower of followers) send(follower, event, data, id);
    },
    followers,
    async close() {
      for (const follower of followers) follower.destroy();
      server.closeAllConnections?.();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** @param {import('node:http').ServerResponse} response @param {string} event @param {unknown} data @param {number} [id] */
function send(response, event, data, id) {
  const number = id === undefined ? '' : `id: ${id}\n`;
  response.write(`${number}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}

/** @param {any} state @param {string} method @param {string} path @param {URLSearchParams} query @returns {any} */
function answerTo(state, method, path, query) {
  const { tenants = [], lines = [], events = [], dropped = 0 } = state;
  const [, what, rawKey, sub] = path.split('/');
  const key = decodeURIComponent(rawKey ?? '');
  const found = tenants.find((/** @type {any} */ one) => one.key === key);
  const missing = { error: { code: 'NOT_FOUND', message: `There is no tenant ${key}`, key } };
  if (method === 'POST') {
    if (what === 'drain') return { status: 202, body: state.host };
    if (!found) return { status: 404, body: missing };
    const answer = state.post?.(key, sub ?? '') ?? found;
    return answer.error ? { status: 503, body: answer } : { status: 200, body: answer };
  }
  if (what === 'host') return { body: state.host, stream: [['host', state.host]] };
  if (what === 'events') {
    return { body: { events }, stream: events.map((/** @type {any} */ e) => ['event', e, e.seq]) };
  }
  const keys = what === 'logs' ? query.getAll('key') : [key];
  if (what === 'logs' || sub === 'logs') {
    if (sub === 'logs' && !found) return { status: 404, body: missing };
    const grep = new RegExp(query.get('grep') ?? '');
    const shown = lines.filter(
      (/** @type {any} */ line) =>
        (keys.length === 0 || keys.includes(line.key)) && grep.test(line.line),
    );
    const stream = shown.map((/** @type {any} */ line) => ['line', line, line.seq]);
    return { body: { lines: shown, dropped }, stream };
  }
  if (rawKey !== undefined) {
    if (!found) return { status: 404, body: missing };
    return { body: found, stream: [['tenant', found]] };
  }
  const all = { at: Date.now(), tenants };
  return {
    body: all,
    stream: [
      ['tenants', all],
      ['host', state.host ?? host()],
    ],
  };
}

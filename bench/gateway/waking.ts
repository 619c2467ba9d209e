// A request to a tenant that does not run: one at a time, twenty at once, and a storm.
import { watchLoop } from '../lib/probes.ts';
import { atMost, type Context, loadPool, type Sample, type Scenario } from '../lib/scenario.ts';
import { firstOk, realTenants, tenantRoot, tenantVariables } from '../lib/tenants.ts';
import { freePorts, spawnBare } from '../scenarios/cold.ts';
import type { Runtime, RuntimeOptions } from '@absolutejs/runtime';
import { besideBareLoop, client } from './load.ts';
import { FRONTS, group } from './scenarios.ts';
import { listening } from './servers.ts';

const AT_ONCE = 20;
const STORM = { requests: 10_000, tenants: 200, room: 50 };
const WARM_UPS = 2;

/** The same, as a runtime with a gateway is asked. */
interface Wakeable {
  /** Resolves when the tenant has answered. */
  wake: (key: string) => Promise<void>;
  stop: (key: string) => Promise<unknown>;
}

async function bare(root: string, keys: readonly string[]): Promise<Wakeable> {
  const ports = await freePorts(keys.length);
  const running = new Map<string, ReturnType<typeof spawnBare>>();
  // Nothing else ends them, and thousands of idle servers would be a load on what is measured next.
  process.on('exit', () => running.forEach((child) => child.kill()));
  return {
    wake: async (key) => {
      const port = ports[keys.indexOf(key)] ?? 0;
      const env = { ...tenantVariables(), NODE_ENV: 'production', PORT: String(port) };
      running.set(key, spawnBare(`${root}/${key}`, env));
      await firstOk(port);
    },
    stop: async (key) => {
      running.get(key)?.kill();
      await running.get(key)?.exited;
    },
  };
}

async function gatewayOver(root: string, more: Partial<RuntimeOptions> = {}) {
  const createRuntime = (await loadPool('ours')) as (options: RuntimeOptions) => Runtime;
  const runtime = createRuntime(realTenants(root, more));
  const route = { by: 'subdomain', domain: 'localhost' } as const;
  const { port } = await listening({ runtime, route, listen: { port: 0 } });
  return { runtime, port };
}

async function ours(root: string): Promise<Wakeable> {
  const { runtime, port } = await gatewayOver(root);
  return { wake: (key) => answered(port, `${key}.localhost`), stop: runtime.kill };
}

/** One request, which has to be answered with 200. */
async function answered(port: number, host: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: '127.0.0.1',
    port,
    socket: {
      data(_, bytes) {
        const head = bytes.toString('latin1');
        if (head.startsWith('HTTP/1.1 200')) resolve();
        else reject(new Error(head.split('\r\n')[0]));
      },
      close: () => reject(new Error('closed')),
    },
  });
  socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  await promise.finally(() => socket.end());
}

const plus = (value: number | undefined, factor: number, more: number) =>
  value === undefined ? undefined : value * factor + more;

type Open = (root: string, keys: readonly string[]) => Promise<Wakeable>;

const oneByOne =
  (open: Open) =>
  async ({ isQuick }: Context): Promise<Sample> => {
    const { root, keys } = tenantRoot(WARM_UPS + (isQuick ? 10 : 40));
    const { wake, stop } = await open(root, keys);
    const wakeMs: number[] = [];
    for (const key of keys) {
      const startedAt = performance.now();
      await wake(key);
      wakeMs.push(performance.now() - startedAt);
      await stop(key);
    }
    return { wakeMs: wakeMs.slice(WARM_UPS) };
  };

/** In groups of as many as the gate of a runtime lets start at once. */
const together = (open: Open, atOnce: number) => async (): Promise<Sample> => {
  const { root, keys } = tenantRoot(AT_ONCE + 1);
  const { wake } = await open(root, keys);
  const [first = '', ...left] = keys;
  await wake(first);
  const startedAt = performance.now();
  const lane = async () => {
    for (let key = left.shift(); key !== undefined; key = left.shift()) await wake(key);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return { allMs: performance.now() - startedAt };
};

const wake: Scenario = {
  name: 'gateway-wake',
  title: 'A request that wakes its tenant',
  note: 'A hello tenant that does not run is asked for a page. Without a gateway it is spawned, and asked every millisecond.',
  columns: FRONTS,
  group,
  metrics: [
    {
      id: 'wakeMs',
      label: 'until the first byte',
      unit: 'ms',
      goal: { text: '≤ bare spawn + 1 ms', limit: (of) => plus(of('direct'), 1, 1) },
    },
  ],
  subjects: { direct: oneByOne(bare), ours: oneByOne(ours) },
};

const wake20: Scenario = {
  name: 'gateway-wake-20',
  title: `${AT_ONCE} tenants woken at once`,
  note: 'Without a gateway as many are spawned at a time as the runtime starts: two for each core.',
  columns: FRONTS,
  group,
  metrics: [
    {
      id: 'allMs',
      label: 'all answered',
      unit: 'ms',
      goal: { text: '≤ bare spawns × 1.1', limit: (of) => plus(of('direct'), 1.1, 0) },
    },
  ],
  subjects: {
    direct: together(bare, 2 * navigator.hardwareConcurrency),
    ours: together(ours, AT_ONCE),
  },
};

const storm: Scenario = {
  name: 'gateway-storm',
  title: `${STORM.requests.toLocaleString('en')} requests to ${STORM.tenants} cold tenants`,
  note:
    `There is room for ${STORM.room}. Each request has to be answered, or refused with a status. The cores are taken by tenants ` +
    'that start: what that alone does to an event loop is seen in a second process at the same time, which has nothing to do.',
  columns: FRONTS,
  group,
  metrics: [
    { id: 'allMs', label: 'all answered or refused', unit: 'ms' },
    { id: 'unanswered', label: 'without an answer', unit: '', goal: atMost(0, '') },
    { id: 'refused', label: 'refused', unit: '' },
    {
      id: 'lagMs',
      label: 'host loop lag, max',
      unit: 'ms',
      goal: { text: '≤ a bare loop + 10 ms', limit: (of) => plus(of('ours', 'bareLagMs'), 1, 10) },
    },
    { id: 'bareLagMs', label: '… of a bare loop beside it', unit: 'ms' },
    {
      id: 'busyMs',
      label: '… CPU time of the thread in it, max',
      unit: 'ms',
      goal: atMost(10, 'ms'),
    },
  ],
  subjects: {
    ours: async () => {
      const { root } = tenantRoot(STORM.tenants);
      const { port } = await gatewayOver(root, { maxConcurrent: STORM.room });
      const [{ storm, lag }, bare] = await besideBareLoop(async () => {
        const answers = client('storm', port, STORM.requests);
        // The client is started by now, which takes this thread some milliseconds.
        const loop = watchLoop();
        return { storm: await answers, lag: loop.stop() };
      });
      const { 200: ok = 0, none = 0 } = storm.statuses;
      return {
        allMs: storm.ms,
        unanswered: none,
        refused: STORM.requests - ok - none,
        lagMs: lag.lagMs,
        busyMs: lag.busyMs,
        bareLagMs: bare.lagMs,
      };
    },
  },
  maxRounds: 2,
  timeoutMs: 300_000,
};

export const waking: readonly Scenario[] = [wake, wake20, storm];

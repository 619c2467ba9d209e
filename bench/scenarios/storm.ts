// Sixty cold starts at once, and the dispose of sixty tenants.
import { watchLoop } from '../lib/probes.ts';
import {
  atMost,
  bothPools,
  lagMetrics,
  type Context,
  type Sample,
  type Scenario,
} from '../lib/scenario.ts';
import { firstOk, realTenants, tenantRoot, tenantVariables } from '../lib/tenants.ts';
import { freePorts, spawnBare } from './cold.ts';

const TENANTS = 60;
const FLOOR_STARTS_AT_ONCE = 4;

export const storm60: Scenario = {
  name: 'storm-60',
  title: '60 cold tenants at once',
  note:
    'Sixty `ensure` calls in one tick, to sixty tenants that are not running. The floor spawns the same processes, ' +
    `${FLOOR_STARTS_AT_ONCE} at a time, and asks each every millisecond until it answers.`,
  metrics: [
    {
      id: 'allMs',
      label: 'all ready',
      unit: 'ms',
      isCharted: true,
      goal: { text: '≤ 0.9 × plain', limit: (of) => times(0.9, of('plain')) },
    },
    {
      id: 'medianMs',
      label: 'median tenant ready',
      unit: 'ms',
      isCharted: true,
      goal: { text: '≤ 0.5 × plain', limit: (of) => times(0.5, of('plain')) },
    },
    ...lagMetrics({ lagMs: 10 }),
  ],
  subjects: {
    floor: storm(async () => {
      const { root, keys } = tenantRoot(TENANTS);
      const ports = await freePorts(TENANTS);
      const children: ReturnType<typeof spawnBare>[] = [];
      const start = (key: string, index: number) => {
        const port = ports[index] ?? 0;
        children.push(spawnBare(`${root}/${key}`, { ...tenantVariables(), PORT: String(port) }));
        return firstOk(port);
      };
      const end = async () => {
        for (const child of children) child.kill();
      };
      return { keys, startAll: () => fewAtATime(keys, start), end };
    }),
    ...bothPools(async (createRuntime, context) =>
      storm(async () => {
        const { root, keys } = tenantRoot(TENANTS);
        const runtime = createRuntime(realTenants(root));
        const startAll = () => keys.map((key) => runtime.ensure(key));
        return { keys, startAll, end: runtime.dispose };
      })(context),
    ),
  },
};

export const dispose60: Scenario = {
  name: 'dispose-60',
  title: '`dispose` of 60 tenants',
  note: 'Sixty running tenants; from the call of `dispose` until it resolves.',
  metrics: [
    {
      id: 'disposeMs',
      label: 'until it resolves',
      unit: 'ms',
      isCharted: true,
      goal: atMost(65, 'ms'),
    },
  ],
  subjects: bothPools(async (createRuntime) => {
    const { root, keys } = tenantRoot(TENANTS);
    const runtime = createRuntime(realTenants(root));
    await Promise.all(keys.map((key) => runtime.ensure(key)));
    const startedAt = performance.now();
    await runtime.dispose();
    return { disposeMs: performance.now() - startedAt };
  }),
};

const times = (factor: number, value: number | undefined) =>
  value === undefined ? undefined : value * factor;

interface Storm {
  startAll: () => Promise<unknown>[];
  end: () => Promise<unknown>;
}

function storm(open: () => Promise<Storm>): (context: Context) => Promise<Sample> {
  return async () => {
    const { startAll, end } = await open();
    const loop = watchLoop();
    const startedAt = performance.now();
    const sinceStart = () => performance.now() - startedAt;
    const readyMs = await Promise.all(startAll().map((ready) => ready.then(sinceStart)));
    const lag = loop.stop();
    await end();
    return { allMs: Math.max(...readyMs), medianMs: middle(readyMs), ...lag };
  };
}

const middle = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

/** Starts the tenants in order, a few at a time. */
function fewAtATime(
  keys: string[],
  start: (key: string, index: number) => Promise<void>,
): Promise<void>[] {
  const started: Promise<void>[] = [];
  const lanes: Promise<void>[] = [];
  for (const [index, key] of keys.entries()) {
    const before = lanes[index % FLOOR_STARTS_AT_ONCE] ?? Promise.resolve();
    const ready = before.then(() => start(key, index));
    lanes[index % FLOOR_STARTS_AT_ONCE] = ready;
    started.push(ready);
  }
  return started;
}

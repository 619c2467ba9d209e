// The calls that a host makes for every request: nanoseconds, measured in blocks of many calls.
import {
  atMost,
  bothPools,
  type Context,
  type CreateRuntime,
  type Metric,
  type Sample,
  type Scenario,
} from '../lib/scenario.ts';
import { pretendedTenants } from '../lib/tenants.ts';

/** A power of two, so that choosing the next one costs next to nothing. */
const TENANTS = 64;
const MANY_TENANTS = 1_000;
const BLOCKS = 20;
const WARM_UP_BLOCKS = 5;
const CALLS_A_BLOCK = 200_000;
const NS_PER_MS = 1e6;

export const touch: Scenario = {
  name: 'touch',
  title: '`touch`',
  note:
    `One running tenant, and ${TENANTS} in turn; blocks of ${CALLS_A_BLOCK.toLocaleString('en')} calls. ` +
    'The floor for one key is `Date.now()` alone, which no touch can do without; for many it is a look-up in a `Map` and a ' +
    'store of a counter, without a clock.',
  metrics: hotMetrics(36),
  subjects: {
    floor: async () => {
      const entries = new Map(keysOf(TENANTS).map((key) => [key, { touchedAt: 0 }]));
      let count = 0;
      const manyNs = perCall(TENANTS, (key) => {
        const entry = entries.get(key);
        if (entry) entry.touchedAt = ++count;
      });
      return { ns: perCall(1, () => sink(Date.now())), manyNs };
    },
    ...bothPools((createRuntime) =>
      byTenants(async (tenants) =>
        perCall(tenants, (await runningTenants(createRuntime, tenants)).touch),
      ),
    ),
  },
};

export const ensureRunning: Scenario = {
  name: 'ensure-running',
  title: '`ensure` of a running key, awaited',
  note: `One running tenant, and ${TENANTS} in turn, each call awaited. The floor awaits a promise out of a \`Map\`.`,
  metrics: hotMetrics(120),
  subjects: {
    floor: async () =>
      byTenants((tenants) => {
        const entries = new Map(keysOf(tenants).map((key) => [key, Promise.resolve({ key })]));
        return perAwaitedCall(tenants, (key) => entries.get(key));
      }),
    ...bothPools((createRuntime) =>
      byTenants(async (tenants) =>
        perAwaitedCall(tenants, (await runningTenants(createRuntime, tenants)).ensure),
      ),
    ),
  },
};

export const stats: Scenario = {
  name: 'stats',
  title: '`stats()`',
  note: `With one running tenant, and with ${MANY_TENANTS.toLocaleString('en')}.`,
  metrics: [
    { id: 'ns', label: 'a call, 1 tenant', unit: 'ns', isCharted: true, goal: atMost(150, 'ns') },
    { id: 'manyNs', label: `a call, ${MANY_TENANTS.toLocaleString('en')} tenants`, unit: 'ns' },
  ],
  subjects: bothPools(async (createRuntime, context) => {
    const one = await runningTenants(createRuntime, 1);
    const ns = perCall(1, () => sink(one.stats().total));
    const many = await runningTenants(createRuntime, MANY_TENANTS);
    const manyNs = perCall(1, () => sink(many.stats().total), fewer(context));
    return { ns, manyNs };
  }),
};

function hotMetrics(mostNs: number): Metric[] {
  return [
    { id: 'ns', label: 'a call, one key', unit: 'ns', isCharted: true, goal: atMost(mostNs, 'ns') },
    { id: 'manyNs', label: `a call, ${TENANTS} keys in turn`, unit: 'ns' },
  ];
}

let sum = 0;
/** Uses a result, so that the engine cannot optimise the call away. */
const sink = (value: number) => void (sum += value);

/**
 * Fewer calls, for those that visit every tenant in one of the pools: they take 1,000 times as
 * long.
 */
const fewer = ({ isQuick }: Context) => CALLS_A_BLOCK / (isQuick ? 200 : 100);

const keysOf = (count: number) => Array.from({ length: count }, (_, index) => `tenant-${index}`);

async function runningTenants(createRuntime: CreateRuntime, count: number) {
  const runtime = createRuntime(pretendedTenants());
  await Promise.all(keysOf(count).map((key) => runtime.ensure(key)));
  return runtime;
}

async function byTenants(
  measure: (tenants: number) => number[] | Promise<number[]>,
): Promise<Sample> {
  return { ns: await measure(1), manyNs: await measure(TENANTS) };
}

function perCall(tenants: number, call: (key: string) => void, calls = CALLS_A_BLOCK): number[] {
  const [keys, mask] = [keysOf(tenants), tenants - 1];
  const blocks = Array.from({ length: WARM_UP_BLOCKS + BLOCKS }, () => {
    const startedAt = performance.now();
    for (let index = 0; index < calls; index += 1) call(keys[index & mask] as string);
    return ((performance.now() - startedAt) * NS_PER_MS) / calls;
  });
  return blocks.slice(WARM_UP_BLOCKS);
}

async function perAwaitedCall(
  tenants: number,
  call: (key: string) => Promise<object> | undefined,
): Promise<number[]> {
  const [keys, mask] = [keysOf(tenants), tenants - 1];
  const ns: number[] = [];
  for (let block = 0; block < WARM_UP_BLOCKS + BLOCKS; block += 1) {
    const startedAt = performance.now();
    for (let index = 0; index < CALLS_A_BLOCK; index += 1) await call(keys[index & mask] as string);
    ns.push(((performance.now() - startedAt) * NS_PER_MS) / CALLS_A_BLOCK);
  }
  return ns.slice(WARM_UP_BLOCKS);
}

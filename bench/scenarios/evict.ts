// A new tenant in a full pool: finding the least recently used one must not take longer the more
// there are.
import {
  atMost,
  bothPools,
  type CreateRuntime,
  type Metric,
  type Scenario,
} from '../lib/scenario.ts';
import { pretendedTenants } from '../lib/tenants.ts';

const SIZES = [100, 1_000, 10_000, 100_000];
const STARTS_AT_ONCE = 500;
const WARM_UPS = 200;
const MAX_EVICTIONS = 5_000;
/** After this time no more evictions are measured. */
const ENOUGH_MS = 1_500;
const US_PER_MS = 1e3;
/** The largest ratio that counts as flat. */
const MAX_GROWTH = 2;

const metricOf = (size: number): Metric => ({
  id: `at${size}`,
  label: `each, at ${size.toLocaleString('en')} tenants`,
  unit: 'µs',
  isCharted: true,
  ...(size === 10_000 && { goal: atMost(15, 'µs') }),
});

export const evict: Scenario = {
  name: 'evict',
  title: '`ensure` with an eviction',
  note:
    'A full pool of tenants that an adapter pretends to run; every `ensure` of a new key, awaited, stops the least ' +
    `recently used tenant first. Flat is: at 100,000 tenants at most ${MAX_GROWTH} times what it takes at 100.`,
  metrics: [
    ...SIZES.map(metricOf),
    {
      id: 'growth',
      label: 'at 100,000 over at 100',
      unit: '×',
      goal: { text: `flat: ≤ ${MAX_GROWTH} ×`, limit: () => MAX_GROWTH },
    },
  ],
  subjects: bothPools(async (createRuntime) => {
    const times: Record<string, number> = {};
    for (const size of SIZES) times[`at${size}`] = await timeOfEviction(createRuntime, size);
    return { ...times, growth: (times.at100000 ?? NaN) / (times.at100 ?? NaN) };
  }),
  timeoutMs: 300_000,
  maxRounds: 3,
};

async function timeOfEviction(createRuntime: CreateRuntime, size: number): Promise<number> {
  const { ensure } = createRuntime(pretendedTenants({ maxConcurrent: size }));
  for (let from = 0; from < size; from += STARTS_AT_ONCE) {
    const count = Math.min(STARTS_AT_ONCE, size - from);
    await Promise.all(
      Array.from({ length: count }, (_, index) => ensure(`tenant-${from + index}`)),
    );
  }
  for (let index = 0; index < WARM_UPS; index += 1) await ensure(`warm-up-${index}`);
  const startedAt = performance.now();
  let evictions = 0;
  while (evictions < MAX_EVICTIONS && performance.now() - startedAt < ENOUGH_MS) {
    await ensure(`new-${evictions}`);
    evictions += 1;
  }
  return ((performance.now() - startedAt) * US_PER_MS) / evictions;
}

// The pool's own work for a start: tenants whose processes cost nothing.
import { atMost, bothPools, type Scenario } from '../lib/scenario.ts';
import { pretendedTenants } from '../lib/tenants.ts';

const STARTS = 10_000;
const WARM_UPS = 2_000;
const US_PER_MS = 1e3;

export const ensureAdapter: Scenario = {
  name: 'ensure-adapter',
  title: '10,000 `ensure` through an adapter',
  note:
    "`ensure` of 10,000 new keys with a `spawn` and a `readiness` of the user's own that resolve at once: each " +
    'awaited before the next, and all in one tick. From the first call until the last has resolved, divided by 10,000.',
  metrics: [
    {
      id: 'oneByOneUs',
      label: 'each, one by one',
      unit: 'µs',
      isCharted: true,
      goal: atMost(8, 'µs'),
    },
    {
      id: 'atOnceUs',
      label: 'each, all at once',
      unit: 'µs',
      isCharted: true,
      goal: atMost(8, 'µs'),
    },
  ],
  subjects: bothPools(async (createRuntime) => {
    const open = async () => {
      const { ensure } = createRuntime(pretendedTenants());
      for (let index = 0; index < WARM_UPS; index += 1) await ensure(`warm-up-${index}`);
      return ensure;
    };
    const each = async (start: (keys: string[]) => Promise<unknown>) => {
      const keys = Array.from({ length: STARTS }, (_, index) => `tenant-${index}`);
      const startedAt = performance.now();
      await start(keys);
      return ((performance.now() - startedAt) * US_PER_MS) / STARTS;
    };
    const [first, second] = [await open(), await open()];
    const oneByOneUs = await each(async (keys) => {
      for (const key of keys) await first(key);
    });
    const atOnceUs = await each((keys) => Promise.all(keys.map((key) => second(key))));
    return { oneByOneUs, atOnceUs };
  }),
};

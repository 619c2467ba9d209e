// The costs of a pool of many idle tenants.
import { setTimeout as delay } from 'node:timers/promises';
import { collectGarbage, residentMb, watchCpu } from '../lib/probes.ts';
import { bothPools, type Context, type Sample, type Scenario } from '../lib/scenario.ts';
import { pretendedProcess, pretendedTenants } from '../lib/tenants.ts';

const TENANTS = 10_000;
const WARM_UPS = 1_000;
const WINDOW_MS = 6_000;
const QUICK_WINDOW_MS = 3_000;
const BYTES_PER_MB = 2 ** 20;
const MAX_BYTES_A_TENANT = 1_536;

export const idle10000: Scenario = {
  name: 'idle-10000',
  title: 'Idle pool of 10,000 ready tenants',
  note:
    'Tenants that an adapter pretends to run, the default sweep and idle time. CPU time of the host over some seconds; ' +
    'resident memory after a garbage collection with the tenants less ' +
    'without them. The floor keeps only the objects of the adapter in a `Map`: they belong to no pool.',
  metrics: [
    {
      id: 'cpuPercent',
      label: 'host CPU, share of a core',
      unit: '%',
      goal: { text: '≤ 0.1 % over the floor', limit: (of) => (of('floor') ?? NaN) + 0.1 },
    },
    {
      id: 'bytes',
      label: 'memory a tenant',
      unit: 'B',
      goal: { text: '≤ floor + 1.5 KB', limit: (of) => (of('floor') ?? NaN) + MAX_BYTES_A_TENANT },
    },
  ],
  subjects: {
    floor: async (context) => {
      const processes = new Map<string, object>();
      return idle(context, async (key) => processes.set(key, pretendedProcess()));
    },
    ...bothPools(async (createRuntime, context) => {
      const { ensure } = createRuntime(pretendedTenants({ idleAfterMs: 300_000 }));
      return idle(context, ensure);
    }),
  },
};

async function idle(
  { isQuick }: Context,
  start: (key: string) => Promise<unknown>,
): Promise<Sample> {
  for (let index = 0; index < WARM_UPS; index += 1) await start(`warm-up-${index}`);
  await collectGarbage();
  const beforeMb = residentMb();
  for (let index = 0; index < TENANTS; index += 1) await start(`tenant-${index}`);
  await collectGarbage();
  const bytes = ((residentMb() - beforeMb) * BYTES_PER_MB) / TENANTS;
  const [watched, startedAt] = [watchCpu(), performance.now()];
  await delay(isQuick ? QUICK_WINDOW_MS : WINDOW_MS);
  const durationMs = performance.now() - startedAt;
  const { allMs } = watched.used();
  return { cpuPercent: (100 * allMs) / durationMs, bytes };
}

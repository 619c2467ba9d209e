// What limits, walls and a user of its own add to a cold start.
import { chmodSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Runtime, RuntimeOptions } from '@absolutejs/runtime';
import {
  atMost,
  type Context,
  loadPool,
  type Metric,
  NotPossible,
  type Sample,
  type Scenario,
} from '../lib/scenario.ts';
import { realTenants, tenantRoot } from '../lib/tenants.ts';
import { median } from '../lib/figures.ts';

/** Starts in a tight loop hide what the kernel does a while after each. */
const SPACE_MS = 100;
const WARM_UPS = 3;
const STARTS = 60;
const QUICK_STARTS = 8;

const limits = { memoryBytes: 512 * 2 ** 20, cpus: 2, processes: 500, openFiles: 4_096 };
/** Users that no other program has. Directories that root owns are read, not written. */
const user = { first: 48_400, count: 1_000 };

const KINDS: Record<string, { label: string; options: Partial<RuntimeOptions> }> = {
  none: { label: 'without limits and walls', options: {} },
  limits: { label: 'with limits', options: { limits } },
  walls: { label: 'with walls', options: { isolation: 'tenant' } },
  both: { label: 'with both', options: { limits, isolation: 'tenant' } },
  user: { label: 'with both and a user each', options: { limits, isolation: { user } } },
};

const metrics: Metric[] = [
  ...Object.entries(KINDS).map(([id, { label }]) => ({ id, label, unit: 'ms' as const })),
  { id: 'bothMore', label: 'both, beside none', unit: 'ms', goal: atMost(1, 'ms') },
  { id: 'userMore', label: 'a user each, beside both', unit: 'ms', goal: atMost(0.3, 'ms') },
];

export const coldConfined: Scenario = {
  name: 'cold-confined',
  title: 'Cold `ensure` with limits and walls',
  note:
    'From `ensure` to a tenant that answers, one start each 100 ms, the kinds in turn in one host. ' +
    'The last two rows compare medians of one round.',
  metrics,
  subjects: { ours: measure },
  timeoutMs: 300_000,
};

async function measure({ isQuick }: Context): Promise<Sample> {
  const createRuntime = await loadPool('ours');
  const { root, keys } = tenantRoot(WARM_UPS + (isQuick ? QUICK_STARTS : STARTS));
  const kinds = Object.entries(KINDS).filter(([kind]) => kind !== 'user' || isRoot());
  const runtimes = kinds.map(([kind, { options }]) => {
    // Each has a root of its own, as one that two runtimes share is warned of.
    const own = kind === 'none' ? root : tenantRoot(keys.length).root;
    // Users other than the host's have to get in.
    chmodSync(own, 0o755);
    try {
      return { kind, runtime: createRuntime(realTenants(own, options)), times: [] as number[] };
    } catch (error) {
      throw new NotPossible(error instanceof Error ? error.message : String(error));
    }
  });
  for (const key of keys) {
    for (const { runtime, times } of runtimes) times.push(await coldStart(runtime, key));
  }
  await Promise.all(runtimes.map(({ runtime }) => runtime.dispose()));
  const measured = runtimes.map(({ kind, times }) => [kind, times.slice(WARM_UPS)] as const);
  return { ...Object.fromEntries(measured), ...differences(Object.fromEntries(measured)) };
}

const isRoot = () => process.getuid?.() === 0;

async function coldStart(runtime: Pick<Runtime, 'ensure' | 'kill'>, key: string): Promise<number> {
  await delay(SPACE_MS);
  const startedAt = performance.now();
  await runtime.ensure(key);
  const ms = performance.now() - startedAt;
  await runtime.kill(key);
  return ms;
}

function differences(times: Record<string, readonly number[]>): Sample {
  const of = (kind: string) => median(times[kind] ?? []) ?? NaN;
  return { bothMore: of('both') - of('none'), userMore: of('user') - of('both') };
}

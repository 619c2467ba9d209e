// The costs of observing every tenant's CPU time and memory.
import { setTimeout as delay } from 'node:timers/promises';
import type { RuntimeOptions } from '@absolutejs/runtime';
import { watchCpu, watchLoop } from '../lib/probes.ts';
import {
  atMost,
  bothPools,
  lagMetrics,
  type CreateRuntime,
  type Sample,
  type Scenario,
} from '../lib/scenario.ts';
import {
  handOut,
  pretendedTenants,
  startSleepers,
  tenantRoot,
  tenantVariables,
} from '../lib/tenants.ts';

const FEW = 300;
const FEW_INTERVAL_MS = 250;
const WINDOW_MS = 6_000;
const QUICK_WINDOW_MS = 3_000;
const MANY = 10_000;
const MANY_INTERVAL_MS = 3_000;
/**
 * Time from the last event of a pass until the CPU time is read: the pass ends, and none begins.
 */
const AFTER_A_PASS_MS = 300;

const cpuMetrics = [
  {
    id: 'cpuPercent',
    label: 'host CPU, share of a core',
    unit: '%',
    goal: atMost(2, '%'),
  },
  { id: 'javascriptPercent', label: '… JavaScript thread', unit: '%' },
  { id: 'helpersPercent', label: '… helper processes', unit: '%' },
  { id: 'perSecond', label: 'observations a second', unit: '/s' },
] as const;

export const observe300: Scenario = {
  name: 'observe-300',
  title: 'Observing 300 processes 4×/s',
  note:
    '300 tenants that the pool started itself (`command` is `sleep`). CPU time over a few seconds; 1,200 ' +
    'observations a second are what was asked for.',
  metrics: cpuMetrics,
  subjects: bothPools(async (createRuntime, { isQuick }) => {
    const { root, keys } = tenantRoot(FEW);
    const options = { source: { kind: 'directory', root }, command: ['sleep', '600'] } as const;
    return observeFew(createRuntime, keys, { ...options, env: tenantVariables() }, isQuick);
  }),
};

export const observe300Adapter: Scenario = {
  name: 'observe-300-adapter',
  title: 'Observing 300 processes of an adapter 4×/s',
  note: "The same with processes that the user's own `spawn` returned.",
  metrics: cpuMetrics,
  subjects: bothPools(async (createRuntime, { isQuick }) => {
    const { pids, stop } = await startSleepers(FEW);
    const keys = pids.map((pid) => `p${pid}`);
    const options = pretendedTenants({ spawn: handOut(pids) });
    const sample = await observeFew(createRuntime, keys, options, isQuick);
    await stop();
    return sample;
  }),
};

export const observe10000: Scenario = {
  name: 'observe-10000',
  title: 'Observing 10,000 processes once',
  note:
    'Real processes, handed out by an adapter; one pass over all of them. Off-thread is the CPU time of the host ' +
    'outside of its JavaScript thread; delivered is the time from the first to the last event of the pass. The floor is ' +
    'a host that has as many processes beside it and does nothing: on a small machine the kernel’s own work for so many ' +
    'makes it wait for a core, too.',
  metrics: [
    {
      id: 'offThreadMs',
      label: 'off-thread',
      unit: 'ms',
      isCharted: true,
      goal: atMost(250, 'ms'),
    },
    { id: 'javascriptMs', label: 'JavaScript thread', unit: 'ms' },
    { id: 'deliveredMs', label: 'delivered', unit: 'ms' },
    ...lagMetrics({ lagMs: 2 }),
    { id: 'processes', label: 'processes', unit: '' },
  ],
  subjects: { floor: observeNone, ...bothPools(observeMany) },
  maxRounds: 3,
  timeoutMs: 300_000,
};

async function observeFew(
  createRuntime: CreateRuntime,
  keys: readonly string[],
  options: RuntimeOptions,
  isQuick: boolean,
): Promise<Sample> {
  let observed = 0;
  const runtime = createRuntime({
    ...options,
    maxConcurrent: Infinity,
    readiness: async () => true,
    observeIntervalMs: FEW_INTERVAL_MS,
    onLog: () => {},
    onMetrics: ({ type }) => void (observed += type === 'observation' ? 1 : 0),
  });
  const tenants = await Promise.all(keys.map((key) => runtime.ensure(key)));
  const pids = tenants.map(({ pid }) => pid);
  await delay(4 * FEW_INTERVAL_MS);
  const [watched, observedBefore, startedAt] = [watchCpu(pids), observed, performance.now()];
  await delay(isQuick ? QUICK_WINDOW_MS : WINDOW_MS);
  const durationMs = performance.now() - startedAt;
  const perSecond = (observed - observedBefore) / (durationMs / 1e3);
  const cpu = watched.used();
  await runtime.dispose();
  const percent = (ms: number) => (100 * ms) / durationMs;
  return {
    cpuPercent: percent(cpu.allMs),
    javascriptPercent: percent(cpu.javascriptMs),
    helpersPercent: percent(cpu.helpersMs),
    perSecond,
  };
}

async function observeMany(createRuntime: CreateRuntime): Promise<Sample> {
  const { pids, stop } = await startSleepers(MANY);
  const pass = createPass();
  const runtime = createRuntime(
    pretendedTenants({
      spawn: handOut(pids),
      observeIntervalMs: MANY_INTERVAL_MS,
      onMetrics: ({ type }) => void (type === 'observation' && pass.note()),
    }),
  );
  for (const pid of pids) await runtime.ensure(`p${pid}`);
  // One pass to warm up, then the one that counts.
  await pass.next(pids.length);
  await delay(AFTER_A_PASS_MS);
  const watched = watchCpu();
  const loop = watchLoop();
  const deliveredMs = await pass.next(pids.length);
  await delay(AFTER_A_PASS_MS);
  const lag = loop.stop();
  const cpu = watched.used();
  await stop();
  const offThreadMs = cpu.allMs - cpu.javascriptMs;
  return {
    offThreadMs,
    javascriptMs: cpu.javascriptMs,
    deliveredMs,
    ...lag,
    processes: pids.length,
  };
}

/** How the processes alone affect the event loop, without observations. */
async function observeNone(): Promise<Sample> {
  const { pids, stop } = await startSleepers(MANY);
  await delay(MANY_INTERVAL_MS + AFTER_A_PASS_MS);
  const loop = watchLoop();
  await delay(MANY_INTERVAL_MS);
  const lag = loop.stop();
  await stop();
  return { ...lag, processes: pids.length };
}

/** Counts the observations of a pass. */
function createPass() {
  let left = 0;
  let firstAt = NaN;
  let done = (_durationMs: number) => {};
  return {
    note() {
      const now = performance.now();
      if (Number.isNaN(firstAt)) firstAt = now;
      left -= 1;
      if (left === 0) done(now - firstAt);
    },

    /** Resolves after `count` more events with the time between the first and the last of them. */
    next(count: number): Promise<number> {
      left = count;
      firstAt = NaN;
      return new Promise((resolve) => (done = resolve));
    },
  };
}

// What index.d.ts must accept, infer and reject. `tsc` checks this file; nothing runs it.
import { spawn as spawnChild } from 'node:child_process';
import {
  createRuntime,
  type AdoptOptions,
  type CallOptions,
  type ReplaceOptions,
  type CheckpointDriver,
  type CheckpointMetrics,
  isRuntimeError,
  RuntimeExitedBeforeReadyError,
  type ExitReason,
  type ReadinessCheck,
  type Runtime,
  type RuntimeAdoptEvent,
  type RuntimeBackoffEvent,
  type RuntimeDetachEvent,
  type RuntimeCheckpointOptions,
  type RuntimeDrainEvent,
  type RuntimeError,
  type RuntimeErrorCode,
  type RuntimeExitEvent,
  type RuntimeIdleKillEvent,
  type RuntimeLogEvent,
  type RuntimeLruEvictEvent,
  type RuntimeMemory,
  type RuntimeMetricEvent,
  type RuntimeMetrics,
  type RuntimeObservationEvent,
  type RuntimeOptions,
  type RuntimeProcess,
  type RuntimeReadyEvent,
  type RuntimeRecoverEvent,
  type RuntimeRestoredEvent,
  type RuntimeSleep,
  type RuntimeSleepEvent,
  type RuntimeSpawnEvent,
  type RuntimeSpawnMetricEvent,
  type RuntimeSurvival,
  type RuntimeStats,
  type RuntimeTransitionEvent,
  type RuntimeWakeEvent,
  type ShouldIdleKill,
  type ShouldSleep,
  type SleepDepth,
  type SleepMetrics,
  type SpawnBackoff,
  type SpawnFn,
  type Tenant,
  type TenantIsolation,
  type TenantLimits,
  type TenantSettings,
  type TenantSource,
  type TenantState,
  type TenantStatus,
  type TracerProvider,
} from '@absolutejs/runtime';

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function assertType<_T extends true>(): void {}

const source: TenantSource = { kind: 'directory', root: 'tenants' };

// Options: only `source` is required, and all of them together are accepted.
const runtime: Runtime = createRuntime({ source });
const command = ['bun', 'server.ts'] as const;
const backoff: SpawnBackoff = { baseMs: 1 };
declare const driver: CheckpointDriver;
declare const tracerProvider: TracerProvider;
const everyOption: Required<RuntimeOptions> = {
  source,
  idleAfterMs: 0,
  maxConcurrent: 1,
  sweepIntervalMs: 1,
  observeIntervalMs: 0,
  command,
  spawn: async ({ cwd, env }) => Bun.spawn(['bun', 'server.ts'], { cwd, env }),
  readiness: async ({ key, port, startedAt }) => key.length + port + startedAt > 0,
  backoff,
  stopTimeoutMs: 0,
  readinessTimeoutMs: 30_000,
  spawnConcurrency: 4,
  env: 'inherit',
  limits: (key) => ({ memoryBytes: key.length }),
  isolation: 'tenant',
  survive: { name: 'apps', forMs: 60_000, takeOver: true },
  sleep: false,
  evict: 'cost',
  memory: { keepFreeBytes: 512 << 20 },
  tenant: async (key) => ({ readinessPath: `/${key}` }),
  idle: 'connections',
  shouldIdleKill: ({ idleMs, key, tenant }) => idleMs > 0 && key === tenant.key,
  checkpoint: { driver, restoreTimeoutMs: 1 },
  tracerProvider,
  onLog: () => {},
  onMetrics: () => {},
  onTransition: () => {},
};
const everySleep: Required<RuntimeSleep> = {
  afterMs: 30_000,
  pageOutAfterMs: 0,
  maxAsleep: 1_000,
  minAwakeMs: 0,
  outgoing: 'breathe',
  shouldSleep: ({ idleMs, key, tenant }) => idleMs > 0 && key === tenant.key,
};
createRuntime({ source, sleep: everySleep });
createRuntime({ source, sleep: {} });
// @ts-expect-error one of three words
createRuntime({ source, sleep: { outgoing: 'close' } });
// @ts-expect-error an object, or false
createRuntime({ source, sleep: true });
// @ts-expect-error one of two words
createRuntime({ source, evict: 'largest' });
// @ts-expect-error how much is required
createRuntime({ source, memory: {} });
const everyLimit: Required<TenantLimits> = {
  memoryBytes: 1,
  swapBytes: 1,
  cpus: 0.5,
  cpuWeight: 100,
  processes: 1,
  openFiles: 1,
  fileBytes: 1,
  enforce: 'best-effort',
};
const everyWall: Required<TenantIsolation> = {
  read: ['/srv/shared'] as const,
  write: ['../uploads'],
  listen: [4_000],
  connect: 'any',
  user: { uid: 1_000, gid: 1_000 },
  enforce: 'required',
};
createRuntime({ source, limits: everyLimit, isolation: everyWall });
createRuntime({ source, isolation: (key) => (key === 'own' ? 'none' : 'tenant') });
createRuntime({ source, isolation: { connect: [443], user: { first: 20_000, count: 10_000 } } });
// @ts-expect-error an unknown limit
createRuntime({ source, limits: { memory: 1 } });
// @ts-expect-error a user and a group, or a range
createRuntime({ source, isolation: { user: { uid: 1 } } });
// @ts-expect-error not asynchronous
createRuntime({ source, limits: async () => ({ memoryBytes: 1 }) });
const everySetting: Required<TenantSettings> = {
  idleAfterMs: 0,
  stopTimeoutMs: 0,
  limits: everyLimit,
  isolation: everyWall,
  warm: true,
  readinessTimeoutMs: 30_000,
  readinessPath: '/health',
  command,
  env: (key) => ({ TENANT: key }),
};
createRuntime(everyOption);
createRuntime({ source, env: { PATH: '' } });
createRuntime({ source, env: (key) => ({ TENANT: key }) });
createRuntime({ source, tenant: () => everySetting });
createRuntime({ source, onLog: async () => {} });
// @ts-expect-error source is required
createRuntime({});
// @ts-expect-error an unknown kind of source
createRuntime({ source: { kind: 'docker', root: '' } });
// @ts-expect-error a number, not a string
createRuntime({ source, idleAfterMs: '5s' });
// @ts-expect-error a program and its arguments, not one string
createRuntime({ source, command: 'bun run start' });
// @ts-expect-error an unknown setting of a tenant
createRuntime({ source, tenant: () => ({ readinesPath: '/' }) });
// @ts-expect-error an unknown option
createRuntime({ source, idleTimeoutMs: 1 });

// Processes: Bun's subprocess fits, whatever its stdio, and so do hand-written ones.
declare const subprocess: ReturnType<typeof Bun.spawn>;
const processes: RuntimeProcess[] = [
  subprocess,
  Bun.spawn(['true']),
  Bun.spawn(['true'], { stdout: 'pipe', stderr: 'ignore' }),
  { pid: 1, exited: Promise.resolve(null), kill: () => {} },
  { pid: 1, exited: Promise.resolve(0), kill: async () => {}, port: 1, resourceId: 'container' },
  { pid: 1, exited: Promise.resolve(0), kill: (signal?: string) => void signal },
  { pid: 1, exited: Promise.resolve(0), kill: (signal?: number | NodeJS.Signals) => void signal },
];
processes[0]?.kill();
processes[0]?.kill('SIGKILL');
const child = spawnChild('true');
const fromNode: RuntimeProcess = {
  pid: child.pid ?? 0,
  exited: new Promise((resolve) => child.once('exit', resolve)),
  kill: (signal) => void child.kill(signal),
};
// @ts-expect-error without a pid
const withoutPid: RuntimeProcess = { exited: Promise.resolve(0), kill: () => {} };
// @ts-expect-error `exited` is a promise
const withoutPromise: RuntimeProcess = { pid: 1, exited: 0, kill: () => {} };

const spawn: SpawnFn = async ({ key, onLogLine }) => {
  onLogLine({ key, pid: 1, stream: 'stderr', line: '', at: Date.now() });
  // @ts-expect-error an unknown stream
  onLogLine({ key, pid: 1, stream: 'stdlog', line: '', at: Date.now() });
  return fromNode;
};
const readiness: ReadinessCheck = () => Promise.resolve(true);
// @ts-expect-error a promise of a boolean
const notAsync: ReadinessCheck = () => true;

// The runtime: its methods can be destructured, and it disposes itself.
const { ensure, touch, stats, kill, restart, clearBackoff, drain, dispose } = runtime;
const { adopt, inspect, list, metrics, replace } = runtime;
assertType<Equal<typeof ensure, (key: string, options?: CallOptions) => Promise<Tenant>>>();
assertType<Equal<typeof metrics, () => RuntimeMetrics>>();
assertType<Equal<typeof inspect, (key: string) => TenantStatus | null>>();
assertType<Equal<typeof list, () => TenantStatus[]>>();
assertType<Equal<Parameters<typeof adopt>[2], AdoptOptions | undefined>>();
assertType<Equal<RuntimeMetrics['totalExits'], Record<ExitReason, number>>>();
assertType<Equal<TenantStatus['state'], TenantState>>();
assertType<Equal<TenantStatus['host'], Tenant['host']>>();
assertType<Equal<AdoptOptions['host'], Tenant['host']>>();
void adopt('a', { pid: 7 }, { port: 3000 });
void adopt('a', Bun.spawn(['true']), { port: 3000, startedAt: 0, lastTouchedAt: 0 });
// @ts-expect-error a process has a pid
void adopt('a', {}, { port: 3000 });
void ensure('a', { signal: AbortSignal.timeout(1) });
// @ts-expect-error a signal, not its controller
void ensure('a', { signal: new AbortController() });
// @ts-expect-error one of two words
createRuntime({ source, idle: 'never' });
// @ts-expect-error a driver has four functions
createRuntime({ source, checkpoint: { driver: { has: async () => true } } });
assertType<Equal<typeof touch, (key: string) => void>>();
assertType<Equal<typeof stats, () => RuntimeStats>>();
assertType<Equal<typeof kill, (key: string) => Promise<void>>>();
assertType<Equal<typeof restart, (key: string, options?: CallOptions) => Promise<Tenant>>>();
assertType<Equal<typeof replace, (key: string, options?: ReplaceOptions) => Promise<Tenant>>>();
void replace('a', { signal: AbortSignal.timeout(1), drainMs: 5_000 });
// @ts-expect-error a number
void replace('a', { drainMs: '5s' });
assertType<Equal<typeof clearBackoff, (key: string) => void>>();
assertType<Equal<typeof drain, () => void>>();
assertType<Equal<typeof dispose, () => Promise<void>>>();
assertType<Equal<Runtime['recovered'], Promise<void>>>();
assertType<Equal<Runtime['detach'], () => Promise<void>>>();
const survive: RuntimeSurvival = { name: 'apps' };
createRuntime({ source, survive });
// @ts-expect-error a name is required
createRuntime({ source, survive: { forMs: 1 } });
// @ts-expect-error it cannot be set
runtime.recovered = Promise.resolve();
assertType<
  Equal<RuntimeStats, { running: number; total: number; draining: boolean; backoff: number }>
>();
export async function disposesItself(): Promise<number> {
  await using pool = createRuntime({ source, spawn, readiness });
  return pool.stats().running;
}

// Events: `type` tells which one it is.
export function describeTransition(event: RuntimeTransitionEvent): string {
  switch (event.type) {
    case 'spawn':
      assertType<Equal<typeof event.resourceId, string | undefined>>();
      return `${event.key} ${event.pid} ${event.port}`;
    case 'ready':
      return `${event.durationMs}`;
    case 'adopt':
      return `${event.port}`;
    case 'restored':
      // @ts-expect-error what comes from a snapshot has no resource
      return `${event.durationMs} ${event.resourceId}`;
    case 'sleep':
      assertType<Equal<typeof event.depth, SleepDepth>>();
      return `${event.key} ${event.pid} ${event.rssBytes}`;
    case 'wake':
      assertType<Equal<typeof event.depth, SleepDepth>>();
      assertType<Equal<typeof event.byItself, true | undefined>>();
      return `${event.key} ${event.pid} ${event.durationMs}`;
    case 'idle-kill':
      assertType<Equal<typeof event.reason, 'idle-threshold'>>();
      return `${event.idleMs}`;
    case 'lru-evict':
      assertType<Equal<typeof event.reason, 'max-concurrent'>>();
      return `${event.pid}`;
    case 'exit':
      assertType<Equal<typeof event.reason, ExitReason>>();
      assertType<Equal<typeof event.exitCode, number | null>>();
      // @ts-expect-error an exit has no port
      return `${event.port}`;
    case 'backoff':
      return `${event.attempt} ${event.retryAfterMs}`;
    case 'drain':
      // @ts-expect-error a drain is about no tenant
      return `${event.key} ${event.reason}`;
    case 'recover':
      assertType<Equal<typeof event.linesLost, number>>();
      return `${event.key} ${event.pid} ${event.port} ${event.startedAt} ${event.cpuMs}`;
    case 'detach':
      assertType<Equal<typeof event.reason, 'asked' | 'fenced' | 'take-over'>>();
      // @ts-expect-error a detachment is about no tenant
      return `${event.key}`;
  }
}
export function describeMetric(event: RuntimeMetricEvent): number {
  // @ts-expect-error only observations have it
  void event.cpuMs;
  return event.type === 'observation' ? event.cpuMs + event.rssBytes + event.at : event.durationMs;
}
assertType<Equal<RuntimeLogEvent['stream'], 'stdout' | 'stderr'>>();

// Errors.
export function describeError(error: unknown): string {
  if (error instanceof RuntimeExitedBeforeReadyError) {
    assertType<Equal<typeof error.exitCode, number | null>>();
    return `${error.key}: ${error.message}`;
  }
  const { code, retryAfterMs } = error as RuntimeError;
  assertType<Equal<typeof code, RuntimeErrorCode>>();
  // @ts-expect-error not one of the codes
  if (code === 'ERR_RUNTIME_NO_SUCH_CODE') return '';
  return `${code} ${retryAfterMs ?? 0}`;
}
void new RuntimeExitedBeforeReadyError('acme', null).exitCode;
// @ts-expect-error of which key, and how
new RuntimeExitedBeforeReadyError();
export function waitOf(error: unknown): number {
  if (isRuntimeError(error, 'ERR_RUNTIME_BACKOFF')) {
    assertType<Equal<typeof error.code, 'ERR_RUNTIME_BACKOFF'>>();
    return error.retryAfterMs ?? 0;
  }
  // @ts-expect-error not one of the codes
  isRuntimeError(error, 'ERR_RUNTIME_NO_SUCH_CODE');
  return isRuntimeError(error) ? error.message.length + (error.key?.length ?? 0) : 0;
}

// Each event, and each option that is a function or an object, has a name of its own.
assertType<Equal<RuntimeSpawnEvent['type'], 'spawn'>>();
assertType<Equal<RuntimeReadyEvent['durationMs'], number>>();
assertType<Equal<RuntimeAdoptEvent['port'], number>>();
assertType<Equal<RuntimeRestoredEvent['type'], 'restored'>>();
assertType<Equal<RuntimeIdleKillEvent['idleMs'], number>>();
assertType<Equal<RuntimeLruEvictEvent['reason'], 'max-concurrent'>>();
assertType<Equal<RuntimeExitEvent['reason'], ExitReason>>();
assertType<Equal<RuntimeBackoffEvent['attempt'], number>>();
assertType<Equal<RuntimeDrainEvent['reason'], 'drain-requested'>>();
assertType<Equal<RuntimeRecoverEvent['cpuMs'], number>>();
assertType<Equal<RuntimeDetachEvent['type'], 'detach'>>();
assertType<Equal<RuntimeSpawnMetricEvent['durationMs'], number>>();
assertType<Equal<RuntimeObservationEvent['cpuMs'], number>>();
assertType<Equal<RuntimeSleepEvent['rssBytes'], number>>();
assertType<Equal<RuntimeWakeEvent['depth'], SleepDepth>>();
assertType<Equal<RuntimeMetrics['checkpoints'], CheckpointMetrics>>();
assertType<Equal<RuntimeMetrics['sleep'], SleepMetrics>>();
assertType<Equal<TenantStatus['depth'], SleepDepth | undefined>>();
const shouldSleep: ShouldSleep = async ({ tenant }) => tenant.port > 0;
const memory: RuntimeMemory = { keepFreeBytes: 1 };
createRuntime({ source, sleep: { shouldSleep }, memory });
const checkpoint: RuntimeCheckpointOptions = { driver };
const shouldIdleKill: ShouldIdleKill = async ({ tenant }) => tenant.port > 0;
createRuntime({ source, checkpoint, shouldIdleKill });

// What is undefined in a record of the environment is left out.
createRuntime({ source, env: { PATH: process.env.PATH, EDITOR: undefined } });
createRuntime({ source, env: (key) => ({ TENANT: key, PATH: process.env.PATH }) });
// @ts-expect-error a number is no variable
createRuntime({ source, env: { LEVEL: 1 } });
void adopt('a', Bun.spawn(['true']));

// A tracer whose status is one of three numbers, and nothing wider, is one.
type NarrowSpan = {
  setAttribute(name: string, value: string | number | boolean): NarrowSpan;
  setStatus(status: { code: 0 | 1 | 2; message?: string }): NarrowSpan;
  spanContext(): { traceId: string; spanId: string; traceFlags: number };
  end(endTime?: number): void;
};
type NarrowStatus = (status: { code: 0 | 1 | 2; message?: string }) => NarrowSpan;
declare const narrow: {
  getTracer(name: string, version?: string): { startSpan(name: string): NarrowSpan };
};
declare const setStatus: NarrowStatus;
createRuntime({ source, tracerProvider: narrow });
createRuntime({
  source,
  tracerProvider: {
    getTracer: () => ({
      startSpan: () => ({
        setAttribute() {},
        setStatus,
        end() {},
        spanContext: () => ({ traceId: '', spanId: '', traceFlags: 0 }),
      }),
    }),
  },
});

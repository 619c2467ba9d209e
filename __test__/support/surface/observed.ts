// A fake runtime for a collector: the test sets its tenants and emits its events.
import type {
  ExitReason,
  RuntimeMetricEvent,
  RuntimeMetrics,
  RuntimeOptions,
  RuntimeTransitionEvent,
  TenantState,
  TenantStatus,
} from '@absolutejs/runtime';
import type { ObservedRuntime, RuntimeCollector } from '@absolutejs/runtime/prometheus';

export const noExits: Record<ExitReason, number> = {
  ...{
    crashed: 0,
    'exited-clean': 0,
    'idle-killed': 0,
    'lru-evicted': 0,
    killed: 0,
    'readiness-timeout': 0,
  },
  ...{ disposed: 0, restarted: 0, checkpointed: 0, replaced: 0, moved: 0, fenced: 0 },
};

export const noTenants: Record<TenantState, number> = {
  ...{ queued: 0, spawning: 0, ready: 0, asleep: 0, stopping: 0, stuck: 0 },
  ...{ 'backing-off': 0, failed: 0, stopped: 0, checkpointed: 0 },
};

const source = { kind: 'directory', root: 'tenants' } as const;

export class Observed implements ObservedRuntime {
  readonly tenants = new Map<string, TenantStatus>();
  readonly totals: RuntimeMetrics = {
    ...{ running: 0, total: 0, draining: false, backoff: 0 },
    totalSpawns: 0,
    totalExits: noExits,
    totalBackoffEntries: 0,
    lastSpawnMs: 0,
    uptimeMs: 1_500,
    checkpoints: { checkpoints: 0, restores: 0, restoreFailures: 0, lastRestoreMs: 0 },
    sleep: { asleep: 0, sleeps: 0, wakes: 0, lastWakeMs: 0 },
  };
  /** The options that the runtime was created with. */
  options: RuntimeOptions = { source };
  looks = 0;

  readonly metrics = (): RuntimeMetrics => this.totals;
  readonly inspect = (key: string): TenantStatus | null => this.tenants.get(key) ?? null;
  readonly list = (): TenantStatus[] => {
    this.looks += 1;
    return [...this.tenants.values()];
  };

  /** Adds a tenant, or changes one. */
  set(key: string, status: Partial<TenantStatus>): void {
    this.tenants.set(key, { ...this.#fresh(key), ...this.tenants.get(key), ...status });
  }

  #fresh(key: string): TenantStatus {
    const nothing = {
      pid: null,
      port: null,
      startedAt: null,
      lastTouchedAt: null,
      cpuMs: null,
      rssBytes: null,
      isolation: null,
    };
    return {
      key,
      state: 'ready',
      attempt: 0,
      retryAt: null,
      lastError: null,
      starts: 0,
      crashes: 0,
      lastExit: null,
      limits: {},
      ...nothing,
    };
  }

  transition(event: RuntimeTransitionEvent): void {
    this.options.onTransition?.(event);
  }

  spawn(key: string, pid: number): void {
    this.transition({ type: 'spawn', key, pid, port: 1 });
  }

  exit(key: string, pid: number): void {
    this.transition({ type: 'exit', key, pid, exitCode: 0, reason: 'exited-clean' });
  }

  observe(key: string, pid: number, cpuMs: number, rssBytes: number): void {
    this.metric({ type: 'observation', key, pid, cpuMs, rssBytes, at: Date.now() });
  }

  metric(event: RuntimeMetricEvent): void {
    this.options.onMetrics?.(event);
  }
}

/** Attaches a fake runtime, in place of one of `createRuntime`. */
export function attachTo(
  collector: RuntimeCollector,
  options: Partial<RuntimeOptions> = {},
  labels?: Record<string, string>,
): Observed {
  const observed = new Observed();
  const create = (given: RuntimeOptions) => Object.assign(observed, { options: given });
  return collector.attach(create, { source, ...options }, labels);
}

// The same pool in plain TypeScript: one Map, timers and Bun.spawn. The benchmarks compare the
// runtime with it, so it implements the documented behaviour in the ordinary way, neither slowed
// nor tuned.
import { join } from 'node:path';
import type {
  ExitReason,
  Runtime,
  RuntimeLogEvent,
  RuntimeOptions,
  RuntimeProcess,
  RuntimeTransitionEvent,
  Tenant,
} from '@absolutejs/runtime';
import { Failures } from './failures.ts';
import { readTreeStats } from './proc.ts';
import { freePort, spawnCommand } from './process.ts';
import { answersHttp } from './readiness.ts';

const STOP_TIMEOUT_MS = 5_000;
const ROOM_POLL_MS = 100;

interface Entry {
  key: string;
  process: RuntimeProcess;
  state: 'spawning' | 'running' | 'stopping';
  tenant: Tenant;
  cpuMs: number;
  exitReason?: ExitReason;
  /** Resolves once the process has ended and its `exit` has been emitted. */
  gone: Promise<number | null>;
}

export function createRuntime(
  options: RuntimeOptions,
): Omit<
  Runtime,
  'adopt' | 'detach' | 'inspect' | 'list' | 'metrics' | 'recovered' | 'replace' | 'warm'
> {
  const idleAfterMs = options.idleAfterMs ?? 300_000;
  const maxConcurrent = options.maxConcurrent ?? 100;
  const sweepIntervalMs = options.sweepIntervalMs ?? 10_000;
  const observeIntervalMs = options.observeIntervalMs ?? 30_000;
  const command = options.command ?? ['bun', 'run', 'start'];
  const readiness = options.readiness ?? answersHttp;

  const entries = new Map<string, Entry>();
  const starting = new Map<string, Promise<Tenant>>();
  const restarting = new Map<string, Promise<Tenant>>();
  const failures = new Failures(options.backoff);
  /** Processes that were asked for and are not in `entries` yet. */
  let beingSpawned = 0;
  let draining = false;
  let disposing: Promise<void> | undefined;

  const emit = (event: RuntimeTransitionEvent) => guarded(options.onTransition, event);
  const idleSweep = setInterval(stopIdleTenants, sweepIntervalMs);
  idleSweep.unref();
  const observing = Boolean(options.onMetrics) && observeIntervalMs > 0;
  const observer = observing ? setInterval(observeAll, observeIntervalMs) : undefined;
  observer?.unref();

  async function ensure(key: string): Promise<Tenant> {
    const entry = entries.get(key);
    if (entry?.state === 'running') {
      entry.tenant.lastTouchedAt = Date.now();
      return entry.tenant;
    }
    const running = starting.get(key);
    if (running) return running;
    refuseNewSpawns('ensure');
    const refusal = failures.refusal(key);
    if (refusal?.backoff) emit({ type: 'backoff', key, ...refusal.backoff });
    if (refusal) throw refusal.error;
    return start(key);
  }

  /** One start per key at a time, however many callers wait for it. */
  function start(key: string): Promise<Tenant> {
    const running = starting.get(key);
    if (running) return running;
    const started = startWhenPossible(key).finally(() => starting.delete(key));
    starting.set(key, started);
    return started;
  }

  async function startWhenPossible(key: string): Promise<Tenant> {
    await entries.get(key)?.gone;
    while (entries.size + beingSpawned >= maxConcurrent) await makeRoom();
    refuseNewSpawns('ensure');
    try {
      const tenant = await spawnAndWait(key);
      failures.forget(key);
      return tenant;
    } catch (error) {
      if (!(error instanceof StoppedError)) failures.note(key, error);
      throw error;
    }
  }

  async function makeRoom(): Promise<void> {
    const all = [...entries.values()];
    const [victim] = all
      .filter(({ state }) => state === 'running')
      .sort((a, b) => a.tenant.lastTouchedAt - b.tenant.lastTouchedAt);
    if (victim) {
      emit({
        type: 'lru-evict',
        key: victim.key,
        pid: victim.process.pid,
        reason: 'max-concurrent',
      });
      await stop(victim, 'lru-evicted');
    } else {
      // Everything is being started or stopped: look again when something has changed.
      await Promise.race([...all.map(({ gone }) => gone), Bun.sleep(ROOM_POLL_MS)]);
    }
  }

  async function spawnAndWait(key: string): Promise<Tenant> {
    const entry = await spawnEntry(key);
    if (disposing) await stop(entry, 'disposed');
    const { port, startedAt } = entry.tenant;
    const exitedEarly = entry.gone.then((code) => {
      if (entry.state === 'stopping') throw new StoppedError(`Tenant "${key}" was stopped`);
      const how = code === null ? 'no exit code' : `code ${code}`;
      throw new Error(`Runtime process for "${key}" exited with ${how} before it was ready`);
    });
    try {
      const ready = await Promise.race([readiness({ key, port, startedAt }), exitedEarly]);
      if (!ready) throw new Error('Tenant readiness timed out after 30s');
      if (entry.state === 'stopping') await exitedEarly;
    } catch (error) {
      if (entries.get(key) === entry) await stop(entry, 'readiness-timeout');
      throw error;
    }
    return markReady(entry);
  }

  async function spawnEntry(key: string): Promise<Entry> {
    const requestedPort = freePort();
    beingSpawned += 1;
    try {
      const process = await spawnProcess(key, requestedPort);
      const { pid, port = requestedPort, resourceId } = process;
      const startedAt = Date.now();
      const tenant: Tenant = {
        key,
        port,
        pid,
        startedAt,
        lastTouchedAt: startedAt,
        ...resource(resourceId),
      };
      emit({ type: 'spawn', key, pid, port, ...resource(resourceId) });
      const entry: Entry = {
        key,
        process,
        state: 'spawning',
        tenant,
        cpuMs: 0,
        gone: process.exited,
      };
      entry.gone = process.exited.then((exitCode) => noteExit(entry, exitCode));
      entries.set(key, entry);
      return entry;
    } finally {
      beingSpawned -= 1;
    }
  }

  async function spawnProcess(key: string, port: number): Promise<RuntimeProcess> {
    const cwd = join(options.source.root, key);
    const env = { ...tenantEnvironment(), NODE_ENV: 'production', PORT: String(port) };
    const onLogLine = (event: RuntimeLogEvent) => guarded(options.onLog, event);
    if (options.spawn) return options.spawn({ cwd, env, onLogLine, key });
    return spawnCommand({ command, cwd, env, onLogLine, key });
  }

  function noteExit(entry: Entry, exitCode: number | null): number | null {
    const { key, pid, resourceId } = entry.tenant;
    entry.exitReason ??= exitCode === 0 ? 'exited-clean' : 'crashed';
    entries.delete(key);
    emit({ type: 'exit', key, pid, exitCode, reason: entry.exitReason, ...resource(resourceId) });
    return exitCode;
  }

  function markReady(entry: Entry): Tenant {
    const { key, pid, port, startedAt, resourceId } = entry.tenant;
    const facts = { key, pid, port, durationMs: Date.now() - startedAt, ...resource(resourceId) };
    entry.state = 'running';
    entry.tenant.lastTouchedAt = Date.now();
    guarded(options.onMetrics, { type: 'spawn', ...facts });
    emit({ type: 'ready', ...facts });
    return entry.tenant;
  }

  async function stop(entry: Entry, reason: ExitReason): Promise<void> {
    if (entry.state !== 'stopping') {
      entry.state = 'stopping';
      entry.exitReason ??= reason;
      if (observing) await observe(entry);
      await entry.process.kill();
    }
    const force = setTimeout(() => void entry.process.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await entry.gone;
    clearTimeout(force);
  }

  function stopIdleTenants(): void {
    if (idleAfterMs <= 0) return;
    const now = Date.now();
    for (const entry of entries.values()) {
      const idleMs = now - entry.tenant.lastTouchedAt;
      if (entry.state !== 'running' || idleMs < idleAfterMs) continue;
      emit({
        type: 'idle-kill',
        key: entry.key,
        pid: entry.process.pid,
        reason: 'idle-threshold',
        idleMs,
      });
      stop(entry, 'idle-killed').catch(() => {});
    }
  }

  async function observeAll(): Promise<void> {
    for (const entry of entries.values()) await observe(entry);
  }

  async function observe(entry: Entry): Promise<void> {
    const { key, pid } = entry.tenant;
    const stats = await readTreeStats(pid);
    if (!stats || entries.get(key) !== entry) return;
    const { rssBytes } = stats;
    const cpuMs = (entry.cpuMs = Math.max(entry.cpuMs, stats.cpuMs));
    guarded(options.onMetrics, { type: 'observation', key, pid, cpuMs, rssBytes, at: Date.now() });
  }

  function refuseNewSpawns(method: string): void {
    if (disposing) throw new Error('runtime has been disposed');
    if (draining) throw new Error(`runtime is draining; ${method}() refused`);
  }

  async function kill(key: string): Promise<void> {
    const entry = entries.get(key);
    if (entry) await stop(entry, 'killed');
  }

  async function restart(key: string): Promise<Tenant> {
    refuseNewSpawns('ensure');
    const running = restarting.get(key);
    if (running) return running;
    const restarted = stopAndStart(key).finally(() => restarting.delete(key));
    restarting.set(key, restarted);
    return restarted;
  }

  async function stopAndStart(key: string): Promise<Tenant> {
    const entry = entries.get(key);
    if (entry) await stop(entry, 'restarted');
    return start(key);
  }

  function dispose(): Promise<void> {
    disposing ??= stopEverything();
    return disposing;
  }

  async function stopEverything(): Promise<void> {
    clearInterval(idleSweep);
    clearInterval(observer);
    await Promise.all([...entries.values()].map((entry) => stop(entry, 'disposed')));
    await Promise.allSettled(starting.values());
  }

  return {
    ensure,
    touch: (key) => {
      const entry = entries.get(key);
      if (entry) entry.tenant.lastTouchedAt = Date.now();
    },
    stats: () => {
      const running = [...entries.values()].filter(({ state }) => state !== 'spawning').length;
      return { running, total: entries.size, draining, backoff: failures.refusedKeys() };
    },
    kill,
    restart,
    clearBackoff: (key) => failures.forget(key),
    drain: () => {
      if (!draining) emit({ type: 'drain', reason: 'drain-requested' });
      draining = true;
    },
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

/** A start that the pool itself stopped, which is no failure of the tenant. */
class StoppedError extends Error {}

function resource(resourceId: string | undefined): { resourceId?: string } {
  return resourceId === undefined ? {} : { resourceId };
}

function tenantEnvironment(): Record<string, string> {
  const names = ['PATH', 'HOME', 'LANG', 'TZ', 'TMPDIR', 'USER', 'SHELL'];
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])),
  );
}

function guarded<Event>(callback: ((event: Event) => void) | undefined, event: Event): void {
  try {
    callback?.(event);
  } catch {
    // A callback that throws must not break the pool.
  }
}

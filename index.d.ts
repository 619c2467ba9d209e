/// <reference lib="esnext.disposable" />

/**
 * Wakes one process per tenant on request, keeps it while it is used, and stops it, with everything
 * it started, when it is not.
 *
 * Durations are milliseconds; times (`at`, `startedAt`, `lastTouchedAt`) are milliseconds since the
 * epoch, as `Date.now()` gives them.
 *
 * @packageDocumentation
 */

/**
 * Creates a pool of tenant processes. Returns at once and starts no process: the first `ensure` does.
 *
 * @throws {TypeError} (`ERR_RUNTIME_INVALID_OPTION`) on bad options, naming the option by its path:
 * `backoff.baseMs must be …, got …`, `idleAfterMS is not an option; did you mean idleAfterMs?`.
 *
 * @example
 * ```ts
 * import { createRuntime } from '@absolutejs/runtime';
 *
 * await using runtime = createRuntime({
 *   source: { kind: 'directory', root: './tenants' },
 *   onLog: ({ key, line }) => console.log(`[${key}] ${line}`),
 * });
 *
 * const tenant = await runtime.ensure('acme'); // starts ./tenants/acme, or finds it running
 * const host = tenant.host ? `[${tenant.host}]` : '127.0.0.1';
 * console.log(`it answers at http://${host}:${tenant.port}/`);
 * ```
 */
export function createRuntime(options: RuntimeOptions): Runtime;

/**
 * What a process and everything below it use: the same accounting as in observations, for any pid. Linux only.
 *
 * @returns `null` if there is no such process
 * @throws {RuntimeError} `ERR_RUNTIME_UNSUPPORTED` on other systems
 *
 * @example
 * ```ts
 * const stats = await readProcessTreeStats(process.pid);
 * if (stats !== null) console.log(`${stats.processes} processes, ${stats.rssBytes >> 20} MiB`);
 * ```
 */
export function readProcessTreeStats(pid: number): Promise<ProcessTreeStats | null>;

/** What a process tree uses. */
export type ProcessTreeStats = {
  /** CPU time since their start, in milliseconds, children that already ended included. */
  cpuMs: number;
  /** Resident memory now. */
  rssBytes: number;
  /** How many processes there are, the one asked for included. */
  processes: number;
};

/** Where tenants come from. */
export type TenantSource = {
  /** Every tenant is a directory. */
  kind: 'directory';
  /**
   * A tenant's working directory is `root/key`. A relative path is taken from the host's own working directory. One root is
   * for one runtime: a second one, in this process or another, starts the same tenants again, and says so when it starts its
   * first (`process.emitWarning` with the code `ABS_RUNTIME_SHARED_ROOT` and the other's pid).
   */
  root: string;
};

/** A tenant that became ready. */
export type Tenant = {
  /** The key it was asked for with. */
  key: string;
  /**
   * The port that it listens on: at 127.0.0.1, unless `host` says otherwise. 0 for one that was adopted without a port.
   */
  port: number;
  /** Present only when it does not listen at 127.0.0.1 but at `::1`. */
  host?: '::1';
  /** The process that was started. A start script's server may be a child of it. */
  pid: number;
  /** When its process was started. */
  startedAt: number;
  /**
   * When it was last active. Live: `touch` and `ensure` move it on the object that you already hold.
   * After a restart there is a new object, and the old one no longer moves.
   */
  lastTouchedAt: number;
  /** What the `RuntimeProcess` of your own `spawn` gave (a container's id, say). Absent when it gave none. */
  resourceId?: string;
};

/**
 * Why a process ended. The first cause wins.
 *
 * - `crashed`: by itself, with a code other than 0 or by a signal
 * - `exited-clean`: by itself, with code 0
 * - `idle-killed`: stopped after `idleAfterMs` without activity
 * - `lru-evicted`: stopped to make room for another tenant
 * - `killed`: stopped by `kill`
 * - `readiness-timeout`: stopped because it did not become ready
 * - `disposed`: stopped by `dispose`
 * - `restarted`: stopped by `restart`
 * - `checkpointed`: stopped after `idleAfterMs` without activity, and saved by `checkpoint.driver`
 */
export type ExitReason =
  | 'crashed'
  | 'exited-clean'
  | 'idle-killed'
  | 'lru-evicted'
  | 'killed'
  | 'readiness-timeout'
  | 'disposed'
  | 'restarted'
  | 'checkpointed';

/** One line of a tenant's output. */
export type RuntimeLogEvent = {
  /** The tenant's key. */
  key: string;
  /** The process that was started for it; what its children print counts as its output. */
  pid: number;
  /** The stream that it was written to. */
  stream: 'stdout' | 'stderr';
  /** The line without its ending. Bytes that are not UTF-8 are U+FFFD. */
  line: string;
  /** When it was read. */
  at: number;
};

/**
 * A measurement. Told apart by `type`. `key`, `pid`, `port` and `resourceId` are those of the tenant
 * that it is about, as in `Tenant`.
 */
export type RuntimeMetricEvent =
  | {
      /** A tenant became ready. */
      type: 'spawn';
      key: string;
      pid: number;
      port: number;
      /** From the start of the process until it was ready. */
      durationMs: number;
      resourceId?: string;
    }
  | {
      /**
       * What a tenant uses, every `observeIntervalMs` and once more before its `exit`: what it has used in all or, of a
       * process of your own `spawn` or `adopt`, what it had right before your `kill` was called, or when last seen.
       */
      type: 'observation';
      key: string;
      pid: number;
      /**
       * CPU time since its start, over the whole process tree, children that already ended included.
       * It never goes down.
       */
      cpuMs: number;
      /** Resident memory of the whole process tree now, in bytes. */
      rssBytes: number;
      /** When it was taken. */
      at: number;
    };

/**
 * A step in a tenant's life, or the pool's. Told apart by `type`. `key`, `pid`, `port` and
 * `resourceId` are those of the tenant that it is about, as in `Tenant`.
 *
 * One order holds for everything that reaches the callbacks: per key `spawn`, `ready`, …, `exit`;
 * the `exit` of one process before the `spawn` of the next; all of a process's log lines, and a last
 * observation, before its `exit`. An event that settles a promise comes before it settles. Lines
 * that `onLog` has no time for at once are overtaken by everything else, and tenants take turns with
 * theirs.
 *
 * @example
 * ```ts
 * const onTransition = (event: RuntimeTransitionEvent) => {
 *   if (event.type === 'exit' && event.reason === 'crashed') alert(event.key, event.exitCode);
 * };
 * ```
 */
export type RuntimeTransitionEvent =
  | {
      /** A process was started. Exactly one `exit` follows, sooner or later. */
      type: 'spawn';
      key: string;
      pid: number;
      port: number;
      resourceId?: string;
    }
  | {
      /** It answered, and `ensure` resolves. */
      type: 'ready';
      key: string;
      pid: number;
      port: number;
      /** From the start of the process until it was ready. */
      durationMs: number;
      resourceId?: string;
    }
  | {
      /** `adopt` took a running process over. There was no `spawn` of it; exactly one `exit` follows. */
      type: 'adopt';
      key: string;
      pid: number;
      port: number;
      resourceId?: string;
    }
  | {
      /** It was brought back from its snapshot, and `ensure` resolves. In place of `spawn` and `ready`. */
      type: 'restored';
      key: string;
      pid: number;
      port: number;
      /** From the decision to restore it until it answered. */
      durationMs: number;
    }
  | {
      /** It is being stopped for want of activity, and is not saved: what `checkpoint` has saved is not told so. */
      type: 'idle-kill';
      key: string;
      pid: number;
      reason: 'idle-threshold';
      /** How long it had been idle. */
      idleMs: number;
    }
  | {
      /** It is being stopped, as the least recently active one, to make room for another. */
      type: 'lru-evict';
      key: string;
      pid: number;
      reason: 'max-concurrent';
    }
  | {
      /** It and everything it started is gone. Nothing about this pid follows. */
      type: 'exit';
      key: string;
      pid: number;
      /** `null` when a signal ended it: for a Bun `Subprocess`, too, whose `exited` gives 128 and the signal's number. */
      exitCode: number | null;
      /**
       * The signal that ended its first process, by name (`"SIGSEGV"`), if neither we nor your `kill` sent it. Absent
       * otherwise. A start script's server is a child of it: `bun run` ends itself by the signal that ended the server,
       * while `sh` and `npm` exit with 128 and the signal's number, which is `exitCode` then. Out of memory looks like any
       * other SIGKILL.
       */
      signal?: string;
      reason: ExitReason;
      resourceId?: string;
    }
  | {
      /** `ensure` was refused because of earlier failures. */
      type: 'backoff';
      key: string;
      /** Failures in a row so far. */
      attempt: number;
      retryAfterMs: number;
    }
  | {
      /** `drain` was called. Once, however often it is called. */
      type: 'drain';
      reason: 'drain-requested';
    };

/** The event `spawn` of `onTransition`. */
export type RuntimeSpawnEvent = Extract<RuntimeTransitionEvent, { type: 'spawn' }>;
/** The event `ready`. */
export type RuntimeReadyEvent = Extract<RuntimeTransitionEvent, { type: 'ready' }>;
/** The event `adopt`. */
export type RuntimeAdoptEvent = Extract<RuntimeTransitionEvent, { type: 'adopt' }>;
/** The event `restored`. */
export type RuntimeRestoredEvent = Extract<RuntimeTransitionEvent, { type: 'restored' }>;
/** The event `idle-kill`. */
export type RuntimeIdleKillEvent = Extract<RuntimeTransitionEvent, { type: 'idle-kill' }>;
/** The event `lru-evict`. */
export type RuntimeLruEvictEvent = Extract<RuntimeTransitionEvent, { type: 'lru-evict' }>;
/** The event `exit`. */
export type RuntimeExitEvent = Extract<RuntimeTransitionEvent, { type: 'exit' }>;
/** The event `backoff`. */
export type RuntimeBackoffEvent = Extract<RuntimeTransitionEvent, { type: 'backoff' }>;
/** The event `drain`. */
export type RuntimeDrainEvent = Extract<RuntimeTransitionEvent, { type: 'drain' }>;
/** The event `spawn` of `onMetrics`. */
export type RuntimeSpawnMetricEvent = Extract<RuntimeMetricEvent, { type: 'spawn' }>;
/** The event `observation` of `onMetrics`. */
export type RuntimeObservationEvent = Extract<RuntimeMetricEvent, { type: 'observation' }>;

/**
 * Says whether a started process is ready. Called once per start: a retry loop is its own. Resolving
 * `false`, rejecting and throwing all mean that it is not, and the process is stopped; anything else, nothing included,
 * that it is.
 *
 * @example
 * ```ts
 * process.env.no_proxy = '127.0.0.1'; // or Bun's fetch asks the proxy of the environment
 *
 * const readiness: ReadinessCheck = async ({ port }) => {
 *   const response = await fetch(`http://127.0.0.1:${port}/health`);
 *   return response.ok;
 * };
 * ```
 */
export type ReadinessCheck = (args: {
  /** The tenant's key. */
  key: string;
  /** The port that it should listen on. */
  port: number;
  /** When the process was started. */
  startedAt: number;
}) => Promise<boolean>;

/**
 * A process, container or anything else that your own `spawn` started. What `Bun.spawn` returns is one.
 */
export type RuntimeProcess = {
  /** What the tenant and its events carry, and whose process tree is observed. */
  pid: number;
  /** Resolves with the exit code, `null` when there is none, once it has ended. */
  exited: Promise<number | null>;
  /**
   * Asks it to stop. Called without an argument at first, and with `"SIGKILL"` when it is still there
   * `stopTimeoutMs` later. While its promise is pending the stop is not given up, for a minute at most. One that rejects or
   * throws keeps the tenant tracked, and it can be killed again. Also called, once and without waiting for it, for a process
   * that ended by itself before it was ready: there may be something to clear up.
   */
  kill: (signal?: 'SIGTERM' | 'SIGKILL') => void | Promise<void>;
  /** The port that it really listens on, an integer in 1…65535. By default the one in `env.PORT`. */
  port?: number;
  /**
   * Carried through the tenant and its events. With it the process stands for something elsewhere (a container), and whose
   * the socket is that listens on `port` is not looked at.
   */
  resourceId?: string;
};

/**
 * Starts a tenant in your own way. Rejecting and throwing are failed starts, and the error reaches
 * the caller of `ensure` as the same object.
 *
 * @example
 * ```ts
 * const spawn: SpawnFn = async ({ cwd, env }) => Bun.spawn(['bun', 'server.ts'], { cwd, env });
 * ```
 */
export type SpawnFn = (args: {
  /** The tenant's directory. */
  cwd: string;
  /** What the tenant's environment should be: `PORT`, `NODE_ENV`, and what the `env` option says. */
  env: Record<string, string>;
  /** Passes a line of output to `onLog`. */
  onLogLine: (event: RuntimeLogEvent) => void;
  /** The tenant's key. */
  key: string;
}) => Promise<RuntimeProcess>;

/**
 * How long a tenant that does not start is left alone. After `n` failures in a row:
 * `min(maxMs, baseMs · 2^(n-1))`.
 */
export type SpawnBackoff = {
  /** The wait after the first failure. Default 1 000. */
  baseMs?: number;
  /** The longest wait. Default 60 000. */
  maxMs?: number;
  /** After this many failures in a row `ensure` is refused until `clearBackoff`. Default 10. */
  maxFailures?: number;
  /**
   * A crash sooner than this after becoming ready counts as a failed start, and failures are forgotten only by a process that
   * has been ready for as long. So what answers once and dies is not started again and again. Default 0.
   */
  minUptimeMs?: number;
};

/** What `createRuntime` takes. Only `source` is required. */
export type RuntimeOptions = {
  /** Where tenants come from. */
  source: TenantSource;
  /** A tenant is stopped this long after its last activity. 0 or less: never. Default 300 000. */
  idleAfterMs?: number;
  /**
   * Tenants alive at once, those being started included. A further one waits until the least recently
   * active one has been stopped. That one is not stopped before it has been ready for as long as its start took, 1 ms at
   * least and 1 s at most: so keys that take turns in too little room are used, and not only started. Default 100.
   */
  maxConcurrent?: number;
  /** The upper bound on how late an idle tenant is noticed. Never keeps the host process alive. Default 10 000. */
  sweepIntervalMs?: number;
  /**
   * Time between observations, which `inspect` and `list` tell, and `onMetrics` if there is one; 0 or less: none. On Linux.
   * Default 30 000.
   */
  observeIntervalMs?: number;
  /**
   * The program and its arguments, run in the tenant's directory, with the user, the umask, the limits and the priority that
   * the host has at that moment. Not used with `spawn`. Default `["bun", "run", "start"]`: the directory must then have a
   * `package.json` of its own with a `start` script, or the start fails with `ERR_RUNTIME_SPAWN`.
   */
  command?: readonly string[];
  /** Starts tenants in your own way. By default `command` is run with `PORT` and `NODE_ENV=production` set. */
  spawn?: SpawnFn;
  /**
   * Says when a started process is ready. By default a GET of `http://127.0.0.1:PORT/`, or of `http://[::1]:PORT/` when
   * it does not listen at 127.0.0.1, gets any HTTP/1 answer, within `readinessTimeoutMs` of the start. The request is made
   * once, and once more whenever its connection breaks. Whatever is asked, a tenant is only ready when it is the process
   * that listens on its port: if another does, the start fails with `ERR_RUNTIME_PORT_TAKEN`.
   */
  readiness?: ReadinessCheck;
  /** How long the default readiness waits, from the start. Default 30 000. */
  readinessTimeoutMs?: number;
  /** How long a tenant that does not start is left alone. */
  backoff?: SpawnBackoff;
  /**
   * How long a tenant has between SIGTERM and SIGKILL, which its whole tree gets. 0: SIGKILL at once. SIGTERM goes to the
   * main process and, when it is gone, to whoever is left: to each process once, and not to one that has had it from
   * a parent that passes its own on, as `bun run` does.
   * Default 5 000. `onLog` has as long, and 200 ms more, for the output that is left; see there.
   */
  stopTimeoutMs?: number;
  /**
   * Processes being started at once, from spawn to ready; further ones queue, first come first served, so that a
   * storm of cold starts does not make every tenant wait for the slowest. A start that takes longer than a second no longer
   * counts: it waits for something other than a core. 0: no gate. Default: 2 for each core; no gate with a `spawn` of your
   * own.
   */
  spawnConcurrency?: number;
  /**
   * What tenants get besides `PORT` and `NODE_ENV`: a record, a function of the tenant's key, or
   * `"inherit"` for the host's whole environment. What is undefined in it is left out. By default a short list of harmless
   * variables of the host's (PATH, HOME, LANG, LC_*, TZ, TMPDIR, USER, SHELL, and what Bun needs) and nothing else
   * of it. The host's variables are those of the moment in which the tenant is asked for; a function is called when the
   * tenant is started, which may be later. This decides what is handed down, and hides nothing: a tenant that runs as the host's user can read the
   * host's environment in `/proc`.
   *
   * @example
   * ```ts
   * env: (key) => ({ PATH: process.env.PATH ?? '', DATABASE_URL: databaseUrlOf(key) })
   * ```
   */
  env?:
    | 'inherit'
    | Readonly<Record<string, string | undefined>>
    | ((key: string) => Readonly<Record<string, string | undefined>>);
  /**
   * What counts as activity. `"untouched"`, the default: `touch` and `ensure`. `"connections"`: these, and as long as it
   * is open, any TCP connection to the tenant's port, as the kernel lists them; so a WebSocket or a long download keeps
   * the tenant although nobody calls `touch`, and so does an HTTP connection that its client keeps alive; one that the tenant
   * has to itself does not. Room for another tenant is made by one without a connection, as long as there is one.
   * Connections are looked at every `sweepIntervalMs`, and once more before a tenant is stopped; one that comes and goes in
   * between is not seen. Not for tenants in another network namespace.
   */
  idle?: 'untouched' | 'connections';
  /**
   * Has the last word before an idle tenant is stopped. Only `true` stops it; anything else, a throw or a rejection
   * keeps it, and it is asked again `sweepIntervalMs` later. Never called twice at once for a key; as long as it has not
   * answered, the tenant stays. A tenant that was touched meanwhile stays, too.
   *
   * @example
   * ```ts
   * shouldIdleKill: async ({ key, idleMs }) => idleMs > 3_600_000 || !(await hasOpenJobs(key))
   * ```
   */
  shouldIdleKill?: ShouldIdleKill;
  /**
   * Saves idle tenants before they are stopped, and brings them back when they are wanted again. Only a stop for idleness
   * saves; `restart` starts afresh. A tenant is brought back with the port that it had; of a snapshot that an earlier host
   * took it is found out from the process, unless `readiness` is your own: that is asked about the port on offer. A snapshot
   * is dropped once it has been restored.
   */
  checkpoint?: RuntimeCheckpointOptions;
  /**
   * An OpenTelemetry tracer provider, or anything of its shape. Each process gets a span `runtime.spawn` from its start to
   * its exit, with the attributes `abs.runtime.key`, `.pid`, `.port`, `.readiness_ms`, `.exit_reason` and `.exit_code`;
   * its status is OK, or ERROR for a process that crashed, did not become ready, or was killed. The tenant finds the W3C
   * `traceparent` of the span in its environment, as `TRACEPARENT` and as `traceparent`.
   */
  tracerProvider?: TracerProvider;
  /**
   * Every line of every tenant's output. What it throws breaks nothing. Only where `stopTimeoutMs` has passed, and 200 ms
   * more in which `onLog` was called, is anything dropped: then the last line of that process, on `stderr`, is
   * `[… 1234 lines dropped …]`, and its `exit` follows.
   */
  onLog?: (event: RuntimeLogEvent) => void;
  /** Measurements. What it throws breaks nothing. */
  onMetrics?: (event: RuntimeMetricEvent) => void;
  /** Every step in a tenant's life. What it throws breaks nothing. */
  onTransition?: (event: RuntimeTransitionEvent) => void;
};

/** Says whether an idle tenant may be stopped: the option of this name. */
export type ShouldIdleKill = (args: {
  /** How long it has been idle. */
  idleMs: number;
  /** The tenant's key. */
  key: string;
  /** The tenant. */
  tenant: Tenant;
}) => boolean | Promise<boolean>;

/** The option `checkpoint`. */
export type RuntimeCheckpointOptions = {
  /** Takes and restores snapshots; see `execCheckpointDriver` for one that runs commands. */
  driver: CheckpointDriver;
  /**
   * How long a snapshot may take to be restored and to answer, and to be taken. After it the tenant is started cold, or
   * just stopped; a process that comes back later is killed. As long as the driver is still at work on a key, nothing is
   * started for it: after the same time once more `ensure` rejects with `ERR_RUNTIME_SPAWN`. 0: no limit. Default 30 000.
   */
  restoreTimeoutMs?: number;
};

/** The pool in four fields. */
export type RuntimeStats = {
  /** Tenants that became ready and whose exit is not yet confirmed. */
  running: number;
  /** `running` and those being started. */
  total: number;
  /** Whether `drain` was called. */
  draining: boolean;
  /** Keys that `ensure` would refuse right now for earlier failures. */
  backoff: number;
};

/** Counters since the runtime was created, which outlive `dispose`, and the figures of `stats`. */
export type RuntimeMetrics = RuntimeStats & {
  /** Processes started, the ones that did not become ready included; not those adopted or restored. */
  totalSpawns: number;
  /** Processes that ended, by reason. Every reason is there. */
  totalExits: Record<ExitReason, number>;
  /** How often a key began to back off: each failed start does. */
  totalBackoffEntries: number;
  /** How long the last process that became ready took; 0 before the first. */
  lastSpawnMs: number;
  /** Since the runtime was created; stands still once it is disposed. */
  uptimeMs: number;
  /** What came of `checkpoint`. */
  checkpoints: CheckpointMetrics;
};

/** What came of the option `checkpoint`. All zero without it. */
export type CheckpointMetrics = {
  /** Tenants saved and stopped. */
  checkpoints: number;
  /** Tenants brought back. */
  restores: number;
  /** Snapshots that could not be brought back: the tenants were started cold. */
  restoreFailures: number;
  /** How long the last restore took; 0 before the first. */
  lastRestoreMs: number;
};

/**
 * What is being done about a key.
 *
 * - `queued`: waits for room, or until enough others are ready
 * - `spawning`: its process is being started, or has not answered yet
 * - `ready`: in use
 * - `stopping`: its process is being stopped
 * - `stuck`: its process did not become ready and cannot be stopped; `kill` and `ensure` try again
 * - `backing-off`: no process; `ensure` is refused until `retryAt`
 * - `failed`: no process; `ensure` is refused until `clearBackoff`
 * - `stopped`: no process; `ensure` starts it
 * - `checkpointed`: no process, but a snapshot
 */
export type TenantState =
  | 'queued'
  | 'spawning'
  | 'ready'
  | 'stopping'
  | 'stuck'
  | 'backing-off'
  | 'failed'
  | 'stopped'
  | 'checkpointed';

/** One key at one moment. `null` is what there is not, or is not known yet. */
export type TenantStatus = {
  key: string;
  /** What is being done about it. */
  state: TenantState;
  pid: number | null;
  port: number | null;
  /** Where it listens, if not at 127.0.0.1: as in `Tenant`. */
  host?: '::1';
  startedAt: number | null;
  lastTouchedAt: number | null;
  /** Failed starts in a row. */
  attempt: number;
  /** From when on `ensure` is no longer refused for them. */
  retryAt: number | null;
  /** What the last of them said, with the last lines of its output. */
  lastError: string | null;
  /** Processes started so far; not those adopted or restored. */
  starts: number;
  /** How many of its processes have crashed. */
  crashes: number;
  /**
   * How its last process ended. Of the latest 100,000 keys, and 32 MiB of last lines, this is remembered when there is no
   * process any more.
   */
  lastExit: TenantExit | null;
  /** CPU time of its process tree so far: when it became ready, and every `observeIntervalMs`. */
  cpuMs: number | null;
  /** Resident memory of its process tree, likewise. */
  rssBytes: number | null;
  resourceId?: string;
};

/** How a process ended. */
export type TenantExit = {
  /** As in the event `exit`. */
  exitCode: number | null;
  /** As in the event `exit`; `null` for none. */
  signal: string | null;
  reason: ExitReason;
  /** When. */
  at: number;
  /** The last lines of its output, 20 at most and 4 KiB in all, oldest first. */
  lines: string[];
};

/** What a call that waits may be given. */
export type CallOptions = {
  /**
   * Stops waiting: the call rejects with `ERR_RUNTIME_ABORTED`, whose `cause` is the signal's reason. What was being
   * started goes on if others wait for it, and is stopped if nobody does: its exit says `killed`, and it does not count as
   * a failure.
   */
  signal?: AbortSignal;
};

/** What is known of a process that `adopt` takes over. */
export type AdoptOptions = {
  /**
   * Where it listens. Without one, here or of the process itself, it is routed by other means: the tenant's port is 0, and
   * is asked neither for an answer nor for connections.
   */
  port?: number;
  /** For one that listens at `::1` alone, as its `Tenant` and `TenantStatus` said. By default 127.0.0.1. */
  host?: '::1';
  /**
   * When it was started. By default now. A process that is given by its pid alone and was started later than this (by
   * more than ten seconds) is refused: the pid belongs to another one by now.
   */
  startedAt?: number;
  /** When it was last active. By default now. */
  lastTouchedAt?: number;
};

/** What is used of OpenTelemetry's `TracerProvider`. */
export type TracerProvider = {
  getTracer: (
    name: string,
    version?: string,
  ) => {
    startSpan: (
      name: string,
      options?: { attributes?: Record<string, string | number> },
    ) => {
      setAttribute: (name: string, value: string | number) => unknown;
      setStatus: (status: { code: 0 | 1 | 2; message?: string }) => unknown;
      end: () => void;
      spanContext: () => { traceId: string; spanId: string; traceFlags: number };
    };
  };
};

/** A pool. A plain object: its methods need no `this` and can be destructured. */
export type Runtime = {
  /**
   * Finds a tenant running, or starts it, and resolves once it is ready. However many callers ask,
   * one process is started; a running one is kept from being idle. While the tenant is being stopped
   * it waits for that, then starts a new one.
   *
   * @throws {RuntimeExitedBeforeReadyError} when the process ended before it was ready
   * @throws {RuntimeError} with `code`
   * `ERR_RUNTIME_BACKOFF` (with `retryAfterMs` and `attempt`), `ERR_RUNTIME_MAX_FAILURES`,
   * `ERR_RUNTIME_DRAINING`, `ERR_RUNTIME_DISPOSED` and `ERR_RUNTIME_INVALID_KEY` at once, without
   * starting anything, and so `ERR_RUNTIME_OVERLOADED` when 100,000 keys wait already;
   * `ERR_RUNTIME_SPAWN`, `ERR_RUNTIME_READINESS_TIMEOUT`, `ERR_RUNTIME_PORT_TAKEN` or `ERR_RUNTIME_NO_PORT` when it did
   * not start; `ERR_RUNTIME_UNSUPPORTED` when nothing can be started on this host; `ERR_RUNTIME_INVALID_OPTION` when its
   * options are none, and `ERR_RUNTIME_ABORTED` when its `signal` was.
   * @throws what your own `spawn` or `readiness` threw
   *
   * @example
   * ```ts
   * try {
   *   return await forward(request, await runtime.ensure('acme')); // `forward` is in README.md
   * } catch (error) {
   *   const { code, retryAfterMs = 0 } = error as RuntimeError;
   *   if (code !== 'ERR_RUNTIME_BACKOFF') throw error;
   *   const seconds = Math.ceil(retryAfterMs / 1000);
   *   return new Response('try again soon', { status: 503, headers: { 'retry-after': `${seconds}` } });
   * }
   * ```
   */
  ensure: (key: string, options?: CallOptions) => Promise<Tenant>;
  /**
   * Notes that a tenant is active. An unknown key, or one that is none: nothing happens.
   *
   * @example
   * ```ts
   * const busy = setInterval(() => runtime.touch('acme'), 60_000); // while a download runs, say
   * ```
   */
  touch: (key: string) => void;
  /** The pool in numbers, now. */
  stats: () => RuntimeStats;
  /** Counters since the runtime was created, and `stats`. Can still be read after `dispose`. */
  metrics: () => RuntimeMetrics;
  /**
   * What is known of one key, also when it has no process any more; `null` if it was never started, or is forgotten: see
   * `lastExit`.
   *
   * @example
   * ```ts
   * const { state, lastError } = runtime.inspect('acme') ?? { state: 'stopped', lastError: null };
   * ```
   */
  inspect: (key: string) => TenantStatus | null;
  /** What is known of every key, in the order of the keys; those that have ended are `stopped`. */
  list: () => TenantStatus[];
  /**
   * Stops a tenant, whether it is running or being started. Resolves when its whole process tree is
   * gone and its `exit` event has been delivered; for an unknown key, or one that is none, at once. Rejects when
   * a `RuntimeProcess` of yours refuses to be killed: it stays tracked and can be killed again.
   *
   * @throws what its `kill` threw, or a {@link RuntimeError} with `code` `ERR_RUNTIME_STOP_TIMEOUT` when it did not end
   *
   * @example
   * ```ts
   * await runtime.kill('acme'); // no process of it is left
   * ```
   */
  kill: (key: string) => Promise<void>;
  /**
   * Stops a tenant and starts it afresh, back-off or not; one that is not running is started.
   * Concurrent calls share one new start. While draining it is refused before anything is killed. When its `signal` is
   * aborted meanwhile, the old process is stopped all the same.
   *
   * @throws what `ensure` throws
   *
   * @example
   * ```ts
   * const { port } = await runtime.restart('acme'); // a new release was deployed
   * ```
   */
  restart: (key: string, options?: CallOptions) => Promise<Tenant>;
  /**
   * Takes over a process that is already running, as the key's tenant: one that survived a restart of its host, say. It
   * takes part in everything from then on. With a full pool it waits for room first. A process that is given as
   * `{ pid }` alone is watched and signalled through a pidfd, together with its process group if it leads one (never the
   * one that the host is in). Its exit code is known if it is a child of the host; otherwise it is `null`, and an end of its
   * own counts as `crashed`. It is nothing that we have started: when the host ends without `dispose`, it runs on.
   *
   * @throws {RuntimeError} with `code` `ERR_RUNTIME_DRAINING`, `ERR_RUNTIME_DISPOSED`, `ERR_RUNTIME_INVALID_KEY`,
   * `ERR_RUNTIME_ALREADY_REGISTERED` when the key has a process or is about to, `ERR_RUNTIME_INVALID_OPTION` for a port
   * or a time that is none, `ERR_RUNTIME_SPAWN` for a process that is gone or cannot be a tenant,
   * `ERR_RUNTIME_EXITED_EARLY` (a {@link RuntimeExitedBeforeReadyError}) when `kill` called it off while it waited for
   * room. The process is left alone then.
   *
   * @example
   * ```ts
   * for (const { key, pid, port, host, startedAt } of tenantsOfTheLastHost) {
   *   await runtime.adopt(key, { pid }, { port, host, startedAt }).catch(() => runtime.ensure(key));
   * }
   * ```
   */
  adopt: (
    key: string,
    process: RuntimeProcess | { pid: number; resourceId?: string },
    options?: AdoptOptions,
  ) => Promise<Tenant>;
  /** Forgets a tenant's failures, so that the next `ensure` starts it. An unknown key: nothing happens. */
  clearBackoff: (key: string) => void;
  /**
   * Refuses new starts from now on. What runs or is being started goes on, and so do idle stops. Calls made before are
   * answered as they would have been: who waits for room gets it.
   *
   * @example
   * ```ts
   * process.once('SIGTERM', async () => {
   *   runtime.drain();
   *   await requestsInFlight();
   *   await runtime.dispose();
   * });
   * ```
   */
  drain: () => void;
  /**
   * Stops every tenant and the pool. Idempotent; concurrent calls share one; pending `ensure` calls
   * reject.
   *
   * @throws {AggregateError} when processes of your own `spawn` refuse to be killed: they stay
   * tracked, and it can be called again
   *
   * @example
   * ```ts
   * await runtime.dispose(); // nothing of it is left, and nothing keeps the process alive
   * ```
   */
  dispose: () => Promise<void>;
  /** Is `dispose`: `await using runtime = createRuntime(…)`. */
  [Symbol.asyncDispose]: () => Promise<void>;
};

/** The `code` of every error that the runtime itself makes. Stable: messages may be reworded, these are not. */
export type RuntimeErrorCode =
  /** Bad options: a wrong value, or an option that does not exist. */
  | 'ERR_RUNTIME_INVALID_OPTION'
  /** Not a key: empty, absolute, leaving `root`, or the like. */
  | 'ERR_RUNTIME_INVALID_KEY'
  /** After `dispose`. */
  | 'ERR_RUNTIME_DISPOSED'
  /** After `drain`. */
  | 'ERR_RUNTIME_DRAINING'
  /** Its `signal` was aborted; the error's `cause` says why. */
  | 'ERR_RUNTIME_ABORTED'
  /** A hundred thousand keys wait to be started; no more are let in. */
  | 'ERR_RUNTIME_OVERLOADED'
  /** `adopt` of a key that has a process, or is about to. */
  | 'ERR_RUNTIME_ALREADY_REGISTERED'
  /** Too soon after a failure. The error has `retryAfterMs` and `attempt`. */
  | 'ERR_RUNTIME_BACKOFF'
  /** Failed `maxFailures` times in a row. */
  | 'ERR_RUNTIME_MAX_FAILURES'
  /** The process could not be started. */
  | 'ERR_RUNTIME_SPAWN'
  /** It did not become ready in time. The message says what was found instead of an answer. */
  | 'ERR_RUNTIME_READINESS_TIMEOUT'
  /**
   * Another process listens on its port; the message names it. Nothing was sent there, and the next start gets another port.
   * Not a failure of the key for the first three times in a row.
   */
  | 'ERR_RUNTIME_PORT_TAKEN'
  /** No TCP port is free. Never a failure of the key. */
  | 'ERR_RUNTIME_NO_PORT'
  /** It ended before it was ready, or its start or adoption was called off before that, by `kill` for example. */
  | 'ERR_RUNTIME_EXITED_EARLY'
  /** A `RuntimeProcess` of yours did not exit after `kill("SIGKILL")`; it stays tracked. */
  | 'ERR_RUNTIME_STOP_TIMEOUT'
  /**
   * A process that was given by its pid may not be signalled; or `dispose` could not stop every tenant: its `errors` say
   * why, and it can be called again.
   */
  | 'ERR_RUNTIME_STOP_REFUSED'
  /** A command of `execCheckpointDriver` failed, or what it left or said is of no use. */
  | 'ERR_RUNTIME_CHECKPOINT'
  /**
   * This machine is none that the package runs on; its addon, or a part of it that is loaded later, is missing; or `/proc` is
   * not there, is another pid namespace's, or hides processes.
   */
  | 'ERR_RUNTIME_UNSUPPORTED'
  /** The egress guard refused a request: an `EgressDeniedError`. */
  | 'ERR_RUNTIME_EGRESS_DENIED'
  /** A request that the egress guard let through failed, as `fetch` fails: a `TypeError`, with its `cause`. */
  | 'ERR_RUNTIME_EGRESS_FAILED';

/**
 * The shape of every error that the runtime itself makes. A type, not a class: use it to read `code`
 * in a `catch`. Errors of your own `spawn`, `readiness` and `kill` reach you as they are.
 */
export type RuntimeError = Error & {
  code: RuntimeErrorCode;
  /** The key that it is about. Absent when it is about none: bad options, say, or `dispose`. */
  key?: string;
  /** With `ERR_RUNTIME_BACKOFF`: how long until `ensure` tries again. */
  retryAfterMs?: number;
  /** With `ERR_RUNTIME_BACKOFF`: failures in a row so far. */
  attempt?: number;
  /** With `ERR_RUNTIME_MAX_FAILURES`: how many failures in a row are too many. */
  maxFailures?: number;
};

/**
 * Whether an error is one that the runtime itself has made, and of that code if one is given. It holds for every copy of the
 * package, bundled or not, and for every realm, where `instanceof` does not.
 *
 * @example
 * ```ts
 * try {
 *   return await runtime.ensure('acme');
 * } catch (error) {
 *   if (isRuntimeError(error, 'ERR_RUNTIME_BACKOFF')) return retryIn(error.retryAfterMs);
 *   throw error;
 * }
 * ```
 */
export function isRuntimeError<Code extends RuntimeErrorCode = RuntimeErrorCode>(
  error: unknown,
  code?: Code,
): error is RuntimeError & { code: Code };

/**
 * A process ended before it was ready. The message says how, and ends with the last lines of its
 * output, which usually say why. Also for whoever waited for a start that was stopped, by `kill` for
 * example, before there was a process: then the message says so.
 */
export class RuntimeExitedBeforeReadyError extends Error {
  /** For tests of your own. */
  constructor(key: string, exitCode: number | null);
  override readonly name: 'RuntimeExitedBeforeReadyError';
  readonly code: 'ERR_RUNTIME_EXITED_EARLY';
  /** The tenant's key. */
  readonly key: string;
  /** `null` when a signal ended it, and when there was no process. */
  readonly exitCode: number | null;
  /** The signal that ended it, by name, as in the event `exit`. Absent otherwise. */
  readonly signal?: string;
}

/**
 * Creates a guard that hands out a `fetch` for each tenant. With it, code that acts for a tenant reaches the public
 * Internet and nothing else: no private, loopback, link-local, carrier-NAT, multicast, reserved or cloud-metadata
 * address, however it is written, and whatever name it hides behind.
 *
 * Every request, and every redirect that it follows, is treated like this:
 *
 * 1. Its URL is checked: only `http:` and `https:`, no user name or password, no port of another protocol (mail and
 *    the like, as in the Fetch standard), a host that the lists admit.
 * 2. Its host is looked up, and every address is checked. One that is denied denies the request.
 * 3. One of the checked addresses is dialled as it is: the name is not resolved again. TLS and the `Host` header are
 *    those of the name. The certificate must be valid, whatever `NODE_TLS_REJECT_UNAUTHORIZED` says.
 *
 * An IPv6 address that leads to an IPv4 address (mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP) is as good
 * as that IPv4 address. Connections are never used twice. Proxies named in the environment are not used.
 *
 * It bounds code that uses the given `fetch`. It is no sandbox: a process that opens sockets of its own is not held.
 *
 * Keeps nothing per tenant or request when there is no `budget`.
 *
 * @throws {TypeError} (`ERR_RUNTIME_INVALID_OPTION`) on bad options, naming the option by its path.
 *
 * @example
 * ```ts
 * import { createEgressGuard, EgressDeniedError } from '@absolutejs/runtime';
 *
 * const guard = createEgressGuard({ budget: { maxRequests: 600, maxBytes: 100_000_000 } });
 * const fetch = guard.fetchFor('acme');
 *
 * try {
 *   const response = await fetch('http://169.254.169.254/latest/meta-data/');
 * } catch (error) {
 *   if (!(error instanceof EgressDeniedError)) throw error;
 *   console.log(error.reason, error.address); // address 169.254.169.254
 * }
 * ```
 */
export function createEgressGuard(options?: EgressGuardOptions): EgressGuard;

/** How much of the network tenants may reach. Without options: all that is public, as much as they like. */
export type EgressGuardOptions = {
  /**
   * Addresses and ranges of addresses (`'10.1.2.3'`, `'10.1.2.0/24'`, `'fd00::/8'`) that may be reached although they
   * are not public. Default: none.
   *
   * It holds for addresses, not for names: there is no way to admit whatever a name resolves to, since whoever
   * controls the name could let it resolve to anything. An address of a cloud metadata service is only admitted by an
   * entry for that one address, not by a range around it.
   *
   * Or a function, which decides instead of the lists and of what is public: it is asked about every URL, those of
   * redirects included, and must answer at once. A name that it admits may resolve to anything but a cloud metadata
   * service.
   */
  allow?: readonly string[] | ((tenant: string, url: URL) => boolean);
  /**
   * What may not be reached, whatever the other lists say: host names (`'example.com'`), all names below one
   * (`'*.example.com'`), addresses, and ranges of addresses, which also deny the names that resolve to them.
   * Default: none.
   */
  deny?: readonly string[];
  /**
   * The only hosts that a URL may name, written as in `deny`. It admits nothing that is otherwise denied.
   * Default: any host.
   */
  only?: readonly string[];
  /** What each tenant may use. Default: no bounds, and nothing is counted. */
  budget?: EgressBudget;
  /**
   * Resolves a host name (lower case, ASCII, no trailing dot) to all of its addresses. Their order is that in which
   * they are tried, up to eight of them. Default: the system's, `lookup` of `node:dns/promises`.
   */
  lookup?: (
    hostname: string,
  ) =>
    | readonly (string | { readonly address: string })[]
    | Promise<readonly (string | { readonly address: string })[]>;
  /** Is told of every refusal, also of a body that was cut off. What it throws is ignored. */
  onDenied?: (error: EgressDeniedError) => void;
  /** `budget`, by the names that the TypeScript package of this name has for it. */
  budgets?: EgressBudgets;
  /** Is told of every refusal, in the words of the TypeScript package. What it throws is ignored. */
  onDeny?: (info: EgressDenyInfo) => void;
  /**
   * Carries requests out in place of the guard's own connections: for tests. It is called with what the caller gave, once
   * the URL and all addresses of its host have passed, and again for each redirect. The guard cannot say what it connects
   * to: it looks the name up again. So names that are private by convention (`localhost`, `*.internal`) are refused, and
   * one that the system cannot look up is left to it. Of the bytes, those of the bodies that it answers with count.
   */
  fetchImpl?: FetchLike;
  /** The clock that budgets go by, in milliseconds: for tests. Default: one that never goes back. */
  now?: () => number;
  /** Gets a span `runtime.egress_fetch` for each request, with `abs.tenant`, `abs.egress.host`, `.allowed`, `.deny_reason`. */
  tracerProvider?: TracerProvider;
};

/** A function like the global `fetch`. */
export type FetchLike = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

/** `EgressBudget` by the names of the TypeScript package. */
export type EgressBudgets = {
  /** `maxRequests` of `EgressBudget`. */
  requests?: number;
  /** `maxBytes` of `EgressBudget`. */
  bytes?: number;
  /** As in `EgressBudget`. */
  windowMs?: number;
};

/** Why a request was refused, in the words of the TypeScript package. */
export type EgressDenyReason = 'not-allowed' | 'requests-budget' | 'bytes-budget';

/** What `onDeny` is told, and what an `EgressDeniedError` can be made of. */
export type EgressDenyInfo = {
  /** The tenant's key. */
  tenant: string;
  /** The URL that was refused. */
  url: URL;
  reason: EgressDenyReason;
};

/** What a guard has done since it was created. */
export type EgressGuardMetrics = {
  /** Tenants of which something is in the window; 0 without a budget. */
  tenants: number;
  /** Requests that were let through, redirects included. */
  requests: number;
  /** Requests that were refused, and bodies that were cut off. */
  denied: Record<EgressDenyReason, number>;
  /** Bytes received. */
  bytesEgress: number;
};

/**
 * What one tenant may use within any `windowMs`. Uses are counted in steps of a tenth of the window: they leave it at
 * most one step late, never early.
 */
export type EgressBudget = {
  /** 60 000. */
  windowMs?: number;
  /**
   * Requests, each redirect that is followed included. Those that are refused for their URL alone do not count, those
   * that are refused for what their host resolves to do. Default: `Infinity`.
   */
  maxRequests?: number;
  /**
   * Bytes sent and received: heads and bodies as they are on the wire, so compressed bodies count as compressed.
   * What TLS and chunking add does not count. Default: `Infinity`.
   *
   * The length of a body to be sent, if it is known, is reserved before anything is sent. Otherwise bytes count as they
   * flow, and a body that goes beyond the budget is cut off: its stream fails with an `EgressDeniedError`.
   */
  maxBytes?: number;
};

/** A plain object. Its methods need no `this` and can be destructured. */
export type EgressGuard = {
  /**
   * The global `fetch` for a tenant, within bounds. `input` and `init` are read once, before it returns.
   *
   * As the global one: `method`, `headers`, `body` of every kind, `redirect`, `signal`; the answer is a `Response` with
   * a streamed, decoded body (gzip, deflate, br), `url` and `redirected`. Different from it: `redirect: 'manual'` gives
   * the answer as it is; an `Authorization`, `Cookie` or `Proxy-Authorization` header is not sent on to another
   * origin; `integrity` is refused; what else `init` may say (`proxy`, `unix`, `tls`, `dispatcher`, …) has no effect.
   * Of a connection on which nothing has moved for five minutes the body fails.
   *
   * @param key a tenant's key, as for `ensure`
   * @throws {EgressDeniedError} when it is refused
   * @throws {TypeError} (`ERR_RUNTIME_EGRESS_FAILED`) when it fails as any request may: no such host, no connection, a
   * certificate that does not fit, more than 20 redirects
   * @throws {TypeError} (`ERR_RUNTIME_INVALID_KEY`) when `key` is none
   * @throws the reason of `signal` once that is aborted, at any stage
   *
   * @example
   * ```ts
   * const response = await guard.fetch('acme', 'https://example.com/');
   * ```
   */
  fetch: (key: string, input: string | URL | Request, init?: RequestInit) => Promise<Response>;
  /**
   * A `fetch` that is bound to a tenant, to be handed to code that takes one.
   *
   * @throws {TypeError} (`ERR_RUNTIME_INVALID_KEY`) when `key` is none
   *
   * @example
   * ```ts
   * const client = new ApiClient({ fetch: guard.fetchFor('acme') });
   * ```
   */
  fetchFor: (key: string) => FetchLike;
  /** What a tenant has used within the window. Zeros when there is no `budget`. */
  usage: (key: string) => { requests: number; bytes: number };
  /** Forgets what a tenant has used, or without a key what all have: their budget is whole again. */
  reset: (key?: string) => void;
  /** Counters of the whole guard. */
  metrics: () => EgressGuardMetrics;
};

/**
 * Why a request was refused.
 *
 * - `scheme`: neither `http:` nor `https:`
 * - `credentials`: a user name or password in the URL
 * - `port`: a port of another protocol
 * - `host`: a name that the lists do not admit, or that of a cloud metadata service
 * - `address`: an address that is not public, given as such or behind a name
 * - `requests-budget`, `bytes-budget`: too much within the window
 * - `not-allowed`: in place of the first five, from a guard that was told something in the words of the TypeScript package
 *   (`budgets`, `onDeny`, `fetchImpl`, `now`, a function `allow`) and nothing in its own (`budget`, `onDenied`, `deny`,
 *   `only`, a list `allow`)
 */
export type EgressDenialReason =
  'scheme' | 'credentials' | 'port' | 'host' | 'address' | 'requests-budget' | 'bytes-budget' | 'not-allowed';

/** The egress guard refused a request, or cut its body off. */
export class EgressDeniedError extends Error {
  /** For tests of your own. */
  constructor(info: EgressDenyInfo);
  override readonly name: 'EgressDeniedError';
  readonly code: 'ERR_RUNTIME_EGRESS_DENIED';
  /** The tenant's key. */
  readonly key: string;
  /** The same as `key`. */
  readonly tenant: string;
  /** The URL that was refused, without user name and password: that of the redirect, if one led there. */
  readonly url: string;
  readonly reason: EgressDenialReason;
  /** With reason `address`: the address that is denied. */
  readonly address?: string;
  /** With a budget: how long until there is room. Absent when the request is larger than the whole budget. */
  readonly retryAfterMs?: number;
}

/**
 * Saves a tenant's process with all its memory, and makes a process of it again later. One image is kept for a key;
 * a rejected promise is an operation that failed. `execCheckpointDriver` makes one out of two commands.
 */
export type CheckpointDriver = {
  /**
   * Saves the process tree of `pid` as the image of `key`, in place of an older one. `false`: it could not be done,
   * nothing was saved, and an older image is as it was. The process is ended afterwards, if it has not ended.
   */
  checkpoint: (args: { key: string; pid: number }) => Promise<boolean>;
  /**
   * Makes a process of the image of `key`, which is kept. `null`: there is no image, or it could not be done. Only a
   * process that was started by this very call is taken: the pid of any other belongs to somebody else.
   */
  restore: (args: { key: string }) => Promise<{ pid: number } | null>;
  /** Removes the image of `key`, if there is one. */
  drop: (key: string) => Promise<void>;
  /** Whether there is an image of `key`. */
  has: (key: string) => Promise<boolean>;
};

/**
 * What `execCheckpointDriver` takes.
 *
 * In every part of the two commands, the program's name included, `{key}` stands for the tenant's key, `{pid}` for the
 * process to be saved (in `restoreCommand`: the one that was saved) and `{dir}` for the absolute path of the image's
 * directory, the same when it is restored as when it was saved. What is filled in is not looked at again; other words
 * in braces stay as they are.
 *
 * There is no shell. If you run one, hand the key to its script as an argument, since keys may contain anything that a
 * shell acts upon: `['sh', '-c', 'save "$1"', 'sh', '{key}']`. A key may also begin with `-`.
 *
 * The commands have the host's user, environment and working directory, and no standard input.
 */
export type ExecCheckpointDriverOptions = {
  /**
   * Saves the process `{pid}` in the directory `{dir}`, which is there and empty. It has done so if it ends with 0.
   * What the process does after that is not in the image.
   */
  checkpointCommand: readonly string[];
  /**
   * Makes a process of what is in `{dir}` and prints, on a line of its own on its standard output,
   * `RESTORED_PID=<n>`: the last thing to do. It may end then, with 0, or stay for as long as the process lives; its
   * output is read, and thrown away, until nobody has it open.
   */
  restoreCommand: readonly string[];
  /**
   * Where the images are, a directory for each key. Made when it is needed, for the host's user alone: an image holds
   * all that its tenant had in memory. One host process at a time may use it. A relative path is taken from the host's
   * working directory when the driver is made.
   */
  imageDir: string;
  /**
   * A command that takes longer is killed with its process group, and the call rejects. `Infinity`: no limit. Default
   * 60 000.
   */
  timeoutMs?: number;
  /**
   * Told of every checkpoint, restore and drop that failed, before its promise settles: which command, how it ended,
   * and the last lines of its standard error. What it throws breaks nothing. By default a warning of the process.
   */
  onError?: (error: RuntimeError) => void;
};

/**
 * A `CheckpointDriver` that runs a command to save a process and another one to restore it.
 *
 * A command that ends with anything other than 0 is told to `onError`, and the call resolves with `false` or `null`.
 * Operations on one key wait for each other. An image that counts is whole, also after the host was killed or lost its
 * power, and it is never another key's.
 *
 * A host that is killed leaves a command that it was running behind; that command ends by itself, and what it saved does
 * not count. A `restoreCommand` that fails or takes too long after it made a process must end that process itself.
 *
 * @throws {TypeError} (`ERR_RUNTIME_INVALID_OPTION`) on bad options, naming the option. The driver's methods reject with
 * `ERR_RUNTIME_INVALID_KEY`, or with `ERR_RUNTIME_CHECKPOINT` when a command could not be started, took too long, or
 * named no pid, several, or one that cannot be a tenant's (less than 2, or the host's own).
 *
 * @example
 * ```ts
 * const driver = execCheckpointDriver({
 *   checkpointCommand: ['criu', 'dump', '--tree', '{pid}', '--images-dir', '{dir}', '--tcp-close'],
 *   // criu gives a process the pid that it had.
 *   restoreCommand: ['sh', '-c', 'criu restore -d -D "$1" --tcp-close && echo "RESTORED_PID=$2"', 'sh', '{dir}', '{pid}'],
 *   imageDir: '/var/lib/runtime/images',
 * });
 * ```
 */
export function execCheckpointDriver(options: ExecCheckpointDriverOptions): CheckpointDriver;

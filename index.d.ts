/// <reference lib="esnext.disposable" />

/**
 * Wakes one process per tenant on request, keeps it while it is used, and stops it, with
 * everything it started, when it is not.
 *
 * Durations are milliseconds; times (`at`, `startedAt`, `lastTouchedAt`) are milliseconds since
 * the epoch, as `Date.now()` gives them.
 *
 * @packageDocumentation
 */

/**
 * Creates a pool of tenant processes. Returns at once and starts no process: the first `ensure`
 * does.
 *
 * @throws {TypeError} (`ERR_RUNTIME_INVALID_OPTION`) on invalid options, naming the option by its
 * path: `backoff.baseMs must be …, got …`,
 * `idleAfterMS is not an option; did you mean idleAfterMs?`.
 * @throws {RuntimeError} `ERR_RUNTIME_UNSUPPORTED` where the package does not run, and where this
 * host cannot keep `limits` or `isolation`: the message says why, and what to change.
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
 * What a process and its descendants use, for any pid. Linux only. It is counted as in
 * observations of tenants without `limits.memoryBytes`, over the processes; see `rssBytes` there.
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
  /**
   * CPU time of all of them since their start, in milliseconds, including children that have
   * ended.
   */
  cpuMs: number;
  /** Resident memory now, in bytes: the sum over the processes, so what two share counts twice. */
  rssBytes: number;
  /** How many processes there are, the one asked for included. */
  processes: number;
};

/** Where tenants come from. */
export type TenantSource = {
  /** Every tenant is a directory. */
  kind: 'directory';
  /**
   * A tenant's working directory is `root/key`. A relative path is taken from the host's own
   * working directory. A root belongs to one runtime: a second runtime, in this process or
   * another, would start the same tenants again. When it starts its first tenant it warns of that
   * (`process.emitWarning`, with the code `ABS_RUNTIME_SHARED_ROOT` and the pid of the first
   * runtime's process).
   */
  root: string;
};

/** A tenant that became ready. */
export type Tenant = {
  /** The key it was asked for with. */
  key: string;
  /**
   * The port that it listens on: at 127.0.0.1, unless `host` says otherwise. 0 for one that was
   * adopted without a port.
   */
  port: number;
  /** Present only if the tenant listens at `::1` and not at 127.0.0.1. */
  host?: '::1';
  /** The process that was started. A start script's server may be a child of it. */
  pid: number;
  /** When its process was started. */
  startedAt: number;
  /**
   * When it was last active. `touch` and `ensure` update it on the object that you already hold.
   * After a restart there is a new object, and the old one is no longer updated.
   */
  lastTouchedAt: number;
  /**
   * `resourceId` of the `RuntimeProcess` that your own `spawn` returned (a container's id, say),
   * if it had one.
   */
  resourceId?: string;
};

/**
 * Why a process ended. The first cause wins.
 *
 * - `crashed`: by itself, with a code other than 0 or by a signal
 * - `exited-clean`: by itself, with code 0
 * - `idle-killed`: stopped after `idleAfterMs` without activity
 * - `lru-evicted`: stopped to make room: for another tenant, beyond `sleep.maxAsleep`, or of `memory`
 * - `killed`: stopped by `kill`
 * - `readiness-timeout`: stopped because it did not become ready
 * - `disposed`: stopped by `dispose`
 * - `restarted`: stopped by `restart`
 * - `checkpointed`: stopped after `idleAfterMs` without activity, and saved by `checkpoint.driver`
 * - `replaced`: stopped because the process that `replace` has started serves in its place
 * - `moved`: stopped because another host of the fleet serves its key, or this one has left the fleet
 * - `fenced`: killed because this host lost its lease in the fleet
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
  | 'checkpointed'
  | 'replaced'
  | 'moved'
  | 'fenced';

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
 * A measurement. Told apart by `type`. `key`, `pid`, `port` and `resourceId` are those of the
 * tenant that it is about, as in `Tenant`.
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
       * What a tenant uses, every `observeIntervalMs` and once more before its `exit`. The last
       * observation has all that the process used; for a process of your own `spawn` or `adopt`,
       * what it had used right before your `kill` was called, or when it was last seen.
       */
      type: 'observation';
      key: string;
      pid: number;
      /**
       * CPU time since its start, over the whole process tree, children that already ended
       * included. It never goes down.
       */
      cpuMs: number;
      /**
       * Resident memory of the whole process tree now, in bytes: the sum over its processes. Of a
       * tenant with `limits.memoryBytes` it is what its control group holds of the memory that
       * the limit counts: its own memory, the files that it has mapped, shared memory and files in
       * `tmpfs`. What two of its processes share counts once, and pages of files that another
       * process has loaded first, as those of the Bun program, count there. So it is smaller than
       * what `readProcessTreeStats` says of the same tree, often by tens of MiB.
       */
      rssBytes: number;
      /** When it was taken. */
      at: number;
    };

/**
 * A change of a tenant's state, or the pool's. Told apart by `type`. `key`, `pid`, `port` and
 * `resourceId` are those of the tenant that it is about, as in `Tenant`.
 *
 * One order holds for everything that reaches the callbacks: per key `spawn`, `ready`, …, `exit`;
 * the `exit` of one process before the `spawn` of the next, except with `replace`, where they
 * overlap; all of a process's log lines, and a last observation, before its `exit`. An event comes
 * before the promise that it settles. Lines that `onLog` cannot take at once wait, while all other
 * events are delivered; waiting lines are delivered from each tenant in turn.
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
      /** The process became ready, and `ensure` resolves. */
      type: 'ready';
      key: string;
      pid: number;
      port: number;
      /** From the start of the process until it was ready. */
      durationMs: number;
      resourceId?: string;
    }
  | {
      /**
       * `adopt` took over a running process, for which there is no `spawn`. Exactly one `exit`
       * follows.
       */
      type: 'adopt';
      key: string;
      pid: number;
      port: number;
      resourceId?: string;
    }
  | {
      /**
       * The tenant was restored from its snapshot, and `ensure` resolves. In place of `spawn` and
       * `ready`.
       */
      type: 'restored';
      key: string;
      pid: number;
      port: number;
      /** From the decision to restore it until it answered. */
      durationMs: number;
    }
  | {
      /**
       * With `sleep`: the tenant has fallen asleep; told once more when it then sleeps deeper. Its
       * `wake` follows, also before it is stopped, unless it ends in its sleep.
       */
      type: 'sleep';
      key: string;
      pid: number;
      depth: SleepDepth;
      /** Resident memory of its tree, in bytes, in its sleep. */
      rssBytes: number;
    }
  | {
      /** The tenant is awake again. `ensure` resolves, or it is about to be stopped. */
      type: 'wake';
      key: string;
      pid: number;
      /**
       * From the order to run until its tree ran, in milliseconds and thousandths of them. The wait for
       * room before that is not part of it, nor is what it takes to answer.
       */
      durationMs: number;
      /** How deep it had slept. */
      depth: SleepDepth;
      /**
       * It has run without being told to, more than three times within a minute, and could not be kept
       * asleep: something sends it SIGCONT, itself perhaps. It does not sleep for a minute. Where there is
       * no room for it, it is stopped after this event (`lru-evicted`). Absent of all other wakes.
       */
      byItself?: true;
    }
  | {
      /**
       * The tenant is being stopped for inactivity. Not for a tenant that `checkpoint` has saved.
       */
      type: 'idle-kill';
      key: string;
      pid: number;
      reason: 'idle-threshold';
      /** How long it had been idle. */
      idleMs: number;
    }
  | {
      /**
       * The tenant is being stopped to make room: for another, beyond `sleep.maxAsleep`, or of
       * `memory`. It is the least recently active one, unless `evict` says otherwise. Or it could not
       * be kept asleep, and there was no room for it: see `byItself` of `wake`.
       */
      type: 'lru-evict';
      key: string;
      pid: number;
      reason: 'max-concurrent';
    }
  | {
      /** The process and everything it started are gone. No event with this pid follows. */
      type: 'exit';
      key: string;
      pid: number;
      /**
       * `null` when a signal ended it: for a Bun `Subprocess`, too, whose `exited` gives 128 and
       * the signal's number.
       */
      exitCode: number | null;
      /**
       * The signal that ended its first process, by name (`"SIGSEGV"`), if neither the runtime nor
       * your `kill` sent it. Absent otherwise. A start script's server is a child of that process:
       * `bun run` ends itself by the signal that ended the server, while `sh` and `npm` exit with
       * 128 and the signal's number, which is `exitCode` then. The kernel's out-of-memory killer
       * sends SIGKILL, which cannot be told from another sender's, unless it is for the tenant's own
       * limit: see `limit`.
       */
      signal?: string;
      /**
       * `"memory"`: the tree needed more than `limits.memoryBytes`, and the kernel ended it. Absent
       * otherwise.
       */
      limit?: 'memory';
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
      /** `drain` was called. Told once, however often it is called. */
      type: 'drain';
      reason: 'drain-requested';
    }
  | {
      /**
       * With `survive`: a tenant that has outlived an earlier host belongs to this one now. The
       * first event with its pid, in place of `spawn` and `ready`. Exactly one `exit` follows: at
       * once, if it has ended meanwhile.
       */
      type: 'recover';
      key: string;
      pid: number;
      port: number;
      /** When its process was started. */
      startedAt: number;
      /** CPU time of its tree since its start. Observations go on from there. */
      cpuMs: number;
      /**
       * Lines of output that `onLog` does not get: those that were on their way to a host that was
       * killed, and those beyond the 256 KiB that are kept while there is no host. What is kept
       * follows, with the times at which it was written.
       */
      linesLost: number;
    }
  | {
      /** With `survive`: this host leaves its tenants to a later one. It has no `exit` of theirs. */
      type: 'detach';
      /**
       * `"asked"`: `detach` was called. `"take-over"`: another host of the name has asked.
       * `"fenced"`: this host did not answer another one for 30 seconds, as when it was stopped,
       * and its orders count no more.
       */
      reason: 'asked' | 'take-over' | 'fenced';
    };

/** The event `spawn` of `onTransition`. */
export type RuntimeSpawnEvent = Extract<RuntimeTransitionEvent, { type: 'spawn' }>;
/** The event `ready`. */
export type RuntimeReadyEvent = Extract<RuntimeTransitionEvent, { type: 'ready' }>;
/** The event `adopt`. */
export type RuntimeAdoptEvent = Extract<RuntimeTransitionEvent, { type: 'adopt' }>;
/** The event `restored`. */
export type RuntimeRestoredEvent = Extract<RuntimeTransitionEvent, { type: 'restored' }>;
/** The event `sleep`. */
export type RuntimeSleepEvent = Extract<RuntimeTransitionEvent, { type: 'sleep' }>;
/** The event `wake`. */
export type RuntimeWakeEvent = Extract<RuntimeTransitionEvent, { type: 'wake' }>;
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
/** The event `recover`. */
export type RuntimeRecoverEvent = Extract<RuntimeTransitionEvent, { type: 'recover' }>;
/** The event `detach`. */
export type RuntimeDetachEvent = Extract<RuntimeTransitionEvent, { type: 'detach' }>;
/** The event `spawn` of `onMetrics`. */
export type RuntimeSpawnMetricEvent = Extract<RuntimeMetricEvent, { type: 'spawn' }>;
/** The event `observation` of `onMetrics`. */
export type RuntimeObservationEvent = Extract<RuntimeMetricEvent, { type: 'observation' }>;

/**
 * Says whether a started process is ready. Called once per start; retries are up to it. Resolving
 * `false`, rejecting and throwing mean that the process is not ready, and it is stopped. Any other
 * value, `undefined` included, means that it is ready, whether or not anything listens on its
 * port. But if anything listens there, at 127.0.0.1 or `::1`, it must be a process of the tenant,
 * or the start fails with `ERR_RUNTIME_PORT_TAKEN`.
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
 * A process, container or anything else that your own `spawn` started. What `Bun.spawn` returns is
 * one.
 */
export type RuntimeProcess = {
  /** The pid that the tenant and its events carry; its process tree is observed. */
  pid: number;
  /** Resolves with the exit code, `null` when there is none, once it has ended. */
  exited: Promise<number | null>;
  /**
   * Asks the process to stop. Called without an argument at first, and with `"SIGKILL"` if it is
   * still there `stopTimeoutMs` later. While its promise is pending the stop is not given up, for
   * a minute at most. If it rejects or throws, the tenant stays tracked and can be killed again.
   * Also called, once and without waiting for it, for a process that ended by itself before it was
   * ready: there may be something to clean up.
   */
  kill: (signal?: 'SIGTERM' | 'SIGKILL') => void | Promise<void>;
  /**
   * The port that it really listens on, an integer in 1…65535. By default the one in `env.PORT`.
   */
  port?: number;
  /**
   * Copied to the tenant and its events. It says that the process stands for something elsewhere
   * (a container): the owner of the socket that listens on `port` is not checked then.
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
  /**
   * What the tenant's environment should be: `PORT`, `NODE_ENV`, and what the `env` option says.
   */
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
   * A crash sooner than this after becoming ready counts as a failed start, and only a process
   * that has been ready for this long resets the count of failures. So a tenant that answers once
   * and dies is not started again and again. Default 0.
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
   * Tenants alive at once, those being started included, and those asleep not. A further tenant waits until the least
   * recently active one has been evicted. None is evicted before it has been ready for as long as
   * its start took, 1 ms at least and 1 s at most: so tenants that take turns in too little room
   * are used, and not only started. Default 100.
   */
  maxConcurrent?: number;
  /**
   * The upper bound on how late an idle tenant is noticed. Never keeps the host process alive.
   * Default 10 000.
   */
  sweepIntervalMs?: number;
  /**
   * Time between observations, which `inspect` and `list` show and `onMetrics` is called with; 0
   * or less: none. Linux only. Default 30 000.
   */
  observeIntervalMs?: number;
  /**
   * The program and its arguments, run in the tenant's directory, with the user, the umask, the
   * limits and the priority that the host has at that moment. Not used with `spawn`. Default
   * `["bun", "run", "start"]`: the directory must then have a `package.json` of its own with a
   * `start` script, or the start fails with `ERR_RUNTIME_SPAWN`.
   */
  command?: readonly string[];
  /**
   * Starts tenants in your own way. By default `command` is run with `PORT` and
   * `NODE_ENV=production` set.
   */
  spawn?: SpawnFn;
  /**
   * Says when a started process is ready. By default a GET of `http://127.0.0.1:PORT/`, or of
   * `http://[::1]:PORT/` when it does not listen at 127.0.0.1, gets any HTTP/1 answer, within
   * `readinessTimeoutMs` of the start. The request is made once, and once more whenever its
   * connection breaks. With any check, the start fails with `ERR_RUNTIME_PORT_TAKEN` if another
   * process listens on the tenant's port. A check of your own may call a tenant ready while
   * nothing listens on its port; connections are then refused until something does.
   */
  readiness?: ReadinessCheck;
  /** How long the default readiness waits, from the start. Default 30 000. */
  readinessTimeoutMs?: number;
  /** How long a tenant that does not start is left alone. */
  backoff?: SpawnBackoff;
  /**
   * How long a tenant has between SIGTERM and SIGKILL, which its whole tree gets. 0: SIGKILL at
   * once. SIGTERM goes to the main process and, when that is gone, to the processes that are left:
   * to each once, and not to a process that has had it from a parent that forwards its own, as
   * `bun run` does. (A wrapper that forwards it late, and ends before its child, cannot be told
   * from one that does not forward it: if the child has kept its handler, it gets a second one.)
   * Default 5 000. `onLog` has as long, and 200 ms more, for the output that is left: see `onLog`.
   */
  stopTimeoutMs?: number;
  /**
   * Processes being started at once, from spawn to ready; further ones queue, first come first
   * served, so that a storm of cold starts does not make every tenant wait for the slowest. A
   * start that takes longer than a second no longer counts, as it must be waiting for something
   * other than a core. 0: no limit. Default: 2 for each core; no limit with a `spawn` of your own.
   */
  spawnConcurrency?: number;
  /**
   * What tenants get besides `PORT` and `NODE_ENV`: a record, a function of the tenant's key, or
   * `"inherit"` for the host's whole environment. Undefined values are left out. By default a
   * short list of harmless variables of the host's (PATH, HOME, LANG, LC_*, TZ, TMPDIR, USER,
   * SHELL, and what Bun needs) and nothing else of it. A record takes the place of that list, so it
   * needs a PATH on which the command is found. The host's variables are those of the moment
   * in which the tenant is asked for; a function is called when the tenant is started, which may be
   * later. This decides what is passed on, and hides nothing: a tenant that runs as the host's user
   * can read the host's environment in `/proc`.
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
   * What one tenant is like, where it is unlike the others. Called once for each start, by
   * `restart` and `replace`, too, right before it, and may take as long as `readinessTimeoutMs`; a
   * start that is called off meanwhile does not wait for it. What it leaves out is as in these
   * options. What it throws, or a wrong value, fails that start and reaches the callers of
   * `ensure`: its own error as the same object, or a `TypeError` with the code
   * `ERR_RUNTIME_INVALID_OPTION`. Not called where a snapshot is restored or a process adopted.
   *
   * @example
   * ```ts
   * tenant: async (key) => {
   *   const { plan } = await customers.find(key);
   *   return plan === 'free' ? {} : { readinessPath: '/health', readinessTimeoutMs: 60_000 };
   * }
   * ```
   */
  tenant?: (key: string) => TenantSettings | Promise<TenantSettings>;
  /**
   * What each tenant may use, with all that it starts: the same for all, or by key. A limit that
   * is left out is none. By default nothing is limited.
   *
   * A function is called once for each start. What it throws, a wrong value, or a limit that this
   * host cannot keep, fails that start and nothing else. Refused together with `spawn` and
   * `checkpoint`: limits are for processes that the runtime starts. An adopted process has none.
   *
   * @example
   * ```ts
   * limits: { memoryBytes: 256 << 20, cpus: 0.5, processes: 100 }
   * ```
   */
  limits?: TenantLimits | ((key: string) => TenantLimits);
  /**
   * What each tenant is kept from: `"none"`, the default; `"tenant"`, which is `{}`, walls with
   * their defaults; or walls of your own. The same for all, or by key, as with `limits`. Refused
   * together with `spawn` and `checkpoint`, but for `"none"`.
   *
   * @example
   * ```ts
   * isolation: { read: ['/srv/shared'], user: { first: 20_000, count: 10_000 } }
   * ```
   */
  isolation?: TenantIsolationSetting | ((key: string) => TenantIsolationSetting);
  /**
   * Lets tenants outlive this host, however it ends but by `dispose`, and be found again by the
   * next one of the same name. By default nothing outlives the host. Refused together with `spawn`
   * and `checkpoint`. See {@link Runtime.recovered} and {@link Runtime.detach}.
   *
   * @example
   * ```ts
   * survive: { name: 'apps', takeOver: true }
   * ```
   */
  survive?: RuntimeSurvival;
  /**
   * Freezes tenants that nobody uses, and hands their memory to swap or zram, until somebody does:
   * the next `ensure`, `touch` or request finds the same process at the same port, in
   * milliseconds. Off by default, as with `false`; `{}` is on, with the defaults. Refused together
   * with `spawn` and `checkpoint`; what `adopt` took over never sleeps, what an earlier host has left
   * with `survive` does. docs/density.md tells what sleeps well, and what does not.
   *
   * @example
   * ```ts
   * sleep: { afterMs: 60_000, outgoing: 'breathe' }
   * ```
   */
  sleep?: RuntimeSleep | false;
  /**
   * Who makes room when it is short. `"lru"`, the default: the least recently active tenant.
   * `"cost"`: the one that has held most memory for longest without activity, for each millisecond
   * that its own start took: so what is large and quickly back goes first. What its memory is, is
   * seen every `observeIntervalMs`.
   */
  evict?: 'lru' | 'cost';
  /**
   * Keeps memory of the machine free, whatever `maxConcurrent` says. When it is short, or the
   * kernel reports that programs wait for memory, tenants that are not in use leave it, one step
   * a second: with `sleep` their pages are handed to swap first, then more are
   * frozen, and only then one is stopped (`lru-evicted`). Off by default.
   *
   * @example
   * ```ts
   * memory: { keepFreeBytes: 512 << 20 }
   * ```
   */
  memory?: RuntimeMemory;
  /**
   * What counts as activity. `"untouched"`, the default: `touch` and `ensure`. `"connections"`:
   * these, and any TCP connection to the tenant's port for as long as it is open, as the kernel
   * lists them. So a WebSocket or a long download keeps the tenant without calls of `touch`, and
   * so does an HTTP connection that its client keeps alive; a connection of the tenant to itself
   * does not. Tenants without a connection are evicted first. Connections are looked at every
   * `sweepIntervalMs`, and once more before a tenant is stopped; a connection that opens and
   * closes in between is not seen. Not for tenants in another network namespace.
   */
  idle?: 'untouched' | 'connections';
  /**
   * Called before an idle tenant is stopped. Only `true` stops the tenant; any other value, a
   * throw or a rejection keeps it, and the function is called again `sweepIntervalMs` later. Never
   * called twice at once for a key. Until it has answered the tenant stays, and so does a tenant
   * that was touched meanwhile.
   *
   * @example
   * ```ts
   * shouldIdleKill: async ({ key, idleMs }) => idleMs > 3_600_000 || !(await hasOpenJobs(key))
   * ```
   */
  shouldIdleKill?: ShouldIdleKill;
  /**
   * Saves idle tenants before they are stopped, and restores them with the next `ensure`. Only a
   * stop for idleness saves; `restart` and `replace` start afresh. A restored tenant has the
   * port that it had.
   * If an earlier host took the snapshot, the port is found out from the restored process, unless
   * `readiness` is your own: that is called with a newly held port. A snapshot is dropped once it
   * has been restored.
   */
  checkpoint?: RuntimeCheckpointOptions;
  /**
   * An OpenTelemetry tracer provider, or anything of its shape. Each process gets a span
   * `runtime.spawn` from its start to its exit, with the attributes `abs.runtime.key`, `.pid`,
   * `.port`, `.readiness_ms`, `.exit_reason`, `.exit_code` and `.limit`; its status is OK, or ERROR for a
   * process that crashed, did not become ready, or was killed. The tenant finds the W3C
   * `traceparent` of the span in its environment, as `TRACEPARENT` and as `traceparent`.
   */
  tracerProvider?: TracerProvider;
  /**
   * Every line of every tenant's output. What it throws breaks nothing. Only where `stopTimeoutMs`
   * has passed, and 200 ms more in which `onLog` was called, is anything dropped: then the last
   * line of that process, on `stderr`, is `[… 1234 lines dropped …]`, and its `exit` follows.
   */
  onLog?: (event: RuntimeLogEvent) => void;
  /** Measurements. What it throws breaks nothing. */
  onMetrics?: (event: RuntimeMetricEvent) => void;
  /** Every change of a tenant's state. What it throws breaks nothing. */
  onTransition?: (event: RuntimeTransitionEvent) => void;
};

/** The option `survive`. */
export type RuntimeSurvival = {
  /**
   * What the hosts are found by that have these tenants one after the other: 1 to 64 letters,
   * digits, `.`, `_` and `-`, not beginning with `.`, and not `control`. A name has one host at a
   * time, is of one user of one machine, and stands for one `root`.
   */
  name: string;
  /**
   * How long tenants wait for the next host. Then they are asked to end, and killed after
   * `stopTimeoutMs`. `Infinity`: until there is one. Default 60 000.
   */
  forMs?: number;
  /**
   * `true`: if another host has the name, it is asked to `detach`, and this one waits for that: an
   * upgrade without a gap. A host that does not answer for 30 seconds is fenced. `false`, the
   * default: then nothing is started here, and calls reject with `ERR_RUNTIME_IN_USE`.
   */
  takeOver?: boolean;
};

/**
 * The option `sleep`. A tenant sleeps only while nothing needs it: not with an open request or
 * connection, not while it uses more than 1 % of a core by itself (over ten seconds; its start and
 * requests do not count), not while it listens on UDP. A connection that a gateway keeps for its
 * next request, and nothing is under way on, does not keep it awake.
 */
export type RuntimeSleep = {
  /** It falls asleep this long after its last activity: all of its tree is frozen. Default 30 000. */
  afterMs?: number;
  /**
   * So long after its last activity its memory is handed to swap or zram, where there is one; 0 or
   * less: never. Else at least `afterMs`, as only what sleeps is paged out. Default 60 000, or
   * `afterMs` if that is more.
   */
  pageOutAfterMs?: number;
  /**
   * Tenants that may be asleep at once: they take no place of `maxConcurrent`. With more of them
   * the least recently active one is stopped (`lru-evicted`). Default: ten times `maxConcurrent`.
   */
  maxAsleep?: number;
  /** It stays awake this long at least after its start, and after each waking. Default 5 000. */
  minAwakeMs?: number;
  /**
   * What becomes of a tenant with established connections to elsewhere, as to a database.
   * `"stay"`, the default: it stays awake. `"breathe"`: it sleeps, and is awake for 200 ms of each
   * minute, so that drivers answer and send their pings; no event tells of that. `"sleep"`: it
   * sleeps, and finds the connections as they then are, closed by the other side perhaps.
   */
  outgoing?: 'stay' | 'breathe' | 'sleep';
  /**
   * Called before a tenant falls asleep, after all else has allowed it. Only `true` lets it; any
   * other value, a throw or a rejection keeps it awake, and the function is called again
   * `sweepIntervalMs` later. Never called twice at once for a key.
   */
  shouldSleep?: ShouldSleep;
};

/** The option `memory`. */
export type RuntimeMemory = {
  /** So much of the machine's memory is to be available (`MemAvailable`), in bytes. */
  keepFreeBytes: number;
};

/** How deep a tenant sleeps: its memory is where it was, or was handed to swap or zram. */
export type SleepDepth = 'frozen' | 'paged-out';

/**
 * What the option `tenant` returns: options for one tenant, in place of the runtime's own. Each
 * replaces its option as a whole; fields that are left out, or undefined, are as for all tenants.
 */
export type TenantSettings = {
  /** As in {@link RuntimeOptions}. */
  idleAfterMs?: number;
  /** As in {@link RuntimeOptions}. */
  stopTimeoutMs?: number;
  /** As in {@link RuntimeOptions}. */
  readinessTimeoutMs?: number;
  /**
   * The path, and query, that the default readiness asks for. Any HTTP answer to it is ready.
   * Percent-encoded, and of 2,000 characters at most. Default `/`.
   */
  readinessPath?: string;
  /** As in {@link RuntimeOptions}. Refused together with `spawn`. */
  command?: readonly string[];
  /** As in {@link RuntimeOptions}. */
  env?: RuntimeOptions['env'];
  /** As in {@link RuntimeOptions}, without a function. Refused together with `spawn`. */
  limits?: TenantLimits;
  /** As in {@link RuntimeOptions}, without a function. Refused together with `spawn`. */
  isolation?: TenantIsolationSetting;
  /**
   * `true`: the tenant is kept up. It is never stopped for idleness, is evicted only when every
   * other tenant that could leave is kept up, too, and is started again when it has ended by
   * itself, after a wait that grows as that of failed starts. `kill` ends it until it is asked for
   * again. {@link Runtime.warm} starts it without a request. Default `false`.
   */
  warm?: boolean;
};

/**
 * What a tenant may use, with all that it starts. Values are positive; a limit that is left out is
 * none. 0 and `Infinity` are refused.
 */
export type TenantLimits = {
  /**
   * Memory of the whole tree, in bytes. When it needs more, all of it is killed at once: its `exit`
   * has `limit: "memory"`. What the kernel can take back, such as its cache of files, ends nobody.
   * By a control group, as are all that follow but for the last two before `enforce`.
   */
  memoryBytes?: number;
  /**
   * Swap on top of it, in bytes; only together with `memoryBytes`. 1 is as good as none. By default
   * as much again as `memoryBytes`.
   */
  swapBytes?: number;
  /** Processors at a time, 0.01 to 1,000,000: with 0.5 it has half of one. */
  cpus?: number;
  /** Its share when processors are short, 1 to 10,000; a tenant without it has 100. */
  cpuWeight?: number;
  /**
   * Processes and threads, 1 to 4,194,304. A server in Bun has some ten; one that cannot make them
   * fails with `EAGAIN`.
   */
  processes?: number;
  /** Descriptors that each process may have. */
  openFiles?: number;
  /** The size of a file that a process writes, in bytes; a write beyond it fails with `EFBIG`. */
  fileBytes?: number;
  /**
   * `"required"`, the default: a limit that this host cannot keep is refused with
   * `ERR_RUNTIME_UNSUPPORTED`. `"best-effort"`: such a limit is told by `inspect` (`by: "none"`).
   */
  enforce?: 'required' | 'best-effort';
};

/** `"none"`, `"tenant"` for walls with their defaults, or walls. */
export type TenantIsolationSetting = 'none' | 'tenant' | TenantIsolation;

/**
 * Walls around a tenant. Within them it reads and writes its own directory and a private
 * temporary one (`TMPDIR`, gone at its end), reads what programs need of the system, and listens on
 * its own port. It cannot signal or trace what is not its own, gets no privileges, and calls only
 * what web apps need of the kernel. Its umask is 027, and by default its `HOME` is its directory.
 */
export type TenantIsolation = {
  /**
   * Files and directories that it may also read, and execute from. Absolute, or relative to the
   * tenant's directory. One that is not there fails the start. One above `root` (or above the
   * temporary directories of tenants without a user of their own each) lets tenants reach each
   * other, and is refused as what this host cannot keep.
   */
  read?: readonly string[];
  /** The same, to read and to write. */
  write?: readonly string[];
  /** TCP ports that it may listen on beside its own. */
  listen?: readonly number[];
  /** TCP ports that it may connect to. Default `"any"`. */
  connect?: 'any' | readonly number[];
  /**
   * Whom it runs as, where the host is root: one user, or of so many numbers from `first` on one
   * for each key, for as long as the host lives. No number is given to two keys, of other runtimes
   * in the process neither; when all are given away the start fails. The owner of its directory
   * must be root or that user. By default it runs as the host does.
   */
  user?: TenantUser | TenantUserRange;
  /**
   * `"required"`, the default: what this host cannot keep is refused with
   * `ERR_RUNTIME_UNSUPPORTED`. `"best-effort"`: `inspect` says what is `missing`.
   */
  enforce?: 'required' | 'best-effort';
};

/** A user and its group; neither is root's 0. */
export type TenantUser = { uid: number; gid: number };

/** Numbers of users, each with a group of the same number. */
export type TenantUserRange = { first: number; count: number };

/** Says whether an idle tenant may be stopped: the option of this name. */
export type ShouldIdleKill = (args: {
  /** How long it has been idle. */
  idleMs: number;
  /** The tenant's key. */
  key: string;
  /** The tenant. */
  tenant: Tenant;
}) => boolean | Promise<boolean>;

/** Says whether a tenant may fall asleep: `sleep.shouldSleep`. */
export type ShouldSleep = (args: {
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
   * How long restoring may take until the tenant answers, and how long taking a snapshot may.
   * After it the tenant is started cold, or just stopped; a process that is restored later is
   * killed. While the driver is still at work on a key, nothing is started for it: after the same
   * time once more `ensure` rejects with `ERR_RUNTIME_SPAWN`. 0: no limit. Default 30 000.
   */
  restoreTimeoutMs?: number;
};

/** The pool in four fields. */
export type RuntimeStats = {
  /** Tenants that became ready and whose exit is not yet confirmed, those asleep included. */
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
  /**
   * Processes started, the ones that did not become ready included; not those adopted or restored.
   */
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
  /** What came of `sleep`. */
  sleep: SleepMetrics;
};

/** What came of the option `sleep`. All zero without it. */
export type SleepMetrics = {
  /** Tenants that are asleep now. */
  asleep: number;
  /** How often one fell asleep. One that then sleeps deeper counts once. */
  sleeps: number;
  /** How often one was woken. */
  wakes: number;
  /** How long the last waking took, as `durationMs` of its `wake`; 0 before the first. */
  lastWakeMs: number;
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
 * The state of a key.
 *
 * - `queued`: waits for room, or until enough others are ready
 * - `spawning`: its process is being started, or has not answered yet
 * - `ready`: in use
 * - `asleep`: frozen, until it is used again; `ensure` and `touch` wake it
 * - `stopping`: its process is being stopped
 * - `stuck`: its process did not become ready and cannot be stopped; `kill` and `ensure` try again
 * - `backing-off`: no process; `ensure` is refused until `retryAt`
 * - `failed`: no process; `ensure` is refused until `clearBackoff`
 * - `stopped`: no process; `ensure` starts it, and a warm key comes back by itself at `retryAt`
 * - `checkpointed`: no process, but a snapshot
 */
export type TenantState =
  | 'queued'
  | 'spawning'
  | 'ready'
  | 'asleep'
  | 'stopping'
  | 'stuck'
  | 'backing-off'
  | 'failed'
  | 'stopped'
  | 'checkpointed';

/** The status of one key at one moment. `null`: there is no such value, or it is not known yet. */
export type TenantStatus = {
  key: string;
  state: TenantState;
  /** How deep it sleeps; absent unless it is `asleep`. */
  depth?: SleepDepth;
  pid: number | null;
  port: number | null;
  /** Where it listens, if not at 127.0.0.1: as in `Tenant`. */
  host?: '::1';
  startedAt: number | null;
  lastTouchedAt: number | null;
  /** Failed starts in a row. */
  attempt: number;
  /**
   * When back-off ends, and `ensure` is no longer refused. Of a warm key that is `stopped`: when it
   * is started again by itself; `ensure` starts it sooner.
   */
  retryAt: number | null;
  /** The message of the last failure, with the last lines of the process's output. */
  lastError: string | null;
  /** Processes started so far; not those adopted or restored. */
  starts: number;
  /** How many of its processes have crashed. */
  crashes: number;
  /**
   * How its last process ended. It is remembered for the latest 100,000 keys without a process,
   * with 32 MiB of last lines in all.
   */
  lastExit: TenantExit | null;
  /** CPU time of its process tree so far: when it became ready, and every `observeIntervalMs`. */
  cpuMs: number | null;
  /**
   * Resident memory of its process tree, likewise. With `limits.memoryBytes` it is counted by the
   * control group: see `rssBytes` of observations.
   */
  rssBytes: number | null;
  /** The limits of its process, by name. Empty without a process, and without limits. */
  limits: Partial<Record<TenantLimitName, LimitInForce>>;
  /** The walls around its process. `null` without a process, and without walls. */
  isolation: IsolationInForce | null;
  resourceId?: string;
};

/** The name of a limit. */
export type TenantLimitName = Exclude<keyof TenantLimits, 'enforce'>;

/** A limit of a process, and what keeps it. */
export type LimitInForce = {
  value: number;
  /** `"none"`: nothing on this host, and `enforce` is `"best-effort"`. */
  by: 'cgroup2' | 'cgroup1' | 'rlimit' | 'none';
};

/** The walls around a process. */
export type IsolationInForce = {
  /** The version of Landlock; `null` without it. */
  landlock: number | null;
  /** Whether system calls are refused. */
  seccomp: boolean;
  /** The user that it runs as; `null`: as the host. */
  user: number | null;
  /**
   * What this host cannot keep: `"files"`, `"truncate"`, `"ports"`, `"signals"`,
   * `"abstract-sockets"`, `"system-calls"`, `"user"`. Empty unless `enforce` is `"best-effort"`.
   */
  missing: string[];
};

/** How a process ended. */
export type TenantExit = {
  /** As in the event `exit`. */
  exitCode: number | null;
  /** As in the event `exit`; `null` for none. */
  signal: string | null;
  /** As in the event `exit`; absent for none. */
  limit?: 'memory';
  reason: ExitReason;
  /** When. */
  at: number;
  /** The last lines of its output, 20 at most and 4 KiB in all, oldest first. */
  lines: string[];
};

/** Options of the calls that wait. */
export type CallOptions = {
  /**
   * Stops waiting: the call rejects with `ERR_RUNTIME_ABORTED`, whose `cause` is the signal's
   * reason. A start goes on if other calls wait for it. Otherwise it is stopped: its exit has the
   * reason `killed`, and does not count as a failure.
   */
  signal?: AbortSignal;
};

/** Options of `replace`. */
export type ReplaceOptions = CallOptions & {
  /**
   * How long the old process may go on beside the new one while it has open requests or
   * connections, in milliseconds; 0: it is asked to end at once. Default 30 000.
   */
  drainMs?: number;
};

/** What is known of a process that `adopt` takes over. */
export type AdoptOptions = {
  /**
   * The port that it listens on. Without a port here or in the `RuntimeProcess` the tenant's port
   * is 0: it is routed by other means, and its readiness and its connections are not checked.
   */
  port?: number;
  /**
   * For one that listens at `::1` alone, as its `Tenant` and `TenantStatus` said. By default
   * 127.0.0.1.
   */
  host?: '::1';
  /**
   * When it was started. By default now. A process that is given by its pid alone is refused if it
   * was started more than ten seconds later than this: the pid has been reused by another process
   * then.
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
   * Finds a tenant running, wakes it, or starts it, and resolves once it is ready. However many callers ask,
   * one process is started; a running one is kept from being idle. While the tenant is being
   * stopped it waits for that, then starts a new one.
   *
   * @throws {RuntimeExitedBeforeReadyError} when the process ended before it was ready
   * @throws {RuntimeError} with `code` `ERR_RUNTIME_BACKOFF` (with `retryAfterMs` and `attempt`),
   * `ERR_RUNTIME_MAX_FAILURES`, `ERR_RUNTIME_DRAINING`, `ERR_RUNTIME_DISPOSED` and
   * `ERR_RUNTIME_INVALID_KEY` at once, without starting anything, and so `ERR_RUNTIME_OVERLOADED`
   * when 100,000 keys wait already; `ERR_RUNTIME_SPAWN`, `ERR_RUNTIME_READINESS_TIMEOUT`,
   * `ERR_RUNTIME_PORT_TAKEN` or `ERR_RUNTIME_NO_PORT` when it did not start;
   * `ERR_RUNTIME_UNSUPPORTED` when nothing can be started on this host; with `survive`,
   * `ERR_RUNTIME_IN_USE`; in a fleet, `ERR_RUNTIME_NOT_CLAIMED`; `ERR_RUNTIME_INVALID_OPTION` for invalid options, and `ERR_RUNTIME_ABORTED` once `signal` is
   * aborted.
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
   * Notes that a tenant is active, and wakes one that is asleep. For an unknown or invalid key nothing happens.
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
   * The status of one key, also when it has no process any more; `null` if it was never started,
   * or is no longer remembered: see `lastExit`.
   *
   * @example
   * ```ts
   * const { state, lastError } = runtime.inspect('acme') ?? { state: 'stopped', lastError: null };
   * ```
   */
  inspect: (key: string) => TenantStatus | null;
  /** The status of every key that is known, sorted by key. */
  list: () => TenantStatus[];
  /**
   * Stops a tenant, whether it is running or being started. Resolves when its whole process tree
   * is gone and its `exit` event has been delivered; for an unknown or invalid key, at once.
   * Rejects when a `RuntimeProcess` of yours cannot be killed: it stays tracked and can be killed
   * again.
   *
   * @throws what its `kill` threw, or a {@link RuntimeError} with `code`
   * `ERR_RUNTIME_STOP_TIMEOUT` when it did not end
   *
   * @example
   * ```ts
   * await runtime.kill('acme'); // no process of it is left
   * ```
   */
  kill: (key: string) => Promise<void>;
  /**
   * Stops a tenant and starts it afresh, back-off or not; one that is not running is started.
   * Concurrent calls share one new start. While draining it is refused before anything is killed.
   * When its `signal` is aborted meanwhile, the old process is stopped all the same.
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
   * Replaces a tenant's process without a gap: starts another one beside it, with what `tenant`,
   * `env`, `limits` and `isolation` say now. Resolves when the new one is ready; from then on
   * `ensure` returns it. The old one is asked to end when it has no open connection any more, and
   * no open request of a gateway, at the latest after `drainMs`; its `exit` has the reason
   * `replaced`. If the new one does not become ready, the old one goes on untouched, and no
   * back-off follows.
   *
   * A tenant that is not running is started, back-off or not. Calls that come before the new
   * process was asked for share it; later ones share one more, which waits until the old one is
   * gone. Both take a place of `maxConcurrent` for as long. `kill`, `restart` and `dispose` end
   * both.
   *
   * @throws what `ensure` throws, and a {@link RuntimeError} with `code` `ERR_RUNTIME_OVERLOADED`
   * when no second process has a place (`maxConcurrent: 1`)
   *
   * @example
   * ```ts
   * const { pid } = await runtime.replace('acme'); // a new release serves
   * ```
   */
  replace: (key: string, options?: ReplaceOptions) => Promise<Tenant>;
  /**
   * Takes over a running process as the key's tenant: one that survived a restart of its host,
   * say. From then on it is treated like any other tenant. In a full pool it waits for room first.
   * A process that is given as `{ pid }` alone is watched and signalled through a pidfd. If it
   * leads a process group that the host is not in, the group ends with it: a stop sends SIGTERM to
   * its members as `stopTimeoutMs` says, and when the leader ends by itself, the rest of the group
   * is killed (on Linux 6.9 and newer). Its exit code is known if it is a child of the host;
   * otherwise the code is `null`, and an exit of its own counts as `crashed`. When the host ends
   * without `dispose`, an adopted process runs on.
   *
   * @throws {RuntimeError} with `code` `ERR_RUNTIME_DRAINING`, `ERR_RUNTIME_DISPOSED`,
   * `ERR_RUNTIME_INVALID_KEY`, `ERR_RUNTIME_ALREADY_REGISTERED` when the key has a process or one
   * is being started, `ERR_RUNTIME_INVALID_OPTION` for an invalid port or time,
   * `ERR_RUNTIME_SPAWN` for a process that is gone or cannot be a tenant,
   * `ERR_RUNTIME_EXITED_EARLY` (a {@link RuntimeExitedBeforeReadyError}) when `kill` cancelled the
   * adoption while it waited for room. The process is left as it is in all these cases.
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
  /**
   * Starts these tenants without waiting for them, unless they run or are being started: those
   * that `tenant` says are to be kept up (`warm: true`), when the host starts. What becomes of them
   * is told by events and `inspect`. A key that backs off is started when its wait is over.
   *
   * @throws {RuntimeError} `ERR_RUNTIME_INVALID_KEY`, and then none of them is started;
   * `ERR_RUNTIME_INVALID_OPTION` for what is no array; `ERR_RUNTIME_DRAINING` and
   * `ERR_RUNTIME_DISPOSED`
   *
   * @example
   * ```ts
   * runtime.warm(['acme', 'globex']);
   * ```
   */
  warm: (keys: readonly string[]) => void;
  /**
   * Forgets a tenant's failures, so that the next `ensure` starts it. For an unknown key nothing
   * happens.
   */
  clearBackoff: (key: string) => void;
  /**
   * Refuses new starts from now on. Tenants that run or are being started go on, and so do idle
   * stops. Calls made before are answered as they would have been: one that waits for room gets
   * it.
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
   * Stops every tenant and the pool. Idempotent; concurrent calls share one; pending `ensure`
   * calls reject.
   *
   * @throws {AggregateError} when processes of your own `spawn` cannot be killed: they stay
   * tracked, and `dispose` can be called again
   *
   * @example
   * ```ts
   * await runtime.dispose(); // no tenant is left, and nothing of the runtime keeps the process alive
   * ```
   */
  dispose: () => Promise<void>;
  /**
   * With `survive`: resolves when all tenants are known that have outlived an earlier host. Until
   * then `ensure` waits, and `list` does not have them. Without `survive` it is resolved.
   *
   * @throws {RuntimeError} `ERR_RUNTIME_IN_USE`, with the `pid` of the host that has the name, and
   * `ERR_RUNTIME_UNSUPPORTED` where they cannot be asked for: then nothing is started, and all
   * calls that would start a tenant reject likewise
   *
   * @example
   * ```ts
   * await runtime.recovered;
   * console.log(`${runtime.stats().running} tenants have lived on`);
   * ```
   */
  readonly recovered: Promise<void>;
  /**
   * With `survive`: leaves the tenants to the next host of the name, for which they wait for
   * `survive.forMs`. Those that are ready go on; those that are starting have five seconds for it
   * if a call waits for them, and all others end. Gateways of the runtime take no connection any
   * more, and finish what they have within their `drainMs`; then it resolves, and nothing of the
   * runtime keeps the process alive. From the call on, all calls that would start a
   * tenant reject as after `dispose`, and `dispose` stops nothing and waits for it. Idempotent.
   *
   * @throws {RuntimeError} `ERR_RUNTIME_UNSUPPORTED` without `survive`, `ERR_RUNTIME_DISPOSED`
   * after `dispose`
   *
   * @example
   * ```ts
   * process.once('SIGUSR2', async () => {
   *   await runtime.detach(); // the next host finds them
   *   process.exit(0);
   * });
   * ```
   */
  detach: () => Promise<void>;
  /** The same as `dispose`, for `await using runtime = createRuntime(…)`. */
  [Symbol.asyncDispose]: () => Promise<void>;
};

/**
 * The `code` of every error that the runtime itself makes. Stable: messages may be reworded, these
 * are not.
 */
export type RuntimeErrorCode =
  /** Invalid options: a wrong value, or an option that does not exist. */
  | 'ERR_RUNTIME_INVALID_OPTION'
  /** An invalid key: empty, absolute, leaving `root`, or the like. */
  | 'ERR_RUNTIME_INVALID_KEY'
  /** The call came after `dispose`. */
  | 'ERR_RUNTIME_DISPOSED'
  /** The call came after `drain`. */
  | 'ERR_RUNTIME_DRAINING'
  /**
   * Of a runtime in a fleet: the key is not claimed by this host. `host` and `address` are those of
   * the host that serves it, if one does. `fleet.ensure` finds or makes one.
   */
  | 'ERR_RUNTIME_NOT_CLAIMED'
  /** Of `fleet.ensure`: no host can have the key just now, for the `reason` that the error has. */
  | 'ERR_RUNTIME_NOT_PLACED'
  /** The call's `signal` was aborted; the error's `cause` is its reason. */
  | 'ERR_RUNTIME_ABORTED'
  /** 100,000 keys wait to be started already. */
  | 'ERR_RUNTIME_OVERLOADED'
  /**
   * With `survive`: another host has the tenants of the name, whose `pid` the error has; or they are
   * held by another `version` of this package, with which this one cannot speak.
   */
  | 'ERR_RUNTIME_IN_USE'
  /** `adopt` of a key that has a process, or for which one is being started. */
  | 'ERR_RUNTIME_ALREADY_REGISTERED'
  /** The tenant backs off after failed starts. The error has `retryAfterMs` and `attempt`. */
  | 'ERR_RUNTIME_BACKOFF'
  /** The tenant failed `maxFailures` times in a row. */
  | 'ERR_RUNTIME_MAX_FAILURES'
  /** The process could not be started. */
  | 'ERR_RUNTIME_SPAWN'
  /**
   * The process did not become ready in time. The message says what was found instead of an
   * answer.
   */
  | 'ERR_RUNTIME_READINESS_TIMEOUT'
  /**
   * Another process listens on the tenant's port; the message names it. Nothing was sent there,
   * and the next start gets another port. The first three in a row do not count as failures of the
   * key.
   */
  | 'ERR_RUNTIME_PORT_TAKEN'
  /** No TCP port is free. Never a failure of the key. */
  | 'ERR_RUNTIME_NO_PORT'
  /**
   * The process ended before it was ready, or its start or adoption was cancelled before that, by
   * `kill` for example.
   */
  | 'ERR_RUNTIME_EXITED_EARLY'
  /** A `RuntimeProcess` of yours did not exit after `kill("SIGKILL")`; it stays tracked. */
  | 'ERR_RUNTIME_STOP_TIMEOUT'
  /**
   * A process that was given by its pid may not be signalled; or `dispose` could not stop every
   * tenant: its `errors` say why, and `dispose` can be called again.
   */
  | 'ERR_RUNTIME_STOP_REFUSED'
  /** A command of `execCheckpointDriver` failed, or its image or its output cannot be used. */
  | 'ERR_RUNTIME_CHECKPOINT'
  /**
   * The package does not run on this machine; its addon, or a part that is loaded on demand, is
   * missing; `/proc` is missing, is another pid namespace's, or hides processes; this host cannot
   * keep `limits` or `isolation`; or with `survive`, what outlived an earlier host cannot be asked
   * for.
   */
  | 'ERR_RUNTIME_UNSUPPORTED'
  /**
   * A gateway, or a control, cannot listen; the message says where and why, and `errno` has the system's word,
   * such as `EADDRINUSE`.
   */
  | 'ERR_RUNTIME_LISTEN'
  /** The egress guard refused a request: an `EgressDeniedError`. */
  | 'ERR_RUNTIME_EGRESS_DENIED'
  /**
   * A request that the egress guard let through failed, as `fetch` fails: a `TypeError`, with its
   * `cause`.
   */
  | 'ERR_RUNTIME_EGRESS_FAILED';

/**
 * The shape of every error that the runtime itself makes. A type, not a class: use it to read
 * `code` in a `catch`. Errors of your own `spawn`, `readiness` and `kill` reach you as they are.
 */
export type RuntimeError = Error & {
  code: RuntimeErrorCode;
  /**
   * The tenant's key. Absent when the error concerns no key: for invalid options, say, or of
   * `dispose`.
   */
  key?: string;
  /**
   * With `ERR_RUNTIME_BACKOFF`: how long until `ensure` tries again. With `ERR_RUNTIME_NOT_PLACED`:
   * when it may be worth asking again.
   */
  retryAfterMs?: number;
  /**
   * With `ERR_RUNTIME_NOT_PLACED`: `apart` (this host has no lease), `store-unreachable`,
   * `store-is-new`, `newer-version`, `owner-unreachable`, `no-host`, `unsettled` or `closing`.
   */
  reason?: string;
  /** With `ERR_RUNTIME_BACKOFF`: failures in a row so far. */
  attempt?: number;
  /** With `ERR_RUNTIME_MAX_FAILURES`: the limit of failures in a row. */
  maxFailures?: number;
  /** With `ERR_RUNTIME_LISTEN`: the system's word for it, such as `EADDRINUSE`. */
  errno?: string;
  /**
   * With `ERR_RUNTIME_LISTEN` of a control: the host that listens there. With `ERR_RUNTIME_IN_USE`:
   * the host that has the name; if there is none, the process that holds its tenants.
   */
  pid?: number;
  /** With `ERR_RUNTIME_IN_USE`: the other version, if this one cannot speak with it. */
  version?: string;
  /** With `ERR_RUNTIME_NOT_CLAIMED`: the host of the fleet that serves the key, if one does. */
  host?: string;
  /** With `ERR_RUNTIME_NOT_CLAIMED`: where that host's gateway answers other hosts. */
  address?: string;
};

/**
 * Whether an error is one that the runtime itself has made, and has that code if one is given.
 * Unlike `instanceof` it works across copies of the package, bundled or not, and across realms.
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
 * A process ended before it was ready. The message says how, also that it ran out of its memory
 * (`limits`), and ends with the last lines of its output, which usually say why. Calls that waited for a start also reject with it when the start
 * was stopped, by `kill` for example, before there was a process: then the message says so.
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
  /** As in the event `exit`. Absent otherwise. */
  readonly limit?: 'memory';
}

/**
 * Creates a guard that hands out a `fetch` for each tenant. With it, code that acts for a tenant
 * reaches the public Internet and nothing else: no private, loopback, link-local, carrier-NAT,
 * multicast, reserved or cloud-metadata address, however it is written, and whatever name resolves
 * to it.
 *
 * Every request, and every redirect that it follows, is treated like this:
 *
 * 1. Its URL is checked: only `http:` and `https:`, no user name or password, no port of another
 *    protocol (mail and the like, as in the Fetch standard), a host that the lists admit.
 * 2. Its host is looked up, and every address is checked. One that is denied denies the request.
 * 3. One of the checked addresses is dialled as it is: the name is not resolved again. TLS and the
 *    `Host` header are those of the name. The certificate must be valid, whatever
 *    `NODE_TLS_REJECT_UNAUTHORIZED` says.
 *
 * An IPv6 address that leads to an IPv4 address (mapped, compatible, translated, NAT64, 6to4,
 * Teredo, ISATAP) is checked as that IPv4 address. Connections are never reused. Proxies named in
 * the environment are not used.
 *
 * The guard limits code that uses the given `fetch`. It is no sandbox: a process that opens
 * sockets of its own is not limited.
 *
 * Keeps nothing per tenant or request when there is no `budget`.
 *
 * @throws {TypeError} (`ERR_RUNTIME_INVALID_OPTION`) on invalid options, naming the option by its
 * path.
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

/**
 * How much of the network tenants may reach. Without options: all that is public, as much as they
 * like.
 */
export type EgressGuardOptions = {
  /**
   * Addresses and ranges of addresses (`'10.1.2.3'`, `'10.1.2.0/24'`, `'fd00::/8'`) that may be
   * reached although they are not public. Default: none.
   *
   * The list has addresses, not names: a name cannot be allowed to resolve to private addresses,
   * since its owner could let it resolve to any of them. An address of a cloud metadata service is
   * only admitted by an entry for that one address, not by a range around it.
   *
   * Or a function, which decides in place of the lists and of the rule for public addresses. It is
   * called with every URL, those of redirects included, and must answer synchronously. A name that
   * it admits may resolve to anything but a cloud metadata service.
   */
  allow?: readonly string[] | ((tenant: string, url: URL) => boolean);
  /**
   * What may not be reached, whatever the other lists say: host names (`'example.com'`), all names
   * below one (`'*.example.com'`), addresses, and ranges of addresses, which also deny the names
   * that resolve to them. Default: none.
   */
  deny?: readonly string[];
  /**
   * The only hosts that a URL may name, written as in `deny`. It admits nothing that is otherwise
   * denied. Default: any host.
   */
  only?: readonly string[];
  /** What each tenant may use. Default: no bounds, and nothing is counted. */
  budget?: EgressBudget;
  /**
   * Resolves a host name (lower case, ASCII, no trailing dot) to all of its addresses. Their order
   * is that in which they are tried, up to eight of them. Default: the system's, `lookup` of
   * `node:dns/promises`.
   */
  lookup?: (
    hostname: string,
  ) =>
    | readonly (string | { readonly address: string })[]
    | Promise<readonly (string | { readonly address: string })[]>;
  /** Called with every refusal, also of a body that was cut off. What it throws is ignored. */
  onDenied?: (error: EgressDeniedError) => void;
  /** `budget`, by the names that the TypeScript package of this name has for it. */
  budgets?: EgressBudgets;
  /**
   * Called with every refusal, with the TypeScript package's reasons. What it throws is ignored.
   */
  onDeny?: (info: EgressDenyInfo) => void;
  /**
   * Carries out requests in place of the guard's own connections: for tests. It is called with
   * what the caller gave, once the URL and all addresses of its host have been checked, and again
   * for each redirect. It resolves the name again, so the guard does not know which address it
   * connects to. Names that are private by convention (`localhost`, `*.internal`) are therefore
   * refused; a name that the system cannot resolve is passed on to it. Only the bytes of the
   * bodies that it answers with are counted.
   */
  fetchImpl?: FetchLike;
  /** The clock of budgets, in milliseconds: for tests. Default: a monotonic clock. */
  now?: () => number;
  /**
   * Gets a span `runtime.egress_fetch` for each request, with `abs.tenant`, `abs.egress.host`,
   * `.allowed`, `.deny_reason`.
   */
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

/** Why a request was refused, as the TypeScript package names it. */
export type EgressDenyReason = 'not-allowed' | 'requests-budget' | 'bytes-budget';

/** The argument of `onDeny`, and of the constructor of `EgressDeniedError`. */
export type EgressDenyInfo = {
  /** The tenant's key. */
  tenant: string;
  /** The URL that was refused. */
  url: URL;
  reason: EgressDenyReason;
};

/** Counters of a guard since it was created. */
export type EgressGuardMetrics = {
  /** Tenants with requests or bytes in the window; 0 without a budget. */
  tenants: number;
  /** Requests that were let through, redirects included. */
  requests: number;
  /** Requests that were refused, and bodies that were cut off. */
  denied: Record<EgressDenyReason, number>;
  /** Bytes received. */
  bytesEgress: number;
};

/**
 * What one tenant may use within any `windowMs`. Uses are counted in steps of a tenth of the
 * window, and leave it at most one step late, never early.
 */
export type EgressBudget = {
  /** The length of the rolling window. Default 60 000. */
  windowMs?: number;
  /**
   * Requests, each redirect that is followed included. Those that are refused for their URL alone
   * do not count, those that are refused for what their host resolves to do. Default: `Infinity`.
   */
  maxRequests?: number;
  /**
   * Bytes sent and received: heads and bodies as they are on the wire, so compressed bodies count
   * as compressed. What TLS and chunking add does not count. Default: `Infinity`.
   *
   * The length of a body to be sent, if it is known, is reserved before anything is sent.
   * Otherwise bytes are counted as they are sent or received, and a body that exceeds the budget
   * is cut off: its stream fails with an `EgressDeniedError`.
   */
  maxBytes?: number;
};

/** A plain object. Its methods need no `this` and can be destructured. */
export type EgressGuard = {
  /**
   * The global `fetch` for a tenant, within its limits. `input` and `init` are read once, before
   * it returns.
   *
   * As the global one: `method`, `headers`, `body` of every kind, `redirect`, `signal`; the answer
   * is a `Response` with a streamed, decoded body (gzip, deflate, br), `url` and `redirected`.
   * Different from it: `redirect: 'manual'` gives the answer as it is; an `Authorization`,
   * `Cookie` or `Proxy-Authorization` header is not sent on to another origin; `integrity` is
   * refused; other fields of `init` (`proxy`, `unix`, `tls`, `dispatcher`, …) have no effect.
   * After five minutes without traffic on the connection, reading the body fails.
   *
   * @param key a tenant's key, as for `ensure`
   * @throws {EgressDeniedError} when the guard refuses the request
   * @throws {TypeError} (`ERR_RUNTIME_EGRESS_FAILED`) when it fails as any request may: no such
   * host, no connection, a certificate that is not valid, more than 20 redirects
   * @throws {TypeError} (`ERR_RUNTIME_INVALID_KEY`) for an invalid key
   * @throws the reason of `signal` once that is aborted, at any stage
   *
   * @example
   * ```ts
   * const response = await guard.fetch('acme', 'https://example.com/');
   * ```
   */
  fetch: (key: string, input: string | URL | Request, init?: RequestInit) => Promise<Response>;
  /**
   * A `fetch` that is bound to a tenant, for code that takes one.
   *
   * @throws {TypeError} (`ERR_RUNTIME_INVALID_KEY`) for an invalid key
   *
   * @example
   * ```ts
   * const client = new ApiClient({ fetch: guard.fetchFor('acme') });
   * ```
   */
  fetchFor: (key: string) => FetchLike;
  /** What a tenant has used within the window. Zeros when there is no `budget`. */
  usage: (key: string) => { requests: number; bytes: number };
  /**
   * Forgets what a tenant has used, or all tenants without a key: the whole budget is available
   * again.
   */
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
 * - `not-allowed`: in place of the first five, from a guard that was given options of the
 *   TypeScript package (`budgets`, `onDeny`, `fetchImpl`, `now`, a function `allow`) and none of
 *   its own (`budget`, `onDenied`, `deny`, `only`, a list `allow`)
 */
export type EgressDenialReason =
  | 'scheme'
  | 'credentials'
  | 'port'
  | 'host'
  | 'address'
  | 'requests-budget'
  | 'bytes-budget'
  | 'not-allowed';

/** The egress guard refused a request, or cut off its body. */
export class EgressDeniedError extends Error {
  /** For tests of your own. */
  constructor(info: EgressDenyInfo);
  override readonly name: 'EgressDeniedError';
  readonly code: 'ERR_RUNTIME_EGRESS_DENIED';
  /** The tenant's key. */
  readonly key: string;
  /** The same as `key`. */
  readonly tenant: string;
  /**
   * The URL that was refused, without user name and password: that of the redirect, if one led
   * there.
   */
  readonly url: string;
  readonly reason: EgressDenialReason;
  /** With reason `address`: the address that is denied. */
  readonly address?: string;
  /**
   * With a budget: how long until there is room. Absent when the request is larger than the whole
   * budget.
   */
  readonly retryAfterMs?: number;
}

/**
 * Saves a tenant's process with all its memory as an image, and restores a process from it later.
 * One image is kept for each key. An operation that failed rejects. `execCheckpointDriver` makes a
 * driver of two commands.
 */
export type CheckpointDriver = {
  /**
   * Saves the process tree of `pid` as the image of `key`, in place of an older one. `false`:
   * nothing was saved, and an older image is as it was. The runtime ends the process afterwards,
   * if it has not ended.
   */
  checkpoint: (args: { key: string; pid: number }) => Promise<boolean>;
  /**
   * Restores a process from the image of `key`, and keeps the image. `null`: there is no image, or
   * it could not be restored. The runtime accepts only a process that this call has started: any
   * other pid is another process's.
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
 * In every part of the two commands, the program's name included, `{key}` stands for the tenant's
 * key, `{pid}` for the process to be saved (in `restoreCommand`: the one that was saved) and
 * `{dir}` for the absolute path of the image's directory, the same when it is restored as when it
 * was saved. Braces in the values are not replaced again; other words in braces stay as they are.
 *
 * There is no shell. If you run one, pass the key to its script as an argument, since keys may
 * contain characters that a shell interprets: `['sh', '-c', 'save "$1"', 'sh', '{key}']`. A key
 * may also begin with `-`.
 *
 * The commands have the host's user, environment and working directory, and no standard input.
 */
export type ExecCheckpointDriverOptions = {
  /**
   * Saves the process `{pid}` in the directory `{dir}`, which exists and is empty. Exit code 0
   * means that it did. What the process does after that is not in the image.
   */
  checkpointCommand: readonly string[];
  /**
   * Restores a process from `{dir}` and then, as the last thing, prints `RESTORED_PID=<n>` on a
   * line of its own on its standard output. It may end then, with 0, or run for as long as the
   * process lives; its output is read, and thrown away, until the last process has closed it.
   */
  restoreCommand: readonly string[];
  /**
   * Where the images are, a directory for each key. Created when it is needed, accessible to the
   * host's user only: an image holds all that its tenant had in memory. One host process at a time
   * may use it. A relative path is taken from the host's working directory when the driver is
   * created.
   */
  imageDir: string;
  /**
   * A command that takes longer is killed with its process group, and the call rejects.
   * `Infinity`: no limit. Default 60 000.
   */
  timeoutMs?: number;
  /**
   * Called for every checkpoint, restore and drop that failed, before its promise settles. The
   * error has the command, how it ended, and the last lines of its standard error. What it throws
   * breaks nothing. By default `process.emitWarning` is called.
   */
  onError?: (error: RuntimeError) => void;
};

/**
 * A `CheckpointDriver` that runs a command to save a process and another one to restore it.
 *
 * When a command ends with anything other than 0, `onError` is called, and the call resolves with
 * `false` or `null`. Operations on one key wait for each other. The image that is restored is
 * always whole, also after the host was killed or lost its power, and it is never another key's.
 *
 * A command that runs while its host is killed goes on to its end; the image that it saves is not
 * used. A `restoreCommand` that fails or takes too long after it started a process must end that
 * process itself.
 *
 * @throws {TypeError} (`ERR_RUNTIME_INVALID_OPTION`) on invalid options, naming the option. The
 * driver's methods reject with `ERR_RUNTIME_INVALID_KEY`, or with `ERR_RUNTIME_CHECKPOINT` when a
 * command could not be started, took too long, or named no pid, several, or one that cannot be a
 * tenant's (less than 2, or the host's own).
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

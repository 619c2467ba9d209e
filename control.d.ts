/// <reference lib="esnext.disposable" />

/**
 * An operator's view of a host: what each tenant is, its figures and lines, what has happened, and
 * its actions, over HTTP at a unix socket. `npx @absolutejs/runtime ps`, `logs`, `top` and the
 * dashboard read it; `docs/control.md` describes the API.
 *
 * Durations are milliseconds; times are milliseconds since the epoch.
 *
 * @packageDocumentation
 */
import type {
  IsolationInForce,
  LimitInForce,
  Runtime,
  SleepDepth,
  TenantLimitName,
} from './index.js';
import type { Gateway } from './gateway.js';

/**
 * Opens a control of a runtime, and of its gateways. Returns at once; `listening` tells where it
 * listens. It does not keep the process alive. `dispose` of the runtime closes it last.
 *
 * Lines of tenants are kept from now on: of those that were started before, only if the runtime
 * has an `onLog`.
 *
 * @throws {TypeError} (`ERR_RUNTIME_INVALID_OPTION`) on invalid options, naming the option by its
 * path
 * @throws {RuntimeError} `ERR_RUNTIME_DISPOSED` when the runtime has been disposed;
 * `ERR_RUNTIME_UNSUPPORTED` when the runtime is that of another version of the package
 *
 * @example
 * ```ts
 * import { createRuntime } from '@absolutejs/runtime';
 * import { createControl } from '@absolutejs/runtime/control';
 *
 * const runtime = createRuntime({ source: { kind: 'directory', root: './tenants' } });
 * const control = createControl({ runtime, path: '/run/my-host/control.sock' });
 * const { path } = await control.listening; // npx @absolutejs/runtime ps --control <path>
 * ```
 */
export function createControl(options: ControlOptions): Control;

/** What `createControl` takes. Only `runtime` is required. */
export type ControlOptions = {
  /** The runtime, or an object with its methods. */
  runtime: Runtime;
  /** The gateways in front of it: their requests are counted for each tenant. */
  gateway?: Gateway | readonly Gateway[];
  /**
   * The unix socket. By default `absolute-runtime.sock` in `$XDG_RUNTIME_DIR`, or
   * `/tmp/absolute-runtime-<uid>/control.sock`. Its mode is 0600. Requests send the
   * header field that stands in the file `<path>.token` beside it. A socket that a host has left is
   * replaced.
   */
  path?: string;
  /** Which host this is, to people. Default `runtime`. */
  name?: string;
  /** What is kept of tenants' output. */
  logs?: {
    /** Lines in memory, for each tenant. Default 1 000. */
    linesPerTenant?: number;
    /** Memory for them, for each tenant. Default 262 144. */
    bytesPerTenant?: number;
    /**
     * Where lines are also written to files, in a directory for each tenant; read back when more is
     * asked for than memory has. Default: no files.
     */
    directory?: string;
    /** What all files take up together; the oldest are removed. Default 1 GiB. */
    maxBytes?: number;
  };
  /** A page for browsers, and the same API over TCP. Default: none. */
  dashboard?: ControlDashboardOptions;
  /**
   * What operators of this host call an option of the runtime, where a text tells them to change one:
   * `(option) => (option === 'limits.memoryBytes' ? 'memory in apps.toml' : option)`. `key` is the
   * tenant that the text is about, if it is about one. Default: the option's own name.
   */
  optionName?: (option: string, key: string | null) => string;
};

/** Where the dashboard listens, and who may act. */
export type ControlDashboardOptions = {
  /** Default 127.0.0.1. */
  hostname?: string;
  /** 0 is any that is free. */
  port: number;
  /** What lets a browser act. By default a new one, which `listening` tells. */
  token?: string;
  /** Names of this host that browsers may use, beside addresses and `localhost`. */
  names?: readonly string[];
  /** With a certificate it speaks HTTPS. */
  tls?: { cert: string; key: string };
};

/** An open control. */
export type Control = {
  /**
   * Resolves once it listens. Rejects with `ERR_RUNTIME_LISTEN` when it cannot; then it is closed.
   * If another host listens there, the error has its `pid`.
   */
  readonly listening: Promise<{
    path: string;
    /** With the token. */
    dashboardUrl?: string;
  }>;
  /**
   * Resolves when `POST /drain` has ended the host's work: all tenants and gateways are gone.
   * `brokenOff` is how many requests were still open when their time was up.
   */
  readonly drained: Promise<{ brokenOff: number }>;
  /** Closes it: clients are cut off, and the socket is removed. Idempotent. */
  close: () => Promise<void>;
  /** The same as `close`, for `await using control = createControl(…)`. */
  [Symbol.asyncDispose]: () => Promise<void>;
};

/** `GET /host`. */
export type ControlHost = {
  name: string;
  /** Of the package. */
  version: string;
  /** `bun 1.4.5`, `node 24.2.0`. */
  engine: string;
  pid: number;
  startedAt: number;
  uptimeMs: number;
  now: number;
  cpuCount: number;
  loadAverage: [number, number, number];
  memory: { totalBytes: number; availableBytes: number };
  /** Of the host's own process. */
  hostRssBytes: number;
  runtime: {
    running: number;
    total: number;
    /** Of `running`: these take no place of `maxConcurrent`. */
    asleep: number;
    maxConcurrent: number;
    draining: boolean;
    backoff: number;
    starts: number;
    crashes: number;
  };
  /** Over all gateways. `null`: there is none. */
  gateway: {
    addresses: string[];
    connections: number;
    inFlight: number;
    waiting: number;
    requests: Record<'1xx' | '2xx' | '3xx' | '4xx' | '5xx', number>;
    requestsPerSecond: number;
  } | null;
  /** The directory of the tenants. */
  root: string;
  /** Whether its tenants outlive it, as the option `survive` says. `null`: they do not. */
  survive: {
    name: string;
    /** How long they wait for the next host. `null`: until there is one. */
    forMs: number | null;
    /** Since when it has them. `null`: it does not have them yet. */
    ownedSince: number | null;
  } | null;
  protects: {
    /** For all tenants. */
    limits: { name: string; value: number; by: string }[];
    isolation: { landlock: number | null; seccomp: boolean } | null;
    /** A function says what differs by tenant: see the tenant. */
    perTenant: boolean;
    /** What was asked for and this host cannot keep, and why. */
    missing: string[];
  };
  logs: {
    bytes: number;
    files: {
      directory: string;
      bytes: number;
      maxBytes: number;
      /** Lines that could not be written. */
      droppedLines: number;
      isFailing: boolean;
    } | null;
  };
  control: { path: string; name: string };
  /** Without the token. */
  dashboard: { url: string } | null;
};

/**
 * - `failed`: its last start failed, or it crashed, and it is not running
 * - `backing-off`: the same, and starts are refused until `retryAt`
 * - `asleep`: its process is frozen until it is used again
 */
export type ControlTenantState =
  'stopped' | 'starting' | 'running' | 'asleep' | 'stopping' | 'backing-off' | 'failed';

/** One tenant of the fleet that a host is in, as that host sees it. */
export type ControlFleetTenant = {
  key: string;
  /** The id of the host that has claimed it. */
  host: string;
  /** That host is gone, and nobody has taken the key yet: who asks for it first does. */
  hostIsGone: boolean;
  /** Of the claim: digits. */
  epoch: string;
  /** `null`: its host does not answer. */
  state: ControlTenantState | null;
};

/** One tenant. `null`: there is no such value, or it is not known. */
export type ControlTenant = {
  key: string;
  state: ControlTenantState;
  /** How deep it sleeps, if it is `asleep`: its memory is where it was, or in swap. */
  depth: SleepDepth | null;
  /**
   * The worst first: 0 failed, 1 backing off, 2 uses over 90 % of its memory, 3 could not be replaced,
   * or answered with 5xx in the last minute, 4 starting, 5 stopping, 6 running, 7 asleep, 8 stopped.
   */
  rank: number;
  pid: number | null;
  port: number | null;
  /** Where visitors reach it. */
  address: string | null;
  startedAt: number | null;
  uptimeMs: number | null;
  lastTouchedAt: number | null;
  starts: number;
  crashes: number;
  /** Of its processes, since the control was opened. */
  exits: number;
  inFlight: number;
  waiting: number;
  /** All that are over. */
  requests: number;
  requestsPerSecond: number;
  /** Its answers of 5xx a second, over the last minute, since it was last started; what it broke off or did not take included. */
  errorsPerSecond: number;
  /** The same of what the gateway refused with 5xx, as when too many requests come at once. */
  refusedPerSecond: number;
  /** Within which time half of its answers of the last minute began; `null` without answers. */
  p50Ms: number | null;
  p99Ms: number | null;
  /** 100 is a whole core. */
  cpuPercent: number | null;
  cpuMs: number | null;
  rssBytes: number | null;
  memoryLimitBytes: number | null;
  /** As `inspect` tells them. */
  limits: Partial<Record<TenantLimitName, LimitInForce>>;
  isolation: IsolationInForce | null;
  /** Failed starts in a row. */
  attempt: number;
  retryAt: number | null;
  problem: ControlProblem | null;
  /** Requests a second, of the last 30 columns of two seconds. */
  spark: number[];
};

/** What is wrong with a tenant; the worst only. */
export type ControlProblem = {
  /**
   * `CRASHED`, `OUT_OF_MEMORY`, `EXITED_EARLY`, `NOT_READY`, `NOT_STARTED`, `PORT_TAKEN`, `STUCK`,
   * `MEMORY_NEARLY_FULL`, `REPLACE_FAILED`, `SERVER_ERRORS`.
   */
  code: string;
  /** In people's words, without when: that is `at`. */
  summary: string;
  /** What to do. */
  advice: string;
  /** The last lines of its process, if it has ended. */
  lines: string[];
  at: number;
};

/** `GET /tenants/<key>`. */
export type ControlTenantDetail = ControlTenant & {
  /** The latest 50, oldest first. */
  timeline: ControlEvent[];
  /** The last ten minutes, a column every two seconds. */
  figures: ControlFigures;
  lastLines: ControlLine[];
};

/** Figures over time: one entry a column. `null`: it was not running. */
export type ControlFigures = {
  everyMs: number;
  at: number[];
  cpuPercent: (number | null)[];
  rssBytes: (number | null)[];
  requestsPerSecond: (number | null)[];
  inFlight: (number | null)[];
};

/** Something that has happened, with the fields of the runtime's event. */
export type ControlEvent = {
  seq: number;
  at: number;
  /** The type of a `RuntimeTransitionEvent`, `start-failed`, `replace-failed`, or `host`. */
  type: string;
  /** `null`: it concerns the host. */
  key: string | null;
  /** In people's words. */
  text: string;
  [field: string]: unknown;
};

/** A line of a tenant's output, as it was written: escapes are kept. */
export type ControlLine = {
  /** Grows with each line; 0 of a line of a host before, which was read from a file. */
  seq: number;
  at: number;
  key: string;
  pid: number;
  stream: 'stdout' | 'stderr';
  line: string;
};

/** The body of an answer that is no success. */
export type ControlError = {
  error: {
    /** `ERR_RUNTIME_…`, `NOT_FOUND`, `BAD_QUERY`, `METHOD_NOT_ALLOWED`, `UNAUTHORIZED`, … */
    code: string;
    message: string;
    key?: string;
  };
};

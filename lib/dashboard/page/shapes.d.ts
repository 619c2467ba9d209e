/** What the host tells over its API, as far as the page reads it: see docs/control.md. */

export type Limit = { value: number; by: string };
export type Isolation = {
  landlock: number | null;
  seccomp: boolean;
  user: number | null;
  missing: string[];
};

export type Problem = {
  code: string;
  summary: string;
  advice: string;
  lines: string[];
  at: number;
};

export type Tenant = {
  key: string;
  state: string;
  /** How bad it is; 0 is the worst. Below 4 something is wrong. */
  rank: number;
  pid: number | null;
  port: number | null;
  address: string | null;
  startedAt: number | null;
  uptimeMs: number | null;
  lastTouchedAt: number | null;
  starts: number;
  crashes: number;
  exits: number;
  inFlight: number;
  waiting: number;
  requests: number;
  requestsPerSecond: number | null;
  errorsPerSecond?: number | null;
  p50Ms: number | null;
  p99Ms: number | null;
  cpuPercent: number | null;
  cpuMs: number | null;
  rssBytes: number | null;
  memoryLimitBytes: number | null;
  limits: Record<string, Limit>;
  isolation: Isolation | null;
  attempt: number;
  retryAt: number | null;
  problem: Problem | null;
  spark: number[];
};

export type HostEvent = {
  seq: number;
  at: number;
  type: string;
  key: string | null;
  text: string;
  [raw: string]: unknown;
};

export type Line = {
  seq: number;
  at: number;
  key: string;
  pid: number;
  stream: 'stdout' | 'stderr';
  line: string;
};

export type FigureName = 'cpuPercent' | 'rssBytes' | 'requestsPerSecond' | 'inFlight';
export type Figures = { everyMs: number; at: number[] } & Record<FigureName, (number | null)[]>;
export type FigureColumn = { at: number } & Record<FigureName, number | null>;
export type WholeTenant = Tenant & { timeline: HostEvent[]; figures: Figures; lastLines: Line[] };

export type Host = {
  name: string;
  version: string;
  engine: string;
  pid: number;
  startedAt: number;
  uptimeMs: number;
  now: number;
  cpuCount: number;
  loadAverage: [number, number, number] | null;
  memory: { totalBytes: number; availableBytes: number };
  hostRssBytes: number;
  runtime: {
    running: number;
    total: number;
    maxConcurrent: number;
    draining: boolean;
    backoff: number;
    starts: number;
    crashes: number;
  };
  gateway: null | {
    addresses: string[];
    connections: number;
    inFlight: number;
    waiting: number;
    requests: Record<string, number>;
    requestsPerSecond: number;
  };
  root: string;
  protects: { limits: string[]; isolation: Isolation | null; missing: string[] };
  logs: { bytes: number; files: null | { directory: string; bytes: number; maxBytes: number } };
  control: { path: string; name: string };
};

/** What every view gets. */
export type Context = {
  link: import('./link.js').Link;
  /** Says something once, where screen readers hear it, too. */
  say: (text: string) => void;
  /** Whether this page may act. */
  mayAct: () => boolean;
  /** The last that the host told of itself. */
  host: () => Host | undefined;
  setHost: (host: Host) => void;
};

/** One of the page's views, as long as it is shown. */
export type View = {
  title: string;
  element: HTMLElement;
  /** Where focus goes when it is opened. */
  focus: () => void;
  /** Once a second, and when the link is lost or found. */
  tick: () => void;
  /** A key that nothing else has taken. Returns whether it was one of the view's. */
  key: (event: KeyboardEvent) => boolean;
  close: () => void;
};

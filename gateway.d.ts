/// <reference lib="esnext.disposable" />

/**
 * HTTP in front of a runtime's tenants: it routes requests to keys, wakes tenants, waits for them,
 * passes requests on, and loses none in deploys, idle stops and evictions. HTTP/1.1, HTTP/2,
 * WebSockets, server-sent events, streaming both ways.
 *
 * Requests are served in Rust, on threads of the gateway's own. JavaScript takes part in a request
 * to a running tenant only where it was asked to: by `onAccess`, `page`, a route or certificates
 * by a function.
 *
 * Durations are milliseconds; times are milliseconds since the epoch.
 *
 * @packageDocumentation
 */
import type { Runtime } from './index.js';

/**
 * Opens a gateway in front of a runtime's tenants. Returns at once; `listening` tells where it
 * listens. It keeps the process alive until it is closed. Several may share a runtime, whose
 * `dispose` closes them first.
 *
 * Tenants that requests start inherit what the host was when the gateway was created, or at a later
 * call of the runtime's: its variables, limits and priority.
 *
 * @throws {TypeError} (`ERR_RUNTIME_INVALID_OPTION`) on invalid options, naming the option by its
 * path
 * @throws {RuntimeError} `ERR_RUNTIME_DISPOSED` when the runtime has been disposed;
 * `ERR_RUNTIME_UNSUPPORTED` when the runtime is that of another version of the package
 *
 * @example
 * ```ts
 * import { createRuntime } from '@absolutejs/runtime';
 * import { createGateway } from '@absolutejs/runtime/gateway';
 *
 * const runtime = createRuntime({ source: { kind: 'directory', root: './tenants' } });
 * const gateway = createGateway({ runtime, route: { by: 'subdomain', domain: 'localhost' } });
 * const [address] = await gateway.listening;
 * console.log(`http://hello.localhost:${address?.port}/`);
 *
 * process.once('SIGTERM', () => runtime.dispose()); // open requests may end first
 * ```
 */
export function createGateway(options: GatewayOptions): Gateway;

/** What `createGateway` takes. Only `runtime` and `route` are required. */
export type GatewayOptions = {
  /** The runtime whose tenants are served, or an object with its methods. */
  runtime: Runtime;
  /** How a request leads to a key. */
  route: GatewayRoute;
  /** Where to listen: one place or several. Default `{ hostname: '127.0.0.1', port: 3000 }`. */
  listen?: GatewayListen | readonly GatewayListen[];
  /**
   * Certificates, or a function that is asked for one in each handshake. With them every socket
   * speaks TLS, and HTTP/2 where the client offers it. Default none: HTTP without TLS.
   */
  tls?: GatewayCertificates | GatewayCertificateFunction;
  /**
   * Addresses of proxies whose `Forwarded` and `X-Forwarded-*` are believed, such as
   * `['10.0.0.0/8']`. Those that anybody else sends are replaced. Default none.
   */
  trust?: readonly string[];
  /** How requests are held while their tenant starts. */
  wake?: {
    /** How long a request waits; then 504. Default 30 000. */
    timeoutMs?: number;
    /** How many requests of one key wait; further ones are answered with 503. Default 1 000. */
    queue?: number;
  };
  /** What is too much. */
  limits?: GatewayLimits;
  /**
   * How long the open requests and WebSockets of a tenant that is to end may go on, and all of them
   * where the host leaves its tenants (`runtime.detach()`). Default 30 000.
   */
  drainMs?: number;
  /**
   * Called once for each request when it is over, a WebSocket when it ends. Events come in
   * batches, some milliseconds after the fact. What it throws is ignored. Of a host whose event
   * loop stands still, events beyond 65 536 are dropped and counted in `stats().accessDropped`.
   */
  onAccess?: (event: GatewayAccessEvent) => void;
  /**
   * Makes the page of an answer that the gateway gives itself. The built-in one is used when it
   * returns nothing, throws, or takes longer than a second, and over HTTP/1 for what is refused
   * unread: a head that is too large, too slow or can be read in two ways.
   */
  page?: (
    refusal: GatewayRefusal,
  ) => GatewayPage | null | undefined | void | Promise<GatewayPage | null | undefined | void>;
};

/** How a request leads to a key. */
export type GatewayRoute =
  /** The one label below the domain is the key: `key.example.com`. */
  | { by: 'subdomain'; domain: string }
  /**
   * The first segment of the path is the key: `/key/rest`. It is taken off, and told as
   * `X-Forwarded-Prefix`. `/key` leads to `/key/`.
   */
  | { by: 'path' }
  /** The key of each host, without port. */
  | { by: 'host'; hosts: Readonly<Record<string, string>> }
  /**
   * A function says the key, or `null` for a 404. It is asked once per host for all who wait; its
   * answers are remembered for `cacheMs` (default 10 000). A throw, a rejection, an invalid answer
   * or none within ten seconds is a 502, and not remembered.
   */
  | {
      by: 'ask';
      ask: (request: GatewayAsked) => string | null | Promise<string | null>;
      cacheMs?: number;
    };

/** The request that a route's `ask` is asked about. */
export type GatewayAsked = {
  /** The host in lower case, without port. */
  host: string;
  method: string;
  /** Without the query. */
  path: string;
  /** The client's address. */
  address: string;
};

/** Where a gateway listens. */
export type GatewayListen =
  /** A TCP socket. Defaults 127.0.0.1 and 3000; port 0 is any that is free. */
  | { hostname?: string; port?: number; path?: undefined; fd?: undefined }
  /** A unix socket, which is removed at `close`. With `tls` it speaks TLS, too. */
  | { path: string; hostname?: undefined; port?: undefined; fd?: undefined }
  /** A listening socket that the process has inherited, as from systemd. */
  | { fd: number; hostname?: undefined; port?: undefined; path?: undefined };

/** A certificate and its key, as PEM text. */
export type GatewayCertificate = {
  /** The certificate, followed by those that it is signed with. */
  cert: string;
  key: string;
};

/** One certificate, or several by name. */
export type GatewayCertificates =
  | GatewayCertificate
  | readonly (GatewayCertificate & {
      /**
       * The names that it is for, `*.example.com` too. By default those that the certificate
       * itself has. A client that asks for no known name gets the first certificate.
       */
      names?: readonly string[];
    })[];

/**
 * Asked for the certificate of a handshake. `null` ends the handshake, and so does a throw, or no
 * answer within ten seconds. `serverName` is `null` if the client names none.
 */
export type GatewayCertificateFunction = (
  serverName: string | null,
) => GatewayCertificate | null | Promise<GatewayCertificate | null>;

/** What is too much, and how it is answered. */
export type GatewayLimits = {
  /** Bytes of a request's head: 431. Default 16 384. */
  headerBytes?: number;
  /** Fields of a request's head: 431. Default 100. */
  headers?: number;
  /** For a request's head to be there: 408, or the connection is closed. Default 30 000. */
  headersTimeoutMs?: number;
  /**
   * Silence in the middle of a body, or a client that takes nothing of an answer: 408, or the
   * connection, over HTTP/2 the stream, is closed. Default 60 000.
   */
  bodyIdleTimeoutMs?: number;
  /** Bytes of a request's body: 413. Default none. */
  bodyBytes?: number;
  /**
   * Open connections; further ones are closed. Requests at once, of which a connection of HTTP/2
   * may have many, are at most 128 more: 503. Default 10 000.
   */
  connections?: number;
  /** Requests of one tenant at once: 503. Default none. */
  requestsPerTenant?: number;
  /** Requests a second from one address: 429. Default none. */
  requestsPerSecondPerAddress?: number;
};

/** A request that is over. */
export type GatewayAccessEvent = {
  /** `null` if it was for no tenant. */
  key: string | null;
  /** As the client sent it. Empty, like `method` and `path`, if it was refused unread. */
  host: string;
  method: string;
  /** Without the query. */
  path: string;
  /** 101 for a WebSocket; 499 if the client went away before an answer. */
  status: number;
  durationMs: number;
  /** If the tenant had to be woken: how long the request waited for it. */
  wokeMs?: number;
  /** Of the request's body. */
  bytesIn: number;
  /** Of the answer's body. */
  bytesOut: number;
  /** The client's; `127.0.0.1` for a unix socket. */
  address: string;
  /** In a fleet, if it was passed on: the id of the host that has its tenant. */
  peer?: string;
  /** When it came. */
  at: number;
};

/** Why the gateway answers a request itself. */
export type GatewayRefusal = {
  status: number;
  /** The cause in a word, such as `unknown-key`, `backing-off` or `not-ready`. */
  code: string;
  /** `null` if the request is for no tenant. */
  key: string | null;
  /** When another try may succeed; it is sent as `Retry-After`. */
  retryAfterMs?: number;
};

/** The page of an answer that the gateway gives itself. */
export type GatewayPage = {
  /**
   * Without a `content-type` it is HTML. Names and values are ASCII. With one that the gateway sets
   * itself (`connection`, `content-length`, `date`, `keep-alive`, `retry-after`, `te`,
   * `trailer`, `transfer-encoding`, `upgrade`) the built-in page is used.
   */
  headers?: Readonly<Record<string, string>>;
  body: string | Uint8Array;
};

/** Where a gateway listens. */
export type GatewayAddress = {
  /** `http://127.0.0.1:3000`, `https://…`, or `unix:/run/host.sock`. */
  url: string;
  hostname?: string;
  port?: number;
  /** Of a unix socket. */
  path?: string;
};

/** Figures of a gateway, or of one key. */
export type GatewayKeyStats = {
  /** Requests that are not over, those that wait and WebSockets included. */
  inFlight: number;
  /** Requests that wait for their tenant to be started. */
  waiting: number;
  /** Requests that are over, by class of their status. */
  requests: Record<'1xx' | '2xx' | '3xx' | '4xx' | '5xx', number>;
  /**
   * Of one key: how many of those of `5xx` are refusals of the gateway's, which the tenant has no part
   * in: too many requests at once, no room, a start that failed or took too long, back-off, a host
   * that ends. The others are the tenant's: its own answers, and what it broke off or did not
   * take. It is not enumerable.
   */
  readonly refused?: number;
  /**
   * Of one key: how many answers of its tenant began within `upToMs` of their request, and later than that of
   * the bucket before, waits for a start included. The last bucket is up to `Infinity`. Counted of
   * requests that come after the first call of `byKey`. It is not enumerable.
   */
  readonly answerHistogram?: { upToMs: number; count: number }[];
};

/** What a gateway does now, and has done since it was opened. */
export type GatewayStats = GatewayKeyStats & {
  connections: number;
  /** Requests that waited for a start and got their tenant. */
  wakes: number;
  /** How long they waited for it, in all. */
  wakeMs: number;
  /**
   * How many of them waited no longer than `upToMs`, and longer than that of the bucket before. The
   * last bucket is up to `Infinity`.
   */
  wakeHistogram: { upToMs: number; count: number }[];
  /** Bytes of requests' bodies. */
  bytesIn: number;
  /** Bytes of answers' bodies. */
  bytesOut: number;
  /** With `onAccess`, once it is not 0: events that were dropped. */
  accessDropped?: number;
  /** The figures of one key; all 0 if it had no requests. */
  byKey: (key: string) => GatewayKeyStats;
};

/** A gateway. A plain object: its methods need no `this` and can be destructured. */
export type Gateway = {
  /**
   * Resolves to the addresses once it listens, in the order of `listen`.
   *
   * @throws {RuntimeError} `ERR_RUNTIME_LISTEN` when it cannot listen at one of them; then it
   * listens at none, and is closed
   */
  readonly listening: Promise<GatewayAddress[]>;
  /** What it does now. Readable after `close` too. */
  stats: () => GatewayStats;
  /**
   * Replaces the certificates. Handshakes from now on have the new ones; open connections go on.
   *
   * @throws {TypeError} (`ERR_RUNTIME_INVALID_OPTION`) when they cannot be used, or the gateway has
   * none to replace: then nothing changes
   */
  setCertificates: (certificates: GatewayCertificates) => void;
  /**
   * Takes no more connections, lets open requests end, and closes what is left after `graceMs`
   * (default 10 000): WebSockets with 1001 (going away), which they have a second to confirm.
   * Resolves when no connection is left. Idempotent; concurrent calls share one. Tenants go on.
   */
  close: (options?: { graceMs?: number }) => Promise<void>;
  /** The same as `close`, for `await using gateway = createGateway(…)`. */
  [Symbol.asyncDispose]: () => Promise<void>;
};

/**
 * A runtime's metrics for Prometheus, with `prom-client` or without.
 *
 * Every metric's name begins with `absolute_runtime_`; seconds and bytes are the units. The number
 * of series does not depend on the number of tenants, unless `perTenant` asks for it.
 *
 * | metric | type | labels | |
 * |---|---|---|---|
 * | `tenants` | gauge | `state` | `queued`, `spawning`, `ready`, `asleep`, `stopping`, `stuck`, `backing-off`, `failed`, `stopped`, `checkpointed`: each always present |
 * | `queue_length` | gauge | | tenants waiting for room, or for their turn to be started |
 * | `max_tenants` | gauge | | `maxConcurrent` |
 * | `spawns_total` | counter | | processes started |
 * | `exits_total` | counter | `reason` | processes ended; each reason always present |
 * | `adoptions_total` | counter | | running processes taken over |
 * | `recoveries_total` | counter | | tenants found that have outlived an earlier host |
 * | `backoff_entries_total` | counter | | failed starts that put a tenant into back-off |
 * | `backoff_refusals_total` | counter | | calls refused because the tenant was backing off |
 * | `spawn_duration_seconds` | histogram | | from the start being decided until the process existed, as the host saw it, to the millisecond |
 * | `ready_duration_seconds` | histogram | | from the start being decided until it was ready; time in the queue is not part of it |
 * | `cpu_seconds_total` | counter | | CPU time of all processes so far, those that have ended included; of an adopted one from its first observation on |
 * | `resident_memory_bytes` | gauge | | memory of all live processes |
 * | `checkpoints_total`, `restores_total`, `restore_failures_total` | counter | | idle tenants saved, brought back, and not to be brought back |
 * | `restore_duration_seconds` | histogram | | how long bringing one back took |
 * | `sleeps_total`, `wakes_total` | counter | | tenants that fell asleep, and that were woken |
 * | `wake_duration_seconds` | histogram | | from the first who needed a sleeping tenant until it was awake, but for the time in the queue |
 * | `draining` | gauge | | 1 after `drain` |
 * | `uptime_seconds` | gauge | | how long the runtime has existed |
 * | `tenant_cpu_seconds_total` | counter | `key` | with `perTenant`: since the tenant's process began |
 * | `tenant_resident_memory_bytes` | gauge | `key` | with `perTenant` |
 * | `tenant_ready` | gauge | `key` | with `perTenant`: 1 or 0, for tenants that have a process; 1 of one that is asleep, too |
 * | `tenants_without_series` | gauge | | with `perTenant`: live tenants beyond the cap |
 *
 * Of a gateway (`attachGateway`):
 *
 * | metric | type | labels | |
 * |---|---|---|---|
 * | `gateway_connections` | gauge | | clients' open connections |
 * | `gateway_requests_in_flight` | gauge | | requests that are not over, those that wait and WebSockets included |
 * | `gateway_requests_waiting` | gauge | | requests that wait for their tenant to be started |
 * | `gateway_requests_total` | counter | `status` | requests that are over: `1xx` to `5xx`, each always present |
 * | `gateway_wake_duration_seconds` | histogram | | how long requests waited for the start of their tenant |
 * | `gateway_request_body_bytes_total`, `gateway_response_body_bytes_total` | counter | | bytes of bodies |
 *
 * CPU time and memory are as fresh as the last observation: see the runtime's `observeIntervalMs`.
 *
 * @packageDocumentation
 */
import type { Gateway } from './gateway.js';
import type { Runtime, RuntimeOptions } from './index.js';

/**
 * Creates a collector. It counts a runtime's events from the moment that the runtime is attached,
 * and reads its tenants only when metrics are scraped.
 *
 * @throws {TypeError} (`ERR_RUNTIME_INVALID_OPTION`) on invalid options, naming the option by its
 * path
 *
 * @example
 * ```ts
 * import { createRuntime } from '@absolutejs/runtime';
 * import { createRuntimeCollector } from '@absolutejs/runtime/prometheus';
 *
 * const collector = createRuntimeCollector();
 * const runtime = collector.attach(createRuntime, { source: { kind: 'directory', root: './tenants' } });
 * Bun.serve({ port: 9464, fetch: collector.fetch });
 * ```
 *
 * @example With prom-client, beside metrics of your own:
 * ```ts
 * import { register } from 'prom-client';
 *
 * const collector = createRuntimeCollector({ registers: [register] });
 * const runtime = collector.attach(createRuntime, { source });
 * const text = await register.metrics();
 * ```
 */
export function createRuntimeCollector(options?: RuntimeCollectorOptions): RuntimeCollector;

/** What `createRuntimeCollector` takes. Everything is optional. */
export type RuntimeCollectorOptions = {
  /** What every metric's name begins with. Default `absolute_runtime_`. */
  prefix?: string;
  /**
   * Put on every series, such as `{ pool: 'eu-1' }`. Not `key`, `le`, `reason` or `state`. Default
   * none.
   */
  labels?: Readonly<Record<string, string>>;
  /**
   * Adds series for single tenants, labelled by `key`. Off by default, because each series costs
   * Prometheus memory.
   *
   * When more than `max` tenants are alive, the ones that use most get series, by the larger of a
   * tenant's share of all CPU time and its share of all memory; `tenants_without_series` says how
   * many are left out, and the totals include what they use. Series of tenants that are gone
   * disappear.
   */
  perTenant?: {
    /** For how many tenants at most, in each runtime. */
    max: number;
  };
  /** Registries of prom-client (14 or newer) that show these metrics too. Default none. */
  registers?: readonly PromClientRegistry[];
};

/** A plain object: its methods need no `this`. */
export type RuntimeCollector = {
  /**
   * Creates a runtime whose events the collector counts, and returns it. Your own `onMetrics` and
   * `onTransition` are called as without it. Observations are on, as with an `onMetrics`:
   * `observeIntervalMs` sets how often.
   *
   * @param create what creates it: `createRuntime`, or a function of yours that passes the options
   * on
   * @param options the runtime's
   * @param labels tell this runtime's series from those of others on the same collector. Default
   * none.
   * @throws {TypeError} (`ERR_RUNTIME_INVALID_OPTION`) when another attached runtime has the same
   * labels, or `create` returns no runtime; and what `create` throws
   *
   * @example Two pools in one process:
   * ```ts
   * const apps = collector.attach(createRuntime, { source: appsSource }, { pool: 'apps' });
   * const jobs = collector.attach(createRuntime, { source: jobsSource }, { pool: 'jobs' });
   * ```
   */
  attach: <R extends ObservedRuntime>(
    create: (options: RuntimeOptions) => R,
    options: RuntimeOptions,
    labels?: Readonly<Record<string, string>>,
  ) => R;
  /**
   * Shows a gateway's figures, too, and returns it.
   *
   * @param labels tell this gateway's series from those of others on the same collector. Default
   * none.
   * @throws {TypeError} (`ERR_RUNTIME_INVALID_OPTION`) when another attached gateway has the same
   * labels, or one is named `status`
   *
   * @example
   * ```ts
   * collector.attachGateway(createGateway({ runtime, route: { by: 'path' } }));
   * ```
   */
  attachGateway: <G extends ObservedGateway>(
    gateway: G,
    labels?: Readonly<Record<string, string>>,
  ) => G;
  /**
   * Forgets a runtime or a gateway: its series disappear, and its labels can be used again. One
   * that is disposed or closed is shown until then, so that its last numbers are scraped. For one
   * that is not attached nothing happens.
   */
  detach: (observed: ObservedRuntime | ObservedGateway) => void;
  /**
   * All metrics as text, and the content type to send along: OpenMetrics 1.0 if `accept` asks for
   * it, and otherwise Prometheus's text format 0.0.4.
   *
   * @param accept the `Accept` header of the request
   *
   * @example With Node's server:
   * ```ts
   * createServer((request, response) => {
   *   const { contentType, body } = collector.expose(request.headers.accept);
   *   response.setHeader('content-type', contentType).end(body);
   * }).listen(9464);
   * ```
   */
  expose: (accept?: string | null) => { contentType: string; body: string };
  /** Answers any request with `expose`: a handler for `Bun.serve` and others that take one. */
  fetch: (request: Request) => Response;
};

/** What the collector reads of a runtime. */
export type ObservedRuntime = Pick<Runtime, 'metrics' | 'list' | 'inspect'>;

/** What the collector reads of a gateway. */
export type ObservedGateway = Pick<Gateway, 'stats'>;

/** The part of prom-client's `Registry` that is used. */
export type PromClientRegistry = {
  /** Adds a metric. */
  registerMetric: (metric: any) => void;
  /** The metric of that name, if there is one. */
  getSingleMetric: (name: string) => unknown;
};

/** The metrics of a gateway, from its `stats()`. */
import { counter, gauge, histogram, labelled } from './families.js';

/** @typedef {import('../../prometheus.js').ObservedGateway} ObservedGateway */
/** @typedef {{ labels: Record<string, string>, stats: ReturnType<ObservedGateway['stats']> }} GatewaySnapshot */
/** @typedef {import('./families.js').Family<GatewaySnapshot>} GatewayFamily */
/** @typedef {import('./families.js').Sample} Sample */

/** The label that tells answers apart; a gateway's own labels may not have it. */
export const STATUS_LABEL = 'status';

/** @type {GatewayFamily[]} */
export const OF_A_GATEWAY = [
  gauge('gateway_connections', "Clients' open connections.", ({ stats }) => [
    { value: stats.connections },
  ]),
  gauge(
    'gateway_requests_in_flight',
    'Requests that are not over, those that wait for their tenant and WebSockets included.',
    ({ stats }) => [{ value: stats.inFlight }],
  ),
  gauge(
    'gateway_requests_waiting',
    'Requests that wait for their tenant to be started.',
    ({ stats }) => [{ value: stats.waiting }],
  ),
  counter('gateway_requests', 'Requests that are over, by class of their status.', ({ stats }) =>
    labelled(STATUS_LABEL, stats.requests),
  ),
  histogram(
    'gateway_wake_duration_seconds',
    'How long requests waited for the start of their tenant.',
    wakes,
  ),
  counter('gateway_request_body_bytes', "Bytes of requests' bodies.", ({ stats }) => [
    { value: stats.bytesIn },
  ]),
  counter('gateway_response_body_bytes', "Bytes of answers' bodies.", ({ stats }) => [
    { value: stats.bytesOut },
  ]),
];

/**
 * The cumulative buckets, the sum in seconds and the count.
 * @param {GatewaySnapshot} snapshot
 * @returns {Sample[]}
 */
function wakes({ stats: { wakeHistogram, wakeMs } }) {
  let count = 0;
  const buckets = wakeHistogram.map((bucket) => {
    count += bucket.count;
    return { suffix: '_bucket', labels: { le: boundText(bucket.upToMs / 1000) }, value: count };
  });
  return [...buckets, { suffix: '_sum', value: wakeMs / 1000 }, { suffix: '_count', value: count }];
}

/** As OpenMetrics writes a bound. @param {number} bound */
function boundText(bound) {
  if (bound === Infinity) return '+Inf';
  return Number.isInteger(bound) ? `${bound}.0` : `${bound}`;
}

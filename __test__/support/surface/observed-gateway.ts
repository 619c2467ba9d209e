/** A gateway as a collector sees it, with figures of the test's. */
import type { ObservedGateway } from '@absolutejs/runtime/prometheus';

export const gatewayWith = (): ObservedGateway => ({
  stats: () => ({
    connections: 3,
    inFlight: 2,
    waiting: 1,
    requests: { '1xx': 1, '2xx': 20, '3xx': 0, '4xx': 4, '5xx': 0 },
    wakes: 5,
    wakeMs: 500,
    wakeHistogram: [
      { upToMs: 10, count: 4 },
      { upToMs: 1_000, count: 1 },
      { upToMs: Infinity, count: 0 },
    ],
    bytesIn: 100,
    bytesOut: 200,
    byKey: () => ({
      inFlight: 0,
      waiting: 0,
      requests: { '1xx': 0, '2xx': 0, '3xx': 0, '4xx': 0, '5xx': 0 },
    }),
  }),
});

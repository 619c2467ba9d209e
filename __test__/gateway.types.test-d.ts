// What gateway.d.ts must accept, infer and reject. `tsc` checks this file; nothing runs it.
import { createRuntime, type RuntimeOptions } from '@absolutejs/runtime';
import {
  createGateway,
  type Gateway,
  type GatewayAccessEvent,
  type GatewayAddress,
  type GatewayKeyStats,
  type GatewayOptions,
  type GatewayStats,
} from '@absolutejs/runtime/gateway';
import { createRuntimeCollector } from '@absolutejs/runtime/prometheus';

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function assertType<_T extends true>(): void {}

const runtime = createRuntime({ source: { kind: 'directory', root: 'tenants' } });
const route = { by: 'path' } as const;
const pem = { cert: '', key: '' };

// Options: runtime and route are required, and all of them together are accepted.
const gateway: Gateway = createGateway({ runtime, route });
const everyOption: Required<GatewayOptions> = {
  runtime,
  route: { by: 'subdomain', domain: 'localhost' },
  listen: [{ port: 0 }, { hostname: '::1' }, { path: '/run/host.sock' }, { fd: 3 }, {}],
  tls: [{ ...pem, names: ['example.com'] }, pem],
  trust: ['10.0.0.0/8'],
  wake: { timeoutMs: 1, queue: 1 },
  limits: {
    headerBytes: 16_384,
    headers: 100,
    headersTimeoutMs: 1,
    bodyIdleTimeoutMs: 1,
    bodyBytes: 1,
    connections: 1,
    requestsPerTenant: 1,
    requestsPerSecondPerAddress: 1,
  },
  drainMs: 1,
  onAccess: ({ key, path }) => void [key?.length, path],
  page: ({ status, code, key, retryAfterMs }) => ({
    headers: { 'content-type': 'text/plain' },
    body: `${status} ${code} ${key?.length} ${retryAfterMs?.toFixed()}`,
  }),
};
createGateway(everyOption);
createGateway({ runtime, route: { by: 'host', hosts: { 'a.example': 'a' } }, tls: pem });
createGateway({ runtime, route: { by: 'ask', ask: ({ host }) => host || null } });
createGateway({ runtime, route: { by: 'ask', ask: async () => null, cacheMs: 1 } });
createGateway({ runtime, route, tls: async (name) => (name === null ? null : pem) });
createGateway({ runtime, route, page: async () => ({ body: new Uint8Array() }) });
createGateway({ runtime, route, page: () => {} });
const extended = (options: RuntimeOptions) => ({ ...createRuntime(options), name: 'apps' });
createGateway({ runtime: extended({ source: { kind: 'directory', root: 'a' } }), route });

// @ts-expect-error runtime is required
createGateway({ route });
// @ts-expect-error route is required
createGateway({ runtime });
// @ts-expect-error a domain is required
createGateway({ runtime, route: { by: 'subdomain' } });
// @ts-expect-error no such way to route
createGateway({ runtime, route: { by: 'header' } });
// @ts-expect-error a path and a port
createGateway({ runtime, route, listen: { path: '/a', port: 1 } });
// @ts-expect-error a key without a certificate
createGateway({ runtime, route, tls: { key: '' } });
// @ts-expect-error an unknown option
createGateway({ runtime, route, hosts: {} });
// @ts-expect-error an unknown limit
createGateway({ runtime, route, limits: { header: 1 } });

// What comes out.
assertType<Equal<Awaited<Gateway['listening']>, GatewayAddress[]>>();
assertType<Equal<ReturnType<Gateway['stats']>, GatewayStats>>();
assertType<Equal<ReturnType<GatewayStats['byKey']>, GatewayKeyStats>>();
assertType<Equal<GatewayAccessEvent['key'], string | null>>();
assertType<Equal<GatewayAccessEvent['wokeMs'], number | undefined>>();
const { close, setCertificates, stats } = gateway;
await close();
await close({ graceMs: 0 });
setCertificates(pem);
setCertificates([pem, { ...pem, names: ['a'] }]);
stats().requests['2xx'].toFixed();
await using scoped = createGateway({ runtime, route });

// A collector shows it, and gives it back as it is.
const collector = createRuntimeCollector();
const shown = collector.attachGateway(scoped, { pool: 'eu' });
assertType<Equal<typeof shown, Gateway>>();
collector.detach(gateway);
// @ts-expect-error no gateway
collector.attachGateway({});

import { afterAll, expect, test } from 'bun:test';
import { createRuntime } from '@absolutejs/runtime';
import { createGateway } from '@absolutejs/runtime/gateway';

const runtime = createRuntime({ source: { kind: 'directory', root: 'tenants' } });
afterAll(() => runtime.dispose());
const route = { by: 'path' };

function refusal(options: unknown): { code?: string; message: string; name: string } {
  try {
    createGateway(options as never);
  } catch (error) {
    return error as Error;
  }
  throw new Error('the options were accepted');
}
const wrong = (options: object) => refusal({ runtime, route, ...options });
const certificate = { cert: '-----BEGIN CERTIFICATE-----', key: '-----BEGIN PRIVATE KEY-----' };

test.each([
  ['routes is not an option; did you mean route?', { routes: 1 }],
  [
    'limits.headerByte is not an option; did you mean limits.headerBytes?',
    { limits: { headerByte: 1 } },
  ],
  ['wake.timeoutMS is not an option; did you mean wake.timeoutMs?', { wake: { timeoutMS: 1 } }],
  ['listen.host is not an option', { listen: { host: 'a' } }],
  ['listen[1].ports is not an option', { listen: [{}, { ports: 1 }] }],
  [
    'route.domains is not an option; did you mean route.domain?',
    { route: { by: 'subdomain', domains: 'a' } },
  ],
  ['route.domain is not an option', { route: { by: 'path', domain: 'a' } }],
  ['tls.certs is not an option; did you mean tls.cert?', { tls: { certs: '' } }],
])('%s', (message, options) => {
  const error = wrong(options);
  expect(error.message).toStartWith(message);
  expect(error).toMatchObject({ code: 'ERR_RUNTIME_INVALID_OPTION', name: 'TypeError' });
});

test.each<[string, object]>([
  ['runtime must be what createRuntime returned, got undefined', { runtime: undefined }],
  ['runtime must be what createRuntime returned, got an object', { runtime: {} }],
  ['route must be { by: "subdomain", domain }', { route: undefined }],
  [
    'route.by must be "subdomain", "path", "host" or "ask", got "toString"',
    { route: { by: 'toString' } },
  ],
  [
    'route.domain must be the name of a host, without port, got "a:1"',
    { route: { by: 'subdomain', domain: 'a:1' } },
  ],
  [
    'route.domain must be the name of a host: write it as it is sent, xn--...',
    { route: { by: 'subdomain', domain: 'bücher.de' } },
  ],
  ['route.hosts must be a record of keys by host, got undefined', { route: { by: 'host' } }],
  [
    'route.hosts["a b"] must be the name of a host',
    { route: { by: 'host', hosts: { 'a b': 'a' } } },
  ],
  [
    'route.hosts.a: Tenant key "../x" must not contain',
    { route: { by: 'host', hosts: { a: '../x' } } },
  ],
  ['route.hosts has the host "a" twice', { route: { by: 'host', hosts: { a: 'a', 'A.': 'b' } } }],
  ['route.ask must be a function, got "key"', { route: { by: 'ask', ask: 'key' } }],
  ['route.cacheMs must be a number of at least 0', { route: { by: 'ask', ask() {}, cacheMs: -1 } }],
  ['listen must be a place to listen at, or several, got an empty array', { listen: [] }],
  ['listen.port must be a whole number from 0 to 65535, got 65536', { listen: { port: 65_536 } }],
  ['listen.hostname must be an address or a name, got "a b"', { listen: { hostname: 'a b' } }],
  [
    'listen must have one of hostname and port, path, or fd, and has several',
    { listen: { port: 1, path: '/a' } },
  ],
  ['listen.fd must be the number of a descriptor, got -1', { listen: { fd: -1 } }],
  ['listen.path must not be longer than 107 bytes', { listen: { path: `/${'x'.repeat(107)}` } }],
  [
    'tls.cert must be PEM text with a "CERTIFICATE" block',
    { tls: { ...certificate, cert: 'cert.pem' } },
  ],
  ['tls[0].names must be an array of names', { tls: [{ ...certificate, names: ['a b'] }] }],
  ['tls: the certificate cannot be read', { tls: certificate }],
  ['trust must be an array of ranges, got "10.0.0.0/8"', { trust: '10.0.0.0/8' }],
  [
    'trust[1] must be an address or a range such as 10.0.0.0/8, got "10.0.0.0/33"',
    { trust: ['::1', '10.0.0.0/33'] },
  ],
  ['wake.timeoutMs must be a number of at least 1, got 0', { wake: { timeoutMs: 0 } }],
  ['wake.queue must be a whole number of at least 0, got 1.5', { wake: { queue: 1.5 } }],
  [
    'limits.headerBytes must be a whole number from 1024 to 1048576, got Infinity',
    { limits: { headerBytes: Infinity } },
  ],
  ['limits.bodyBytes must be a whole number of at least 0, got -1', { limits: { bodyBytes: -1 } }],
  ['drainMs must be a number of at least 0, got "1"', { drainMs: '1' }],
  ['onAccess must be a function, got "log"', { onAccess: 'log' }],
  ['page must be a function, got an object', { page: {} }],
])('%s', (message, options) => {
  const error = wrong(options);
  expect(error.message).toStartWith(message);
  expect(error.code).toBe('ERR_RUNTIME_INVALID_OPTION');
});

test('what a getter throws becomes an error that names the option', () => {
  const options = {
    runtime,
    route,
    get limits() {
      throw new Error('of the user');
    },
  };
  expect(refusal(options).message).toBe('limits cannot be read: of the user');
});

test('a runtime that has been disposed is refused, and a copy of one is a runtime', async () => {
  const other = createRuntime({ source: { kind: 'directory', root: 'tenants' } });
  const gateway = createGateway({
    runtime: { ...other },
    route: { by: 'path' },
    listen: { port: 0 },
  });
  await gateway.close();
  await other.dispose();
  expect(refusal({ runtime: other, route }).code).toBe('ERR_RUNTIME_DISPOSED');
});

// What createFleet and etcd take is checked at once, with errors that name what is wrong.
import { afterAll, expect, test } from 'bun:test';
import { createRuntime } from '@absolutejs/runtime';
import { createFleet, etcd } from '@absolutejs/runtime/fleet';
import { createGateway } from '@absolutejs/runtime/gateway';
import { tmpdir } from 'node:os';
import { inspect } from 'node:util';

const source = { kind: 'directory', root: 'tenants' } as const;
const runtime = createRuntime({ source });
const other = createRuntime({ source });
const gateway = createGateway({ runtime: other, route: { by: 'path' }, listen: { port: 0 } });
afterAll(() => Promise.all([runtime.dispose(), other.dispose()]));

const store = etcd({ endpoints: ['http://127.0.0.1:2379'] });
const host = { id: 'eu-1', address: 'http://10.0.0.5:7070' };
const secret = 'sixteen bytes ok';
const right = { runtime, store, host, secret };

type Refusal = { code?: string; message: string; name: string };

function refusalOf(call: () => unknown): Refusal {
  try {
    call();
  } catch (error) {
    return error as Refusal;
  }
  throw new Error('the options were accepted');
}

const wrong = (options: object) => refusalOf(() => createFleet({ ...right, ...options } as never));
const wrongStore = (options: object) =>
  refusalOf(() => etcd({ endpoints: ['http://127.0.0.1:2379'], ...options } as never));

const CERT = '-----BEGIN CERTIFICATE-----';
const KEY = '-----BEGIN PRIVATE KEY-----';

test.each<[string, object]>([
  ['hosts is not an option; did you mean host?', { hosts: 1 }],
  ['leaseMS is not an option; did you mean leaseMs?', { leaseMS: 5_000 }],
  ['runtime must be what createRuntime returned, got undefined', { runtime: undefined }],
  ['gateway must be what createGateway returned, got an object', { gateway: {} }],
  ['gateway[0] must be what createGateway returned, got 7', { gateway: [7, gateway] }],
  ['gateway is in front of another runtime', { gateway }],
  ['store must be what etcd() returned, got undefined', { store: undefined }],
  ['store must be what etcd() returned, got an object', { store: { kind: 'etcd' } }],
  ['host must be { id, address }, got undefined', { host: undefined }],
  ['host must be { id, address }, got "eu-1"', { host: 'eu-1' }],
  ['host.adress is not an option; did you mean host.address?', { host: { ...host, adress: '' } }],
  ...[undefined, '', 'a/b', 'a b', 'ü', 'a\n', 7, 'x'.repeat(129)].map((id): [string, object] => [
    'host.id must be a name of at most 128 printable ASCII characters without spaces and slashes',
    { host: { ...host, id } },
  ]),
  ['host.zone must be a name of at most 128', { host: { ...host, zone: 'a b' } }],
  ...[
    ...[undefined, '', '10.0.0.5:7070', 'ftp://10.0.0.5', 'http://10.0.0.5:7070/path'],
    ...['http://user@10.0.0.5', 'http://10.0.0.5:70700', 'http://10.0.0.5?x', 7],
  ].map((address): [string, object] => [
    'host.address must be http://host:port or https://host:port without a path, got ',
    { host: { ...host, address } },
  ]),
  ...[0, -1, NaN, Infinity, 1e7].map((weight): [string, object] => [
    'host.weight must be ',
    { host: { ...host, weight } },
  ]),
  ...[1_000, 2_500, 0, -5_000, '5000', Infinity, 86_401_000].map((leaseMs): [string, object] => [
    'leaseMs must be whole seconds in milliseconds, from 2000 to 86400000, got ',
    { leaseMs },
  ]),
  ['drainMs must be a number of at least 0, got -1', { drainMs: -1 }],
  ['onEvent must be a function, got 7', { onEvent: 7 }],
  [
    'one of secret and tls says which hosts are of the fleet: neither is given',
    { secret: undefined },
  ],
  [
    'one of secret and tls says which hosts are of the fleet: both are given',
    { tls: { cert: CERT, key: KEY, ca: CERT } },
  ],
  ['secret must have from 16 to 4096 bytes, and has 5: ', { secret: 'short' }],
  ['secret must be a text or bytes', { secret: 7 }],
  ['tls.ca must be PEM text', { secret: undefined, tls: { cert: CERT, key: KEY } }],
  [
    'tls.ce is not an option; did you mean tls.ca?',
    { secret: undefined, tls: { cert: CERT, key: KEY, ca: CERT, ce: 1 } },
  ],
])('%s', (message, options) => {
  const error = wrong(options);
  expect(error.message).toStartWith(message);
  expect(error).toMatchObject({ code: 'ERR_RUNTIME_INVALID_OPTION', name: 'TypeError' });
});

test.each<[string, object]>([
  ['endpoint is not an option; did you mean endpoints?', { endpoint: 1 }],
  ...[undefined, 'http://127.0.0.1:2379', [], {}].map((endpoints): [string, object] => [
    'endpoints must be an array of addresses such as "http://127.0.0.1:2379", got ',
    { endpoints },
  ]),
  ['endpoints[1] must be http://host:port', { endpoints: ['http://a:1', 'a:2379'] }],
  ...['absolute', '/absolute', 'absolute/', '//', '/a b/', 7].map((prefix): [string, object] => [
    'prefix must begin and end with a slash, as "/absolute/" does',
    { prefix },
  ]),
  ['ca is needed for https://a:2379: ', { endpoints: ['https://a:2379'] }],
  ['cert and key are for each other: give both, or none', { ca: CERT, cert: CERT }],
  ['cert and key also need ca', { cert: CERT, key: KEY }],
  ['user and password are for each other: give both, or none', { user: 'a' }],
  ['password must be a text that is not empty', { user: 'a', password: 7 }],
  ['ca must be PEM text with a "CERTIFICATE" block', { ca: '/etc/ca.pem' }],
])('etcd: %s', (message, options) => {
  const error = wrongStore(options);
  expect(error.message).toStartWith(message);
  expect(error).toMatchObject({ code: 'ERR_RUNTIME_INVALID_OPTION', name: 'TypeError' });
});

test('what does not fit is not shown where it may be a secret', () => {
  expect(wrong({ secret: 'hunter2' }).message).not.toContain('hunter2');
  expect(wrongStore({ user: 'root', password: '' }).message).toBe(
    'password must be a text that is not empty',
  );
  const given = etcd({ endpoints: ['http://a:1'], user: 'root', password: 'hunter2' });
  expect(inspect(given, { showHidden: false }) + JSON.stringify(given)).not.toContain('hunter2');
  expect(Object.isFrozen(given)).toBe(true);
});

test('a runtime whose tenants outlive their host, or are saved, is refused', async () => {
  const unused = async () => false;
  const driver = { checkpoint: unused, restore: unused, has: unused, drop: unused };
  const surviving = createRuntime({ source, survive: { name: 'fleet-options' } });
  const saving = createRuntime({ source, checkpoint: { driver } as never, idleAfterMs: 1_000 });
  expect(wrong({ runtime: surviving }).message).toStartWith('runtime has the option survive');
  expect(wrong({ runtime: saving }).message).toStartWith('runtime has the option checkpoint');
  await Promise.all([surviving.dispose(), saving.dispose()]);
});

test('a runtime that is disposed is refused', async () => {
  const disposed = createRuntime({ source: { kind: 'directory', root: tmpdir() } });
  await disposed.dispose();
  expect(wrong({ runtime: disposed }).code).toBe('ERR_RUNTIME_DISPOSED');
});

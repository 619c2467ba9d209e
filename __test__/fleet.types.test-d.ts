// What fleet.d.ts must accept, infer and reject. `tsc` checks this file; nothing runs it.
import { createRuntime } from '@absolutejs/runtime';
import {
  createFleet,
  etcd,
  type Fleet,
  type FleetEvent,
  type FleetHost,
  type FleetOptions,
  type FleetOwner,
  type FleetPlace,
  type FleetStore,
} from '@absolutejs/runtime/fleet';
import { createGateway } from '@absolutejs/runtime/gateway';

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <_ extends true>() => {};

const runtime = createRuntime({ source: { kind: 'directory', root: './tenants' } });
const gateway = createGateway({ runtime, route: { by: 'path' } });
const store: FleetStore = etcd({ endpoints: ['http://127.0.0.1:2379'] });
const host = { id: 'eu-1', address: 'http://10.0.0.5:7070' };

const fleet: Fleet = createFleet({ runtime, store, host, secret: 'sixteen bytes ok' });
createFleet({
  runtime,
  gateway: [gateway],
  store: etcd({ endpoints: ['https://a:2379'], prefix: '/a/', user: 'u', password: 'p', ca: '' }),
  host: { ...host, weight: 2, zone: 'eu' },
  leaseMs: 5_000,
  tls: { cert: '', key: '', ca: '' },
  drainMs: 0,
  onEvent: (event) => void event.at,
});
createFleet({ runtime, gateway, store, host, secret: new Uint8Array(16) });

// @ts-expect-error no host
createFleet({ runtime, store, secret: '' });
// @ts-expect-error an id is needed
createFleet({ runtime, store, host: { address: '' }, secret: '' });
// @ts-expect-error a store comes from etcd()
createFleet({ runtime, store: { endpoints: [] }, host, secret: '' });
// @ts-expect-error user and password belong to etcd
createFleet({ runtime, store, host, secret: '', user: '' });
// @ts-expect-error endpoints are an array
etcd({ endpoints: 'http://127.0.0.1:2379' });

is<Equal<Parameters<typeof createFleet>, [options: FleetOptions]>>();
is<Equal<ReturnType<Fleet['ensure']>, Promise<FleetPlace>>>();
is<Equal<ReturnType<Fleet['where']>, FleetOwner | null>>();
is<Equal<ReturnType<Fleet['hosts']>, FleetHost[]>>();
is<Equal<Fleet['joined'], Promise<void>>>();
is<Equal<FleetPlace['port'], number | undefined>>();
is<
  Equal<
    FleetEvent['kind'],
    | 'claim'
    | 'lost'
    | 'moved'
    | 'fenced'
    | 'host-joined'
    | 'host-gone'
    | 'drain-asked'
    | 'id-taken'
    | 'rolled-back'
  >
>();
const told = (event: FleetEvent) => (event.kind === 'moved' ? event.to : event.at);
void told;

const { ensure, where, hosts, drain, close } = fleet;
void [ensure, where, hosts, drain, close];

// A host of a fleet is told so by flags, and shows the fleet.
import { expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createControl } from '@absolutejs/runtime/control';
import { createRuntime } from '@absolutejs/runtime';
import { readSettings } from '../../lib/command/settings.js';
import { createEtcd } from '../../scripts/lib/etcd.mjs';
import { directory, run, start } from '../support/command/run.ts';
import { program } from '../support/etcd.ts';

async function read(flags: Record<string, string>) {
  using place = directory();
  mkdirSync(join(place.path, 'tenants'));
  return readSettings({ flags, directory: undefined, env: {}, cwd: place.path });
}

const all = {
  fleet: 'etcd://10.0.0.2:2379',
  'host-address': 'http://10.0.0.5:7070',
  'fleet-secret-file': '/run/fleet.secret',
};

test.each<[string, object]>([
  ['etcd://10.0.0.2:2379', { endpoints: ['http://10.0.0.2:2379'] }],
  ['etcd://a:1,b:2/absolute', { endpoints: ['http://a:1', 'http://b:2'], prefix: '/absolute/' }],
  ['etcd://[::1]:2379/a/b/', { endpoints: ['http://[::1]:2379'], prefix: '/a/b/' }],
  ['etcd://a:1/', { endpoints: ['http://a:1'] }],
])('--fleet %s', async (fleet, store) => {
  expect((await read({ ...all, fleet })).values.fleet).toEqual(store);
});

test('without it there is no fleet', async () => {
  expect((await read({})).values.fleet).toBeNull();
});

test.each<[Record<string, string>, string]>([
  ...['10.0.0.2:2379', 'etcd://', 'etcd://a', 'etcd://a:1,', 'http://a:1', 'etcd://a:1/a b'].map(
    (fleet): [Record<string, string>, string] => [
      { ...all, fleet },
      '--fleet must be an address such as etcd://10.0.0.2:2379,10.0.0.3:2379/absolute, or off, got ',
    ],
  ),
  [{ ...all, 'host-id': 'a/b' }, '--host-id must be a name of at most 128 letters'],
  [{ ...all, 'host-address': '10.0.0.5' }, '--host-address must be an address such as http://'],
  [
    { fleet: all.fleet },
    '--fleet also needs --host-address\n--fleet also needs --fleet-secret-file',
  ],
  [{ 'host-id': 'eu-1' }, '--host-id also needs --fleet'],
  [{ ...all, survive: 'apps' }, '--survive cannot be with --fleet'],
])('%p is refused', async (flags, message) => {
  const error = await read(flags).catch((refused) => refused);
  expect(error.message).toStartWith(message);
});

test('hosts shows the fleet as the host sees it', async () => {
  using place = directory();
  const runtime = createRuntime({ source: { kind: 'directory', root: place.path } });
  const control = createControl({ runtime, path: place.socket });
  await control.listening;
  const hosts = (...more: string[]) => run(['hosts', '--control', place.socket, ...more]);
  expect(await hosts()).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('this host is in no fleet'),
  });
  const { core } = (runtime.list as any)[Symbol.for('@absolutejs/runtime.core')]();
  const eu1 = {
    id: 'eu-1',
    address: 'http://10.0.0.5:7070',
    state: 'live',
    tenants: 12,
    weight: 1,
  };
  const eu2 = { ...eu1, id: 'eu-2\x1b[2J', state: 'draining', tenants: 0, zone: 'rack-2' };
  core.fleet = { id: 'eu-1', where: () => null, hosts: () => [eu1, eu2], close: async () => {} };
  const { stdout } = await hosts();
  expect(stdout).toMatch(/^HOST +STATE +TENANTS +WEIGHT +ZONE +ADDRESS$/m);
  expect(stdout).toMatch(/^eu-1 +live +12 +1 +http:\/\/10\.0\.0\.5:7070$/m);
  expect(stdout).toMatch(/^eu-2␛\[2J +draining +0 +1 +rack-2/m);
  expect(JSON.parse((await hosts('--json')).stdout)).toEqual([eu1, eu2]);
  core.fleet.hosts = () => [];
  expect((await hosts()).stderr).toContain('eu-1 has not joined its fleet yet.');
  await runtime.dispose();
});

test.skipIf(program === undefined)(
  'the last host of a fleet has nobody to pass its tenants to, and does not wait for anybody',
  async () => {
    using place = directory();
    const tenant = join(place.path, 'tenants', 'hello');
    mkdirSync(tenant, { recursive: true });
    const server = "bun -e 'Bun.serve({ port: process.env.PORT, fetch: () => new Response() })'";
    writeFileSync(join(tenant, 'package.json'), JSON.stringify({ scripts: { start: server } }));
    const secret = join(place.path, 'secret');
    writeFileSync(secret, 'sixteen bytes ok');
    const etcd = await createEtcd({ program });
    const fleet = `${etcd.endpoints[0]?.replace('http', 'etcd')}`;
    const host = start([
      ...['serve', join(place.path, 'tenants'), '--port', '0', '--control', place.socket],
      ...['--fleet', fleet, '--fleet-secret-file', secret],
      ...['--host-address', 'http://127.0.0.1:17073'],
    ]);
    try {
      const [, port] = await host.says(/hello\.localhost:(\d+)/);
      const headers = { host: 'hello.localhost' };
      expect((await fetch(`http://127.0.0.1:${port}/`, { headers })).status).toBe(200);
      expect(await host.end('SIGTERM')).toMatchObject({ code: 0 });
    } finally {
      host.process.kill('SIGKILL');
      await etcd.close();
    }
  },
  60_000,
);

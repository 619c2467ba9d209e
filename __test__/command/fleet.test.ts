// A host of a fleet is told so by flags, and shows the fleet.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createControl } from '@absolutejs/runtime/control';
import { createRuntime } from '@absolutejs/runtime';
import { tell } from '../../lib/command/serve/banner.js';
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
      expect(host.stderr).toMatch(
        /^ {2}fleet +\S+, which others reach at http:\/\/127\.0\.0\.1:17073;/m,
      );
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

describe('the fleet of a host, whose member the test plays', () => {
  const place = directory();
  const runtime = createRuntime({ source: { kind: 'directory', root: place.path } });
  const control = createControl({ runtime, path: place.socket });
  const { core } = (runtime.list as any)[Symbol.for('@absolutejs/runtime.core')]();
  const command = (...words: string[]) => run([...words, '--control', place.socket]);
  const ps = (...more: string[]) => command('ps', '--fleet', ...more);

  const host = (id: string, state: string, tenants: number) =>
    ({ id, address: `http://${id}:7070`, state, tenants, weight: 1 }) as any;
  const claim = (key: string, host: string, isVoid = false) =>
    ({ key, host, epoch: `1${key.length}`, isVoid }) as const;
  const CLAIMS = [
    ...[claim('a', 'eu-1'), claim('bb', 'eu-2'), claim('c\x1b[2J', 'eu-2')],
    ...[claim('dd', 'eu-3'), claim('e', 'eu-4', true)],
  ];
  /** What each host says, or why it does not. */
  let answers: Record<string, unknown> = {};
  let hosts: any[] = [];
  const asked: string[][] = [];

  beforeAll(() => control.listening);
  afterAll(async () => {
    await runtime.dispose();
    place[Symbol.dispose]();
  });

  function play() {
    asked.length = 0;
    answers = {
      'eu-1': [['a', 'running']],
      'eu-2': [['bb', 'failed']],
      'eu-3': new Error('it does not answer'),
    };
    hosts = [host('eu-1', 'live', 1), host('eu-2', 'live', 2), host('eu-3', 'draining', 1)];
    core.fleet = {
      id: 'eu-1',
      where: () => null,
      hosts: () => hosts,
      claims: (keys: string[]) => CLAIMS.filter(({ key }) => !keys[0] || keys.includes(key)),
      async ask(host: string, question: string) {
        asked.push([host, question]);
        if (answers[host] instanceof Error) throw answers[host];
        return answers[host];
      },
      drain: async () => {},
      close: async () => {},
    };
  }

  test('ps --fleet shows what is wrong first, and what is not known', async () => {
    play();
    const { stdout, stderr, code } = await ps();
    expect(code).toBe(0);
    expect(stdout.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['KEY', 'STATE', 'HOST', 'EPOCH'],
      ['bb', 'failed', 'eu-2', '12'],
      ['dd', '?', 'eu-3', '12'],
      ['a', 'running', 'eu-1', '11'],
      ['c␛[2J', 'stopped', 'eu-2', '15'],
      ['e', 'stopped', 'eu-4 (gone)', '11'],
      [''],
    ]);
    expect(stderr).toBe('eu-3 cannot be asked about its 1 tenant: it does not answer.\n');
    // Of one that is gone nothing is asked.
    expect(asked.toSorted()).toEqual([
      ['eu-1', 'states'],
      ['eu-2', 'states'],
      ['eu-3', 'states'],
    ]);
  });

  test('ps --fleet --json, --quiet, --state, --sort and KEY', async () => {
    play();
    const { stdout, stderr } = await ps('--json', 'a', 'dd', 'e');
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual([
      { key: 'dd', host: 'eu-3', hostIsGone: false, epoch: '12', state: null },
      { key: 'a', host: 'eu-1', hostIsGone: false, epoch: '11', state: 'running' },
      { key: 'e', host: 'eu-4', hostIsGone: true, epoch: '11', state: 'stopped' },
    ]);
    expect((await ps('--quiet', '--sort', 'key')).stdout).toBe('a\nbb\nc\x1b[2J\ndd\ne\n');
    expect((await ps('--quiet', '--state', 'failed')).stdout).toBe('bb\n');
    expect(await ps('--state', 'asleep')).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('No tenant is asleep.'),
    });
    expect(await ps('--sort', 'cpu')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--sort with --fleet must be problems or key, got cpu'),
    });
    expect(await ps('a', 'zz')).toMatchObject({
      code: 1,
      stderr: 'No host of the fleet has the tenant zz.\n',
    });
    core.fleet.claims = () => [];
    expect((await ps()).stderr).toBe('No host of the fleet has a tenant yet.\n');
    // What another version says may be anything.
    core.fleet.claims = () => [claim('a', 'eu-1'), claim('dd', 'eu-3')];
    Object.assign(answers, { 'eu-1': [['a', 'dances']], 'eu-3': { dd: 'running' } });
    const states = JSON.parse((await ps('--json')).stdout).map((tenant: any) => tenant.state);
    expect(states).toEqual([null, null]);
  });

  test('drain --host says why a host cannot be drained', async () => {
    play();
    hosts.push(host('eu-4', 'gone', 3));
    const drain = (id: string) => command('drain', '--host', id);
    expect(await drain('eu-5')).toMatchObject({
      code: 1,
      stderr: 'There is no host eu-5 in the fleet; did you mean eu-1?\n',
    });
    expect(await drain('us')).toMatchObject({
      code: 1,
      stderr: 'There is no host us in the fleet\n',
    });
    expect(await drain('a/b')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--host must be a name'),
    });
    expect(await drain('eu-4')).toMatchObject({
      code: 1,
      stderr: 'host "eu-4" is gone: its keys are taken by others as they are asked for\n',
    });
    expect(await drain('eu-3')).toMatchObject({
      code: 1,
      stderr: 'host "eu-3" cannot be asked at http://eu-3:7070: it does not answer\n',
    });
    expect(asked).toEqual([['eu-3', 'drain']]);
    const json = await command('drain', '--host', 'eu-3', '--json');
    expect(JSON.parse(json.stderr).error.code).toBe('HOST_UNREACHABLE');
  });

  test('drain --host waits until the host has no tenants, and fails if it is gone before', async () => {
    for (const end of [0, 'gone', 'left', 'back'] as const) {
      play();
      answers['eu-2'] = null;
      let looks = 0;
      core.fleet.hosts = () => {
        looks += 1;
        // The command's look, the control's own, and then one for each of the command's.
        if (looks <= 2) return [host('eu-2', 'live', 2)];
        if (looks === 3) return [host('eu-2', 'draining', 1)];
        if (end === 'left') return [];
        if (end === 'back') return [host('eu-2', 'live', 4)];
        return [end === 'gone' ? host('eu-2', 'gone', 1) : host('eu-2', 'draining', end)];
      };
      const { code, stdout, stderr } = await command('drain', '--host', 'eu-2');
      expect(asked).toEqual([['eu-2', 'drain']]);
      expect(stdout).toStartWith('eu-2 drains: 2 tenants\n');
      expect(stderr).toStartWith('eu-2 drains: 1 tenant\n');
      expect(code).toBe(end === 'gone' ? 1 : 0);
      if (end === 'gone') expect(stderr).toContain('eu-2 is gone before it was drained');
      else expect(stdout).toEndWith('eu-2 has no tenants any more.\n');
    }
  });

  test("drain --host with the host's own id drains it, as drain does", async () => {
    play();
    const { code, stdout } = await command('drain', '--host', 'eu-1');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^draining \(pid \d+\): 0 tenants\nThe host has ended\.\n$/);
    expect(asked).toEqual([]);
  });
});

test('a host whose store does not answer says so', () => {
  const fleet = {
    id: 'eu-1',
    address: 'http://a:7070',
    stores: ['http://b:2379'],
    hasJoined: false,
  };
  const summary: any = { name: 'host', pid: 7, root: '/', tenants: [], fleet, pattern: '' };
  const settings: any = { values: { isolation: 'tenant', 'user-range': [1, 2] }, texts: {} };
  const said: string[] = [];
  const io = { env: {}, textColumns: () => 999, print: () => {}, complain: said.push.bind(said) };
  tell(summary, settings, undefined, io as any);
  const line = /no fleet yet\s+eu-1 goes on trying to join, .* see to etcd at http:\/\/b:2379$/m;
  expect(said.join('\n')).toMatch(line);
});

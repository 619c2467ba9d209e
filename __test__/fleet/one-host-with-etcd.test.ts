// One host of a fleet, after the other, with a real etcd. Skipped, saying so, where there is none.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRuntime } from '@absolutejs/runtime';
import { createFleet, etcd, type FleetEvent } from '@absolutejs/runtime/fleet';
import { rejectionOf } from '../support/surface/wait.ts';

const program = Bun.which('etcd');
const place = mkdtempSync(join(tmpdir(), 'fleet-test-'));
const root = join(place, 'tenants');
let endpoint = '';
let server: Bun.Subprocess<'ignore', 'ignore', 'ignore'> | undefined;

async function freePort(): Promise<number> {
  const socket = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => socket.once('listening', resolve));
  const { port } = socket.address() as AddressInfo;
  await new Promise((resolve) => socket.close(resolve));
  return port;
}

beforeAll(async () => {
  if (program === null) return console.log('no etcd on PATH: what needs one is skipped');
  for (const key of ['hello', 'other']) {
    mkdirSync(join(root, key), { recursive: true });
    writeFileSync(join(root, key, 'package.json'), '{ "scripts": { "start": "bun server.ts" } }');
    writeFileSync(
      join(root, key, 'server.ts'),
      'Bun.serve({ port: process.env.PORT, fetch: () => new Response(process.env.ABSOLUTE_EPOCH) });',
    );
  }
  endpoint = `http://127.0.0.1:${await freePort()}`;
  const peers = `http://127.0.0.1:${await freePort()}`;
  server = Bun.spawn({
    cmd: [
      ...[program, '--data-dir', join(place, 'etcd'), '--listen-client-urls', endpoint],
      ...['--advertise-client-urls', endpoint, '--listen-peer-urls', peers],
      ...['--initial-advertise-peer-urls', peers, '--initial-cluster', `default=${peers}`],
    ],
    stdio: ['ignore', 'ignore', 'ignore'],
  });
});

afterAll(async () => {
  server?.kill('SIGKILL');
  await server?.exited;
  rmSync(place, { recursive: true, force: true });
});

function host(id: string) {
  const runtime = createRuntime({
    source: { kind: 'directory', root },
    env: { ABSOLUTE_EPOCH: '1' },
  });
  const events: FleetEvent[] = [];
  const fleet = createFleet({
    runtime,
    store: etcd({ endpoints: [endpoint], prefix: '/test/' }),
    host: { id, address: 'http://127.0.0.1:7070', zone: 'here' },
    secret: 'sixteen bytes ok',
    leaseMs: 2_000,
    onEvent: (event) => void events.push(event),
  });
  return { runtime, fleet, events };
}

describe.skipIf(program === null)('with etcd', () => {
  test('a key is claimed, served with its epoch, and given up', async () => {
    const epochs: string[] = [];
    for (const id of ['eu-1', 'eu-2']) {
      const { runtime, fleet, events } = host(id);
      expect(await rejectionOf(runtime.ensure('hello'))).toMatchObject({
        code: 'ERR_RUNTIME_NOT_CLAIMED',
      });
      await fleet.joined;
      const { port, epoch, ...owner } = await fleet.ensure('hello');
      expect(owner).toEqual({ host: id, address: 'http://127.0.0.1:7070' });
      const answer = await fetch(`http://127.0.0.1:${port}/`);
      expect(await answer.text()).toBe(epoch);
      expect(fleet.where('hello')).toEqual({ ...owner, epoch });
      expect(fleet.where('other')).toBeNull();
      expect((await runtime.ensure('hello')).port).toBe(port!);
      expect(await rejectionOf(runtime.ensure('other'))).toMatchObject({
        code: 'ERR_RUNTIME_NOT_CLAIMED',
      });
      const me = { id, state: 'live', weight: 1, zone: 'here' } as const;
      expect(fleet.hosts()).toEqual([expect.objectContaining(me)]);
      expect(events).toContainEqual({ kind: 'claim', key: 'hello', epoch, at: expect.any(Number) });
      await runtime.dispose();
      expect(runtime.stats().total).toBe(0);
      epochs.push(epoch);
    }
    expect(BigInt(epochs[1]!)).toBeGreaterThan(BigInt(epochs[0]!));
  }, 60_000);
});

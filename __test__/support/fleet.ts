// An etcd, tenants and hosts for tests of a fleet in one process.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRuntime } from '@absolutejs/runtime';
import { createFleet, etcd, type FleetEvent, type FleetOptions } from '@absolutejs/runtime/fleet';
import { createGateway } from '@absolutejs/runtime/gateway';
import { createEtcd } from '../../scripts/lib/etcd.mjs';
import { program } from './etcd.ts';

export const SECRET = 'sixteen bytes ok';
export { program } from './etcd.ts';

const SERVER = `Bun.serve({
  port: process.env.PORT,
  async fetch(request, server) {
    if (request.headers.has('upgrade')) return void server.upgrade(request);
    const slowMs = Number(new URL(request.url).searchParams.get('slow') ?? 0);
    if (slowMs > 0) await Bun.sleep(slowMs);
    const { ABSOLUTE_EPOCH: epoch } = process.env;
    const headers = Object.fromEntries(request.headers);
    return Response.json({ epoch, pid: process.pid, body: (await request.text()).length, headers });
  },
  websocket: { message: (socket, text) => void socket.send(process.env.ABSOLUTE_EPOCH + text) },
});`;

export class Fleet {
  #place = mkdtempSync(join(tmpdir(), 'fleet-test-'));
  #etcd: Awaited<ReturnType<typeof createEtcd>> | undefined;
  #closing: (() => Promise<unknown>)[] = [];

  static async open(keys: string[]): Promise<Fleet> {
    const fleet = new Fleet();
    for (const key of keys) {
      const directory = join(fleet.root, key);
      mkdirSync(directory, { recursive: true });
      const start = `${process.execPath} server.ts`;
      writeFileSync(join(directory, 'package.json'), JSON.stringify({ scripts: { start } }));
      writeFileSync(join(directory, 'server.ts'), SERVER);
    }
    fleet.#etcd = await createEtcd({ program });
    return fleet;
  }

  get store() {
    return this.#etcd!.members[0]!;
  }

  /** Of the addresses of the store's members, the first one's. */
  get endpoint() {
    return this.#etcd!.endpoints[0]!;
  }

  /** The directory of the tenants. */
  get root() {
    return join(this.#place, 'tenants');
  }

  /** A path in a directory of this fleet's. */
  path(name: string) {
    return join(this.#place, name);
  }

  async close(): Promise<void> {
    for (const close of this.#closing) await close();
    await this.#etcd?.close();
    rmSync(this.#place, { recursive: true, force: true });
  }

  /** A host, at a port for other hosts. */
  async host(
    id: string,
    port: number,
    leaseMs = 2_000,
    trust: Pick<FleetOptions, 'secret' | 'tls'> = { secret: SECRET },
  ) {
    const runtime = createRuntime({
      source: { kind: 'directory', root: this.root },
      env: { ABSOLUTE_EPOCH: '1' },
    });
    const gateway = createGateway({
      runtime,
      route: { by: 'subdomain', domain: 'fleet.test' },
      listen: { port: 0 },
    });
    const events: FleetEvent[] = [];
    const fleet = createFleet({
      runtime,
      gateway,
      store: etcd({ endpoints: this.#etcd!.endpoints, prefix: '/test/' }),
      host: { id, address: `${trust.tls ? 'https' : 'http'}://127.0.0.1:${port}`, zone: 'here' },
      ...trust,
      leaseMs,
      onEvent: (event) => void events.push(event),
    });
    const close = async () => {
      await runtime.dispose();
      await gateway.close({ graceMs: 0 });
    };
    this.#closing.push(close);
    const [listening] = await gateway.listening;
    /** Visits the key through this host's gateway. */
    const visit = (key: string, path = '/', init: RequestInit = {}) =>
      fetch(`http://127.0.0.1:${listening!.port}${path}`, {
        ...init,
        headers: { ...init.headers, host: `${key}.fleet.test` },
      });
    return { runtime, gateway, fleet, events, visit, close, port: listening!.port as number };
  }
}

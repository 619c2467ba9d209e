// A runtime with tenants on disk and a gateway in front of them, gone after the test:
// `await using house = await open(…)`.
import { createRuntime, type Runtime, type RuntimeOptions } from '@absolutejs/runtime';
import { createGateway, type Gateway, type GatewayOptions } from '@absolutejs/runtime/gateway';
import { Tenants, type TenantFiles } from '../processes/tenants.ts';
import { within } from '../processes/until.ts';

/** Tells of each request what the tenant was sent; `/boom` ends the tenant. */
export const MIRROR = `
Bun.serve({
  hostname: '127.0.0.1',
  port: process.env.PORT,
  async fetch(request, server) {
    const { pathname, search } = new URL(request.url);
    if (pathname === '/boom') process.exit(1);
    if (request.headers.get('upgrade')) return server.upgrade(request) ? undefined : new Response('no');
    const { method } = request;
    const headers = Object.fromEntries(request.headers);
    const body = await request.text();
    return Response.json({ method, path: pathname + search, headers, body, pid: process.pid });
  },
  websocket: { message: (socket, text) => void socket.send('you said ' + text) },
});
`;

export type Mirrored = {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string;
  pid: number;
};

export type Setup = {
  runtime?: Partial<RuntimeOptions>;
  gateway?: Partial<GatewayOptions>;
  /** The source of each tenant's server, or its files. By default `hello` is a mirror. */
  tenants?: Record<string, string | TenantFiles>;
};

export class House implements AsyncDisposable {
  readonly tenants = new Tenants();
  readonly starts: string[] = [];
  readonly runtime: Runtime;
  readonly gateway: Gateway;
  port = 0;

  constructor({ runtime = {}, gateway = {}, tenants = { hello: MIRROR } }: Setup) {
    for (const [key, files] of Object.entries(tenants))
      this.tenants.add(key, typeof files === 'string' ? { 'server.ts': files } : files);
    this.runtime = createRuntime({
      source: this.tenants.source,
      onTransition: (event) => void (event.type === 'spawn' && this.starts.push(event.key)),
      ...runtime,
    });
    this.gateway = createGateway({
      runtime: this.runtime,
      route: { by: 'subdomain', domain: 'localhost' },
      listen: { port: 0 },
      ...gateway,
    });
  }

  /** Asks the tenant, or the host of this name if it is no single label. */
  ask(name: string, path = '/', init: RequestInit = {}): Promise<Response> {
    const host = /[.[]/.test(name) ? name : `${name}.localhost`;
    const headers = { host, ...(init.headers as Record<string, string>) };
    const url = `http://127.0.0.1:${this.port}${path}`;
    return within(`${host}${path}`, fetch(url, { redirect: 'manual', ...init, headers }));
  }

  async mirrored(name: string, path = '/', init: RequestInit = {}): Promise<Mirrored> {
    const response = await this.ask(name, path, init);
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${response.status}: ${text}`);
    return JSON.parse(text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using _ = this.tenants;
    this.gateway.listening.catch(() => {});
    await within('close', this.gateway.close({ graceMs: 0 }));
    await within('dispose', this.runtime.dispose());
  }
}

/** A house whose gateway listens. */
export async function open(setup: Setup = {}): Promise<House> {
  const house = new House(setup);
  try {
    const [address] = await within('listening', house.gateway.listening);
    house.port = address?.port ?? 0;
  } catch (error) {
    await house[Symbol.asyncDispose]();
    throw error;
  }
  return house;
}

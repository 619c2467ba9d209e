// The demo host: a runtime, and a gateway in front of it. `http://<tenant>.localhost` leads to the
// tenant, which is woken first if need be. A page at a port of its own shows what goes on.
import { createRuntime, type Runtime, type RuntimeOptions } from '@absolutejs/runtime';
import {
  createGateway,
  type Gateway,
  type GatewayPage,
  type GatewayRefusal,
} from '@absolutejs/runtime/gateway';
import { Board } from './board.ts';
import { LivePage } from './live-page.ts';
import { readTenants, tenantsRoot } from './tenants.ts';

export interface Demo {
  runtime: Runtime;
  gateway: Gateway;
  board: Board;
  /** Of the gateway. */
  port: number;
  /** Of the page. */
  pagePort: number;
  stop(): Promise<void>;
}

/**
 * The options that the demo does not set itself. `idleAfterMs` is shown on the page, so it is
 * required.
 */
export type DemoSettings = Omit<
  RuntimeOptions,
  'source' | 'onLog' | 'onMetrics' | 'onTransition'
> & {
  idleAfterMs: number;
};

/**
 * The host names at which the page is served. It shows tenants' output, so other names do not get
 * it.
 */
const PAGE_HOST = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/i;

export async function startDemo(settings: DemoSettings, port: number): Promise<Demo> {
  const tenants = await readTenants();
  const board = new Board(tenants);
  const runtime = createRuntime({
    ...settings,
    source: { kind: 'directory', root: tenantsRoot },
    onLog: board.onLog,
    onMetrics: board.onMetrics,
    onTransition: board.onTransition,
  });
  const page = new LivePage(board, runtime, settings.idleAfterMs);
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    idleTimeout: 0,
    development: false,
    fetch(request) {
      const host = request.headers.get('host') ?? '';
      return PAGE_HOST.test(host) ? page.respond(request) : new Response(null, { status: 404 });
    },
  });
  const names = tenants.map(({ name }) => name);
  const pagePort = server.port ?? 0;
  const { gateway, port: gatewayPort } = await openGateway(runtime, port, (refusal) =>
    pageOf(refusal, names, pagePort),
  );
  page.port = gatewayPort;

  return {
    runtime,
    gateway,
    board,
    port: gatewayPort,
    pagePort,
    async stop() {
      // Closes the gateway first.
      await runtime.dispose();
      page.dispose();
      await server.stop(true);
    },
  };
}

type MakePage = (refusal: GatewayRefusal) => GatewayPage | null;

async function openGateway(
  runtime: Runtime,
  port: number,
  page: MakePage,
): Promise<{ gateway: Gateway; port: number }> {
  const open = async (port: number) => {
    const gateway = createGateway({
      runtime,
      route: { by: 'subdomain', domain: 'localhost' },
      listen: { port },
      page,
    });
    const [address] = await gateway.listening;
    return { gateway, port: address?.port ?? port };
  };
  try {
    return await open(port);
  } catch (error) {
    if ((error as { errno?: string }).errno !== 'EADDRINUSE') throw error;
    const opened = await open(0);
    console.log(`Port ${port} is taken by another program: using port ${opened.port} instead.`);
    return opened;
  }
}

/** Whoever asks for no tenant is told where the page is, and which tenants there are. */
function pageOf({ status }: GatewayRefusal, names: string[], pagePort: number): GatewayPage | null {
  if (status !== 404) return null;
  const text = `There is nothing of this name. The live page is at http://localhost:${pagePort}, a tenant at
http://<tenant>.localhost. There are: ${names.join(', ')}.\n`;
  return { headers: { 'content-type': 'text/plain; charset=utf-8' }, body: text };
}

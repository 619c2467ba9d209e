// The demo host: one runtime, one web server. `http://<tenant>.localhost` is passed on to the
// tenant, which is woken first if need be; `http://localhost` shows what goes on.
import { createRuntime, type Runtime, type RuntimeOptions } from '@absolutejs/runtime';
import type { Server } from 'bun';
import { Board } from './board.ts';
import { forward } from './http-proxy.ts';
import { InFlight } from './in-flight.ts';
import { LivePage } from './live-page.ts';
import { refusal, text } from './refusal.ts';
import { forwardSocket, isSocketRequest, socketHandler, type SocketLink } from './socket-proxy.ts';
import { readTenants, tenantsRoot } from './tenants.ts';

export interface Demo {
  runtime: Runtime;
  board: Board;
  port: number;
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

const TENANT_HOST = /^([a-z0-9-]+)\.localhost(?::\d+)?$/i;
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
  const inFlight = new InFlight(runtime.touch);
  const names = new Set(tenants.map(({ name }) => name));

  const server = listen(port, async (request, server) => {
    const host = request.headers.get('host') ?? '';
    if (PAGE_HOST.test(host)) return page.respond(request);
    const name = TENANT_HOST.exec(host)?.[1]?.toLowerCase();
    if (name === undefined)
      return text(404, 'There is nothing of this name. A tenant is at <tenant>.localhost.');
    if (!names.has(name))
      return text(404, `There is no tenant "${name}". There are: ${[...names].join(', ')}.`);
    return passOn(name, request, server);
  });

  async function passOn(name: string, request: Request, server: Server<SocketLink>) {
    try {
      const tenant = await runtime.ensure(name);
      board.noteTenant(tenant);
      const clientAddress = server.requestIP(request)?.address;
      if (isSocketRequest(request)) {
        const onActivity = () => runtime.touch(name);
        return await forwardSocket({ request, server, tenant, clientAddress, onActivity });
      }
      return await forward({ request, tenant, clientAddress, onEnd: inFlight.begin(name) });
    } catch (error) {
      return refusal(error);
    }
  }

  return {
    runtime,
    board,
    port: server.port ?? port,
    async stop() {
      inFlight.dispose();
      await runtime.dispose();
      page.dispose();
      await server.stop(true);
    },
  };
}

type Handle = (request: Request, server: Server<SocketLink>) => Promise<Response | undefined>;

function listen(port: number, fetch: Handle): Server<SocketLink> {
  // No idle timeout: a request waits while its tenant starts, and may be silent for long. Outside
  // of development Bun shares a port with another process that has it, unless `reusePort` is
  // false.
  const serve = (port: number) =>
    Bun.serve<SocketLink>({
      hostname: '127.0.0.1',
      port,
      idleTimeout: 0,
      development: false,
      reusePort: false,
      fetch,
      websocket: socketHandler,
    });
  try {
    return serve(port);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    const server = serve(0);
    console.log(`Port ${port} is taken by another program: using port ${server.port} instead.`);
    return server;
  }
}

// Support for the tests of the egress guard: servers on 127.0.0.1, and guards whose lookup
// resolves names to them.
import {
  createEgressGuard,
  type EgressDeniedError,
  type EgressGuardOptions,
} from '@absolutejs/runtime';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { within } from './wait.ts';

export type Seen = {
  method: string;
  url: string;
  headers: IncomingMessage['headers'];
  body: string;
};

export type TestServer = AsyncDisposable & {
  port: number;
  /** `http://name:port` */
  at: (name: string) => string;
  /** The requests received, in order, with their bodies. */
  seen: Seen[];
  /** How many connections were accepted. */
  connections: () => number;
  /** Resolves once no connection is left. */
  quiet: () => Promise<void>;
};

/** A handler that is called once the body of the request has been received. */
export type Handler = (seen: Seen, response: ServerResponse) => void;

export function serve(handler: Handler, host?: string): Promise<TestServer> {
  const seen: Seen[] = [];
  return serveRaw(
    (request, response) => {
      let body = '';
      request.setEncoding('latin1').on('data', (text: string) => (body += text));
      request.on('end', () => {
        const { method = '', url = '', headers } = request;
        const one = { method, url, headers, body };
        seen.push(one);
        handler(one, response);
      });
    },
    { host, seen },
  );
}

export async function serveRaw(
  listener: RequestListener,
  { host = '127.0.0.1', seen = [] }: { host?: string; seen?: Seen[] } = {},
): Promise<TestServer> {
  const server = createServer(listener);
  const open = new Set<object>();
  let accepted = 0;
  let onQuiet = () => {};
  server.on('connection', (socket) => {
    accepted++;
    open.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => {
      open.delete(socket);
      if (open.size === 0) onQuiet();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    at: (name) => `http://${name}:${port}`,
    seen,
    connections: () => accepted,
    quiet: () =>
      within(
        'the end of all connections',
        new Promise<void>((resolve) => {
          onQuiet = resolve;
          if (open.size === 0) resolve();
        }),
      ),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A lookup that knows these names only, and records its calls. */
export function lookupOf(names: Record<string, string[]>) {
  const asked: string[] = [];
  const lookup = async (name: string): Promise<string[]> => {
    asked.push(name);
    const addresses = names[name];
    if (!addresses) throw new Error(`no such name: ${name}`);
    return addresses;
  };
  return { lookup, asked };
}

/** A guard for which `app.test` and `other.test` are 127.0.0.1, which it may reach. */
export function localGuard(options: EgressGuardOptions = {}) {
  const denials: EgressDeniedError[] = [];
  const { lookup } = lookupOf({ 'app.test': ['127.0.0.1'], 'other.test': ['127.0.0.1'] });
  const onDenied = (error: EgressDeniedError) => void denials.push(error);
  const guard = createEgressGuard({ allow: ['127.0.0.0/8'], lookup, onDenied, ...options });
  return { ...guard, denials };
}

/** A guard whose lookup gives these addresses for any name. */
export function guardOf(addresses: string[], options: EgressGuardOptions = {}) {
  return createEgressGuard({ lookup: () => addresses, ...options });
}

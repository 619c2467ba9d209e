// Passing a WebSocket on to a tenant: text and binary both ways, subprotocol and close code kept.
// The tenant's side is opened first, so that a client is only accepted when the tenant accepts it.
import type { Server, ServerWebSocket, WebSocketHandler } from 'bun';
import type { Tenant } from '@absolutejs/runtime';
import { requestHeaders } from './headers.ts';
import { hostOf } from './http-proxy.ts';
import { text } from './refusal.ts';

/** Close codes that are never sent: no code, connection lost, TLS failed. */
const NOT_SENT = new Set([1005, 1006, 1015]);
/** The headers of the handshake, which each connection sets itself. */
const HANDSHAKE = /^sec-websocket-/i;

export interface SocketLink {
  upstream: WebSocket;
  /** Messages of the tenant, or its close, that came before the client's side was open. */
  early: ((client: ServerWebSocket<SocketLink>) => void)[];
  client: ServerWebSocket<SocketLink> | undefined;
  onActivity: () => void;
}

interface ForwardSocket {
  request: Request;
  server: Server<SocketLink>;
  tenant: Tenant;
  clientAddress: string | undefined;
  /** Called with every message, either way. */
  onActivity: () => void;
}

export function isSocketRequest(request: Request): boolean {
  return request.headers.get('upgrade')?.toLowerCase() === 'websocket';
}

/**
 * Resolves with nothing once the client has been upgraded, or with the response that refuses it.
 */
export async function forwardSocket(options: ForwardSocket): Promise<Response | undefined> {
  const { request, server, tenant, onActivity } = options;
  const upstream = openUpstream(options);
  const link: SocketLink = { upstream, early: [], client: undefined, onActivity };
  relayFromTenant(link);
  const opened = await settled(upstream);
  if (!opened) return text(502, `${tenant.key} did not accept the WebSocket`);
  const headers = new Headers();
  if (upstream.protocol) headers.set('sec-websocket-protocol', upstream.protocol);
  if (server.upgrade(request, { data: link, headers })) return undefined;
  upstream.close();
  return text(400, 'not a WebSocket handshake');
}

function openUpstream({ request, tenant, clientAddress }: ForwardSocket): WebSocket {
  const { pathname, search } = new URL(request.url);
  const headers = requestHeaders(request, clientAddress);
  for (const name of [...headers.keys()]) if (HANDSHAKE.test(name)) headers.delete(name);
  const protocols = request.headers.get('sec-websocket-protocol')?.split(',') ?? [];
  const upstream = new WebSocket(`ws://${hostOf(tenant)}${pathname}${search}`, {
    headers: headers.toJSON(),
    protocols: protocols.map((protocol) => protocol.trim()),
  });
  upstream.binaryType = 'nodebuffer';
  return upstream;
}

function settled(upstream: WebSocket): Promise<boolean> {
  return new Promise((resolve) => {
    upstream.addEventListener('open', () => resolve(true));
    upstream.addEventListener('error', () => resolve(false));
    upstream.addEventListener('close', () => resolve(false));
  });
}

function relayFromTenant(link: SocketLink): void {
  const { upstream, onActivity } = link;
  const toClient = (action: (client: ServerWebSocket<SocketLink>) => void) => {
    if (link.client) action(link.client);
    else link.early.push(action);
  };
  upstream.addEventListener('message', ({ data }) => {
    onActivity();
    toClient((client) => client.send(data));
  });
  upstream.addEventListener('close', ({ code, reason }) => {
    toClient((client) => closeClient(client, code, reason));
  });
}

function closeClient(client: ServerWebSocket<SocketLink>, code: number, reason: string): void {
  if (code === 1005) client.close();
  else if (NOT_SENT.has(code)) client.terminate();
  else client.close(code, reason);
}

/** The client's side, for `Bun.serve`. */
export const socketHandler: WebSocketHandler<SocketLink> = {
  open(client) {
    const link = client.data;
    link.client = client;
    for (const action of link.early.splice(0)) action(client);
  },
  message(client, message) {
    client.data.onActivity();
    client.data.upstream.send(message);
  },
  close({ data: { upstream } }, code, reason) {
    if (NOT_SENT.has(code)) upstream.close();
    else upstream.close(code, reason);
  },
};

// Passing a request on to a tenant, and its response back, both as streams.
import type { Tenant } from '@absolutejs/runtime';
import './no-proxy.ts';
import { requestHeaders, withoutHopByHop } from './headers.ts';
import { text } from './refusal.ts';

/** A tenant's address and port, as in a URL. */
export const hostOf = ({ host, port }: Tenant) => `${host ? `[${host}]` : '127.0.0.1'}:${port}`;

interface Forward {
  request: Request;
  tenant: Tenant;
  clientAddress: string | undefined;
  /** Called when the response has ended, or the client has disconnected. */
  onEnd: () => void;
}

export async function forward({
  request,
  tenant,
  clientAddress,
  onEnd,
}: Forward): Promise<Response> {
  request.signal.addEventListener('abort', onEnd);
  try {
    const { pathname, search } = new URL(request.url);
    const response = await fetch(`http://${hostOf(tenant)}${pathname}${search}`, {
      method: request.method,
      headers: requestHeaders(request, clientAddress),
      body: request.body,
      redirect: 'manual',
      signal: request.signal,
      // The body goes to the client as the tenant encoded it.
      decompress: false,
      timeout: false,
    });
    const body = response.body && untilEnd(response.body, onEnd);
    if (!body) onEnd();
    return new Response(body, {
      status: response.status,
      statusText: response.statusText,
      headers: withoutHopByHop(response.headers),
    });
  } catch (error) {
    onEnd();
    return text(
      502,
      `${tenant.key} did not answer: ${error instanceof Error ? error.message : error}`,
    );
  }
}

/** The same stream, with a call when it has ended, failed or been cancelled. */
function untilEnd(
  stream: ReadableStream<Uint8Array>,
  onEnd: () => void,
): ReadableStream<Uint8Array> {
  const reader = stream.getReader();
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (!done) return controller.enqueue(value);
        controller.close();
      } catch (error) {
        controller.error(error);
      }
      onEnd();
    },
    cancel(reason) {
      onEnd();
      return reader.cancel(reason);
    },
  });
}

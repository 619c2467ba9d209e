// The changes that a proxy makes to headers.

/** Headers of one connection, which are not passed on (RFC 9110, section 7.6.1). */
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

/** A copy without the hop-by-hop headers, those that `Connection` names included. */
export function withoutHopByHop(headers: Headers): Headers {
  const named = headers.get('connection')?.split(',') ?? [];
  const result = new Headers(headers);
  for (const name of [...HOP_BY_HOP, ...named.map((name) => name.trim())]) {
    if (name !== '') result.delete(name);
  }
  return result;
}

/**
 * The headers for the tenant: the client's, with its address and the host and scheme that it
 * requested.
 */
export function requestHeaders(request: Request, clientAddress: string | undefined): Headers {
  const headers = withoutHopByHop(request.headers);
  const host = request.headers.get('host');
  if (host) headers.set('x-forwarded-host', host);
  headers.set('x-forwarded-proto', new URL(request.url).protocol.slice(0, -1));
  if (clientAddress) {
    const before = request.headers.get('x-forwarded-for');
    headers.set('x-forwarded-for', before ? `${before}, ${clientAddress}` : clientAddress);
  }
  // Without this header, fetch would request a compressed body, which the client may not
  // understand.
  if (!headers.has('accept-encoding')) headers.set('accept-encoding', 'identity');
  return headers;
}

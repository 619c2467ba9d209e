// The server behind the gateway that answers everything: a page, an echo over WebSocket, events,
// downloads of `?bytes=`, and uploads, of which it says how much came.
const EVENT = `data: ${'x'.repeat(90)}\n\n`;
const BLOCK = new Uint8Array(64 * 1024).fill(120);

Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.env.PORT),
  maxRequestBodySize: Number.MAX_SAFE_INTEGER,
  idleTimeout: 0,
  async fetch(request, server) {
    const url = new URL(request.url);
    const count = Number(url.searchParams.get('count'));
    switch (url.pathname) {
      case '/echo':
        return server.upgrade(request) ? undefined : new Response('no', { status: 400 });
      case '/events':
        return stream('text/event-stream', count, () => EVENT);
      case '/download':
        return stream('application/octet-stream', count / BLOCK.length, () => BLOCK);
      case '/upload': {
        let bytes = 0;
        for await (const chunk of request.body ?? []) bytes += chunk.length;
        return new Response(String(bytes));
      }
      default:
        return new Response('hello, world\n');
    }
  },
  websocket: {
    idleTimeout: 0,
    message(socket, message) {
      socket.send(message);
    },
  },
});

function stream(type: string, count: number, next: () => string | Uint8Array): Response {
  let sent = 0;
  const body = new ReadableStream({
    pull(controller) {
      if (sent >= count) return controller.close();
      sent += 1;
      controller.enqueue(next());
    },
  });
  return new Response(body, { headers: { 'content-type': type } });
}

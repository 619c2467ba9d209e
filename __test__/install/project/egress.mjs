// A guarded request with a body in chunks, whose answer is in chunks, after a redirect. The names
// lead to 127.0.0.1 by the guard's own lookup alone.
import { createEgressGuard } from '@absolutejs/runtime';
import { createServer } from 'node:net';

const server = createServer((socket) => {
  let text = '';
  socket.on('error', () => {});
  socket.on('data', (bytes) => {
    text += bytes;
    if (text.startsWith('GET')) {
      socket.end('HTTP/1.1 302 Found\r\nlocation: http://b.test:' + port() + '/\r\n\r\n');
    } else if (text.endsWith('0\r\n\r\n')) {
      const seen = text
        .replace(/^.*?\r\n\r\n/s, '')
        .replaceAll('\r\n', ' ')
        .trim();
      socket.end(
        'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n' +
          `${seen.length.toString(16)}\r\n${seen}\r\n0\r\n\r\n`,
      );
    } else if (text.startsWith('HEAD')) {
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n');
    }
  });
});
const port = () => /** @type {import('node:net').AddressInfo} */ (server.address()).port;
await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));

const guard = createEgressGuard({ allow: ['127.0.0.0/8'], lookup: () => ['127.0.0.1'] });
const body = new ReadableStream({
  start(controller) {
    controller.enqueue(new TextEncoder().encode('ab'));
    controller.enqueue(new TextEncoder().encode('c'));
    controller.close();
  },
});
const at = `http://a.test:${port()}/`;
const posted = await guard.fetch('acme', at, { method: 'POST', body });
const head = await guard.fetch('acme', at, { method: 'HEAD' });
const moved = await guard.fetch('acme', at, { redirect: 'manual' });
console.log(await posted.text(), head.headers.get('content-length'), moved.status);
server.close();

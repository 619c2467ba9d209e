// A tenant that serves a page with all that browsers do with a server, and says what it has seen.
import { readFileSync } from 'node:fs';
import { brotliCompressSync, gzipSync } from 'node:zlib';

const ASSETS = 60;
const TEXT = 'the same text, many times over. '.repeat(500);
const ETAG = '"one"';
const MODIFIED = 'Wed, 21 Oct 2015 07:28:00 GMT';

/** Answers that clients have left, pages that were shown, and where ranges began. */
const seen = { left: 0, shown: /** @type {string[]} */ ([]), ranges: /** @type {number[]} */ ([]) };

/** @param {string} body */
const page = (body, headers = {}) =>
  new Response(`<!doctype html><meta charset=utf-8><title>page</title>${body}`, {
    headers: { 'content-type': 'text/html', ...headers },
  });

/** @param {string} text @param {string} type */
const file = (text, type) => new Response(text, { headers: { 'content-type': type } });

/** @param {Request} request @param {string} name */
const query = ({ url }, name) => new URL(url).searchParams.get(name) ?? '';

/** A minute of silence, of which a player asks for parts. */
function silence(rate = 44_100, seconds = 60) {
  const bytes = Buffer.alloc(44 + rate * 2 * seconds);
  bytes.write('RIFF', 0);
  bytes.writeUInt32LE(bytes.length - 8, 4);
  bytes.write('WAVEfmt ', 8);
  const format = [1, 1, rate, rate * 2, 2, 16];
  bytes.writeUInt32LE(16, 16);
  let at = 20;
  for (const [index, value] of format.entries()) {
    const isLong = index === 2 || index === 3;
    at = isLong ? bytes.writeUInt32LE(value, at) : bytes.writeUInt16LE(value, at);
  }
  bytes.write('data', 36);
  bytes.writeUInt32LE(bytes.length - 44, 40);
  return bytes;
}
const sound = silence();

/** @param {Request} request */
function range(request) {
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.get('range') ?? '') ?? [];
  const headers = { 'content-type': 'audio/wav', 'accept-ranges': 'bytes' };
  if (from === undefined) return new Response(sound, { headers });
  seen.ranges.push(Number(from));
  const last = to ? Number(to) : sound.length - 1;
  return new Response(sound.subarray(Number(from), last + 1), {
    status: 206,
    headers: { ...headers, 'content-range': `bytes ${from}-${last}/${sound.length}` },
  });
}

/** Goes on until the client leaves. @param {string} type @param {string} begins */
function endless(type, begins) {
  const body = new ReadableStream({
    start: (controller) => controller.enqueue(begins),
    cancel: () => void (seen.left += 1),
  });
  return new Response(body, { headers: { 'content-type': type } });
}

let events = 0;

/** @type {Record<string, (request: Request) => Response | Promise<Response>>} */
const routes = {
  '/': () => page(Array.from({ length: ASSETS }, (_, number) => asset(number)).join('')),
  '/plain': () => page('<script src=/tries.js></script>'),
  '/tries.js': () => file(readFileSync('tries.js', 'utf8'), 'text/javascript'),
  '/kept': () =>
    page(`<script>
      onpageshow = async ({ persisted }) => {
        await (await fetch('/shown', { method: 'POST', body: String(persisted) })).text();
        document.body.dataset.told = '';
      };
    </script>`),
  '/and-back': () => page('<script>onload = () => setTimeout(() => history.back(), 1)</script>'),
  '/shown': async (request) => {
    seen.shown.push(await request.text());
    return new Response();
  },
  '/seen': () => Response.json(seen),
  '/pid': () => new Response(`${process.pid}`),
  '/method': async (request) => new Response(`${request.method} ${await request.text()}`),
  '/status': (request) => new Response(null, { status: Number(query(request, 'is')) }),
  '/redirect': (request) => {
    const host = request.headers.get('host');
    const scheme = request.headers.get('x-forwarded-proto') ?? 'http';
    const location = query(request, 'to').replace('ORIGIN', `${scheme}://${host}`);
    return new Response(null, { status: Number(query(request, 'is')), headers: { location } });
  },
  '/upload': async (request) => {
    let bytes = 0;
    for await (const part of request.body ?? []) bytes += part.length;
    return new Response(`${bytes}`);
  },
  '/form': async (request) => {
    const form = await request.formData();
    const file = /** @type {File} */ (form.get('file'));
    return Response.json([form.get('text'), file.name, file.size]);
  },
  '/download': (request) =>
    new Response(new Uint8Array(Number(query(request, 'bytes'))), {
      headers: { 'content-disposition': 'attachment; filename="zeros.bin"' },
    }),
  '/sound.wav': range,
  '/cookies': () => {
    const headers = new Headers();
    const long = 'x'.repeat(3_000);
    for (const cookie of ['a=1', 'b=2; HttpOnly', `c=${long}; SameSite=Strict`, 'd=4; Max-Age=0'])
      headers.append('set-cookie', `${cookie}; Path=/`);
    headers.append('set-cookie', 'e=5; Path=/elsewhere');
    return new Response('', { headers });
  },
  '/cookie': (request) => new Response(request.headers.get('cookie')),
  '/etag': ({ headers }) => {
    const kept = { etag: ETAG, 'cache-control': 'no-cache' };
    const isSame = headers.get('if-none-match') === ETAG;
    return new Response(isSame ? null : TEXT, { status: isSame ? 304 : 200, headers: kept });
  },
  '/modified': ({ headers }) => {
    const kept = { 'last-modified': MODIFIED, 'cache-control': 'no-cache' };
    const isSame = headers.get('if-modified-since') === MODIFIED;
    return new Response(isSame ? null : TEXT, { status: isSame ? 304 : 200, headers: kept });
  },
  '/gzip': () => new Response(gzipSync(TEXT), { headers: { 'content-encoding': 'gzip' } }),
  '/br': () => new Response(brotliCompressSync(TEXT), { headers: { 'content-encoding': 'br' } }),
  '/auth': ({ headers }) => {
    const [, credentials] = headers.get('authorization')?.split(' ') ?? [];
    if (credentials) return page(`<main>${atob(credentials)}</main>`);
    return new Response('', { status: 401, headers: { 'www-authenticate': 'Basic realm="page"' } });
  },
  '/cors': ({ method, headers }) => {
    const allowed = {
      'access-control-allow-origin': headers.get('origin') ?? '*',
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'PUT',
      'access-control-allow-headers': 'x-asked',
      'access-control-expose-headers': 'x-told',
      'x-told': 'yes',
      'x-hidden': 'yes',
    };
    if (method === 'OPTIONS') return new Response(null, { status: 204, headers: allowed });
    return new Response(`${method} ${headers.get('x-asked')}`, { headers: allowed });
  },
  '/worker.js': () =>
    file(
      `onactivate = (event) => event.waitUntil(clients.claim());
       onfetch = (event) => {
         if (event.request.url.endsWith('/made-up')) event.respondWith(new Response('made up'));
       };`,
      'text/javascript',
    ),
  '/stream': () => {
    let part = 0;
    const pull = async (/** @type {ReadableStreamDefaultController} */ controller) => {
      if (part === 5) return controller.close();
      controller.enqueue(`${part++},`);
      await Bun.sleep(30);
    };
    return new Response(new ReadableStream({ pull }));
  },
  '/endless': () => endless('text/html', '<!doctype html>begun'),
  '/events': ({ headers }) => {
    events += 1;
    const after = headers.get('last-event-id');
    const event = { pid: process.pid, after };
    return endless(
      'text/event-stream',
      `retry: 20\nid: ${process.pid}-${events}\ndata: ${JSON.stringify(event)}\n\n`,
    );
  },
};

/** @param {number} number */
function asset(number) {
  if (number % 3 === 0) return `<script src=/asset/${number}.js></script>`;
  if (number % 3 === 1) return `<img src=/asset/${number}.svg>`;
  return `<link rel=stylesheet href=/asset/${number}.css>`;
}

/** @type {Record<string, () => Response>} */
const kinds = {
  js: () => file('window.scripts = (window.scripts ?? 0) + 1', 'text/javascript'),
  css: () => file(':root { color: black }', 'text/css'),
  svg: () =>
    file('<svg xmlns="http://www.w3.org/2000/svg" width="2" height="2"/>', 'image/svg+xml'),
};

Bun.serve({
  hostname: '127.0.0.1',
  port: process.env.PORT,
  idleTimeout: 0,
  fetch(request, server) {
    const { pathname } = new URL(request.url);
    if (pathname === '/socket') {
      const offered = request.headers.get('sec-websocket-protocol')?.split(',')[0];
      const headers = new Headers({ 'set-cookie': 'socket=1; Path=/' });
      if (offered) headers.set('sec-websocket-protocol', offered.trim());
      return server.upgrade(request, { headers }) ? undefined : new Response('', { status: 426 });
    }
    const [, kind] = /^\/asset\/\d+\.(\w+)$/.exec(pathname) ?? [];
    const answer = routes[pathname] ?? kinds[kind ?? ''];
    return answer?.(request) ?? new Response('nothing here', { status: 404 });
  },
  websocket: {
    maxPayloadLength: 64 << 20,
    perMessageDeflate: true,
    message(socket, data) {
      if (data === 'close') socket.close(4001, 'as you wish');
      else if (data === 'terminate') socket.terminate();
      else socket.send(data);
    },
  },
});

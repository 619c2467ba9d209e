import { expect, test } from 'bun:test';
import { createEgressGuard } from '@absolutejs/runtime';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { guardOf, localGuard, serve, serveRaw } from '../support/surface/egress.ts';
import { aFewTurns, rejectionOf, within } from '../support/surface/wait.ts';

const echo = () =>
  serve(({ method, url, headers, body }, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ method, url, headers, body }));
  });

test('the answer is a Response like that of the global fetch', async () => {
  await using server = await serve((_, response) => {
    response.writeHead(404, 'Nothing Here', [
      ['X-One', '1'],
      ['Set-Cookie', 'a=1'],
      ['Set-Cookie', 'b=2'],
    ] as any);
    response.end('body');
  });
  const response = await localGuard().fetch('acme', `${server.at('app.test')}/path?q=1#part`);
  expect(response).toBeInstanceOf(Response);
  expect(response).toMatchObject({
    status: 404,
    statusText: 'Nothing Here',
    ok: false,
    type: 'basic',
    redirected: false,
  });
  expect(response.url).toBe(`${server.at('app.test')}/path?q=1`);
  expect(response.headers.get('x-one')).toBe('1');
  expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
  const copy = response.clone();
  expect([copy.url, await copy.text(), await response.text()]).toEqual([
    response.url,
    'body',
    'body',
  ]);
  expect(response.bodyUsed).toBe(true);
});

const bytes = new Uint8Array([0x68, 0x69]);
const form = new FormData();
form.set('field', 'value');

const bodies: [
  kind: string,
  body: () => any,
  sent: string,
  type: RegExp | undefined,
  length: string | undefined,
][] = [
  ['string', () => 'hü', 'hÃ¼', /^text\/plain;charset=utf-8$/i, '3'],
  ['empty string', () => '', '', /^text\/plain/, '0'],
  [
    'URLSearchParams',
    () => new URLSearchParams('a=b&c'),
    'a=b&c=',
    /^application\/x-www-form-urlencoded/,
    '6',
  ],
  ['ArrayBuffer', () => bytes.buffer, 'hi', undefined, '2'],
  ['view', () => new DataView(bytes.buffer, 1), 'i', undefined, '1'],
  ['Blob', () => new Blob(['hi'], { type: 'a/b' }), 'hi', /^a\/b$/, '2'],
  ['stream', () => new Blob(['hi']).stream(), 'hi', undefined, undefined],
  [
    'stream of strings',
    () => new ReadableStream({ start: (to) => (to.enqueue('hi'), to.close()) }),
    'hi',
    undefined,
    undefined,
  ],
  [
    'async iterable',
    async function* () {
      yield 'h';
      yield bytes.subarray(1);
    },
    'hi',
    undefined,
    undefined,
  ],
  ['number', () => 12, '12', /^text\/plain/, '2'],
  ['object', () => ({ toString: () => 'text' }), 'text', /^text\/plain/, '4'],
];

for (const method of ['POST', 'DELETE', 'PATCH']) {
  test.each(bodies)(`${method} sends a body that is a %s`, async (_, body, sent, type, length) => {
    await using server = await echo();
    const seen: any = await (
      await localGuard().fetch('acme', server.at('app.test'), { method, body: body() })
    ).json();
    expect(seen).toMatchObject({ method, body: sent });
    if (type) expect(seen.headers['content-type']).toMatch(type);
    else expect(seen.headers['content-type']).toBeUndefined();
    expect(seen.headers['content-length']).toBe(length);
    expect(seen.headers['transfer-encoding']).toBe(length === undefined ? 'chunked' : undefined);
  });
}

test('FormData is sent as multipart with its boundary, given as such or in a Request', async () => {
  await using server = await echo();
  const guard = localGuard();
  const init = { method: 'POST', body: form };
  for (const answer of [
    guard.fetch('acme', server.at('app.test'), init),
    guard.fetch('acme', new Request(server.at('app.test'), init)),
  ]) {
    const { headers, body }: any = await (await answer).json();
    const boundary = /^multipart\/form-data; ?boundary=(.+)$/.exec(headers['content-type'])?.[1];
    expect(body).toStartWith(`--${boundary}\r\n`);
    expect(body).toContain('value');
    expect(headers['content-length']).toBe(String(body.length));
  }
});

test('a media type that the caller gives is kept', async () => {
  await using server = await echo();
  const init = { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } };
  const { headers }: any = await (
    await localGuard().fetch('acme', server.at('app.test'), init)
  ).json();
  expect(headers['content-type']).toBe('application/json');
});

test('a POST without a body says so', async () => {
  await using server = await echo();
  const { headers }: any = await (
    await localGuard().fetch('acme', server.at('app.test'), { method: 'post' })
  ).json();
  expect(headers['content-length']).toBe('0');
});

test('the body of a Request that is slow to end is streamed', async () => {
  await using server = await echo();
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const init = { method: 'POST', body: readable, duplex: 'half' } as RequestInit;
  const answer = localGuard().fetch('acme', new Request(server.at('app.test'), init));
  const writer = writable.getWriter();
  await writer.write(bytes);
  await aFewTurns();
  await writer.write(bytes);
  await writer.close();
  const seen: any = await (await answer).json();
  expect(seen).toMatchObject({ body: 'hihi', headers: { 'transfer-encoding': 'chunked' } });
});

test('a Request is read like any other, and init has the last word', async () => {
  await using server = await echo();
  const request = new Request(`${server.at('app.test')}/a`, {
    method: 'PUT',
    headers: { x: '1' },
    body: 'hello',
  });
  const seen: any = await (
    await localGuard().fetch('acme', request, { method: 'PATCH', headers: { y: '2' } })
  ).json();
  expect(seen).toMatchObject({ method: 'PATCH', url: '/a', body: 'hello', headers: { y: '2' } });
  expect(seen.headers.x).toBeUndefined();
  expect(request.bodyUsed).toBe(true);
  const again = await rejectionOf(localGuard().fetch('acme', request));
  expect(again.code).toBe('ERR_RUNTIME_EGRESS_FAILED');
});

test("headers that are not the caller's to decide are not sent", async () => {
  await using server = await echo();
  const headers = {
    host: 'internal.test',
    connection: 'keep-alive, x-mine',
    'content-length': '3',
    'transfer-encoding': 'gzip',
    upgrade: 'h2c',
    te: 'trailers',
    expect: '100-continue',
    'keep-alive': 'timeout=5',
    'x-mine': 'kept',
  };
  const init = { method: 'POST', body: 'hello', headers };
  const seen: any = await (await localGuard().fetch('acme', server.at('app.test'), init)).json();
  expect(seen.body).toBe('hello');
  expect(seen.headers).toEqual({
    host: `app.test:${server.port}`,
    connection: 'close',
    accept: '*/*',
    'accept-encoding': 'gzip, deflate, br',
    'content-length': '5',
    'content-type': expect.stringMatching(/^text\/plain/),
    'user-agent': 'absolutejs-runtime',
    'x-mine': 'kept',
  });
});

test('every request has a connection of its own, which ends with it', async () => {
  await using server = await echo();
  const guard = localGuard();
  for (let n = 1; n <= 3; n++) {
    await (await guard.fetch('acme', server.at('app.test'))).text();
    expect(server.connections()).toBe(n);
  }
  await server.quiet();
});

const refused: [what: string, init: any][] = [
  ['a method that is no word', { method: 'GET / HTTP/1.1\r\nx: y' }],
  ['CONNECT', { method: 'connect' }],
  ['TRACE', { method: 'TRACE' }],
  ['a header value with a line break', { headers: { a: 'b\r\nc: d' } }],
  ['a header name with a space', { headers: { 'a b': 'c' } }],
  ['a body with GET', { body: 'x' }],
  ['a body with HEAD', { method: 'HEAD', body: 'x' }],
  ['an unknown redirect mode', { redirect: 'maybe' }],
  ['a signal that is none', { signal: {} }],
  ['integrity', { integrity: 'sha256-x' }],
];

test.each(refused)('%s is refused with a TypeError before anything is sent', async (_, init) => {
  await using server = await echo();
  expect(await rejectionOf(localGuard().fetch('acme', server.at('app.test'), init))).toBeInstanceOf(
    TypeError,
  );
  expect(server.connections()).toBe(0);
});

test('what init may say elsewhere about the way to go has no effect', async () => {
  await using server = await echo();
  const init: any = {
    proxy: 'http://127.0.0.1:9/',
    unix: '/nowhere.sock',
    tls: { rejectUnauthorized: false },
    dispatcher: {},
  };
  expect((await localGuard().fetch('acme', server.at('app.test'), init)).status).toBe(200);
});

const text = 'hello '.repeat(10_000);
const encodings: [encoding: string, encoded: Buffer | string][] = [
  ['gzip', gzipSync(text)],
  ['x-gzip', gzipSync(text)],
  ['GZIP', gzipSync(text)],
  ['deflate', deflateSync(text)],
  ['deflate', deflateRawSync(text)],
  ['br', brotliCompressSync(text)],
  ['gzip, br', brotliCompressSync(gzipSync(text))],
  ['identity', text],
  ['unheard-of', text],
  ['gzip, unheard-of', text],
];

test.each(encodings)('a body in %s is read as what it says', async (encoding, encoded) => {
  await using server = await serve((_, response) => {
    response.setHeader('content-encoding', encoding);
    // In pieces, the first of which is a single byte.
    response.write(encoded.slice(0, 1), 'latin1', () => response.end(encoded.slice(1)));
  });
  const response = await localGuard().fetch('acme', server.at('app.test'));
  expect(response.headers.get('content-encoding')).toBe(encoding);
  expect(await response.text()).toBe(text);
});

test.each(['gzip', 'deflate', 'br'])(
  'an empty body in %s is empty, and one in something else fails',
  async (encoding) => {
    await using server = await serve(({ url }, response) => {
      response.setHeader('content-encoding', encoding);
      response.end(url === '/bad' ? '\x8b\x03 no such thing' : '');
    });
    const guard = localGuard();
    expect(await (await guard.fetch('acme', server.at('app.test'))).text()).toBe('');
    const error = await rejectionOf(
      (await guard.fetch('acme', `${server.at('app.test')}/bad`)).text(),
    );
    expect(error.code).toBe('ERR_RUNTIME_EGRESS_FAILED');
  },
);

test('a small body that stands for a huge one is decoded no further than it is read', async () => {
  await using server = await serve((_, response) => {
    response.setHeader('content-encoding', 'gzip');
    response.end(gzipSync(Buffer.alloc(256 << 20), { level: 9 }));
  });
  const response = await localGuard().fetch('acme', server.at('app.test'));
  const before = process.memoryUsage().rss;
  const reader = response.body!.getReader();
  const { value } = await reader.read();
  expect(value!.byteLength).toBeLessThan(1 << 20);
  await aFewTurns();
  expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
  await reader.cancel();
  await server.quiet();
}, 30_000);

test('a server cannot send faster than the body is read', async () => {
  const chunk = Buffer.alloc(64 << 10);
  let written = 0;
  const { promise: stuck, resolve: isStuck } = Promise.withResolvers<void>();
  await using server = await serve((_, response) => {
    while (response.write(chunk)) written++;
    const more = () => {
      if (written >= 1_000) return void response.end();
      written++;
      let flushed = false;
      response.write(chunk, () => ((flushed = true), more()));
      setTimeout(() => flushed || isStuck(), 200).unref();
    };
    more();
  });
  const response = await localGuard().fetch('acme', server.at('app.test'));
  await within('the server to be held up', stuck);
  expect(written).toBeLessThan(500);
  expect((await response.arrayBuffer()).byteLength).toBeGreaterThanOrEqual(1_000 * chunk.length);
});

test('a source cannot be read faster than it is sent', async () => {
  const { promise: requested, resolve: onRequest } = Promise.withResolvers<() => void>();
  await using server = await serveRaw((request, response) => {
    request.pause();
    onRequest(() => request.resume().on('end', () => response.end()));
  });
  let pulled = 0;
  const body = new ReadableStream({
    pull(controller) {
      controller.enqueue(new Uint8Array(64 << 10));
      if (++pulled === 1_000) controller.close();
    },
  });
  const answer = localGuard().fetch('acme', server.at('app.test'), { method: 'POST', body });
  const goOn = await within('the request', requested);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(pulled).toBeLessThan(500);
  goOn();
  expect((await answer).status).toBe(200);
  expect(pulled).toBe(1_000);
});

test.each([204, 205, 304])('%d has no body', async (status) => {
  await using server = await serve((_, response) => void response.writeHead(status).end());
  const response = await localGuard().fetch('acme', server.at('app.test'));
  expect([response.status, response.body]).toEqual([status, null]);
  await server.quiet();
});

test('HEAD has no body, whatever the headers promise', async () => {
  await using server = await serve((_, response) => {
    response.writeHead(200, { 'content-length': '1000000', 'content-encoding': 'gzip' }).end();
  });
  const response = await localGuard().fetch('acme', server.at('app.test'), { method: 'HEAD' });
  expect([response.headers.get('content-length'), response.body, await response.text()]).toEqual([
    '1000000',
    null,
    '',
  ]);
  await server.quiet();
});

test('an answer before the end of the request is an answer', async () => {
  await using server = await serveRaw((_, response) => {
    response.writeHead(413, { connection: 'close' }).end('too much');
  });
  let cancelled = false;
  const body = new ReadableStream({
    pull: (controller) => controller.enqueue(new Uint8Array(64 << 10)),
    cancel: () => void (cancelled = true),
  });
  const response = await localGuard().fetch('acme', server.at('app.test'), {
    method: 'POST',
    body,
  });
  expect([response.status, await response.text()]).toEqual([413, 'too much']);
  await server.quiet();
  await aFewTurns();
  expect(cancelled).toBe(true);
});

/** A server that sends these bytes, whatever it is asked, and then closes the connection. */
async function sends(raw: string) {
  const server = createTcpServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end(raw, 'latin1'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://app.test:${(server.address() as AddressInfo).port}/`;
  return {
    url,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  };
}

test.each([
  ['nothing', ''],
  ['no HTTP', 'SSH-2.0-OpenSSH\r\n'],
  ['half a head', 'HTTP/1.1 200 OK\r\nx: y'],
  ['a head without end', `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(10_000)}\r\n`],
  ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'],
  ['another protocol', 'HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'],
  ['a status beyond 599', 'HTTP/1.1 600 What\r\n\r\n'],
])('a server that answers %s fails the request', async (_, raw) => {
  await using server = await sends(raw);
  const error = await rejectionOf(localGuard().fetch('acme', server.url));
  expect(error).toBeInstanceOf(TypeError);
  expect(error.code).toBe('ERR_RUNTIME_EGRESS_FAILED');
});

test.each([
  ['with a length', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'],
  ['in chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
  [
    'in gzip',
    `HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 90\r\n\r\n${gzipSync('x').toString('latin1')}`,
  ],
])('a body %s that breaks off fails its reader', async (_, raw) => {
  await using server = await sends(raw);
  const response = await localGuard().fetch('acme', server.url);
  const error = await rejectionOf(response.text());
  expect(error).toBeInstanceOf(TypeError);
  expect([error.code, error.key]).toEqual(['ERR_RUNTIME_EGRESS_FAILED', 'acme']);
});

test('a body that ends with its connection is whole', async () => {
  await using server = await sends('HTTP/1.1 200 OK\r\n\r\nwhole');
  expect(await (await localGuard().fetch('acme', server.url)).text()).toBe('whole');
});

test('a body that ends before its connection does is whole, and the connection is closed', async () => {
  await using server = await serve((_, response) => {
    response.shouldKeepAlive = true;
    response.setHeader('connection', 'keep-alive');
    response.end('whole');
  });
  expect(await (await localGuard().fetch('acme', server.at('app.test'))).text()).toBe('whole');
  await server.quiet();
});

test('a connection that is refused fails with its cause', async () => {
  const server = await echo();
  const url = server.at('app.test');
  await server[Symbol.asyncDispose]();
  const error = await rejectionOf(localGuard().fetch('acme', url));
  expect(error).toBeInstanceOf(TypeError);
  expect(error).toMatchObject({
    code: 'ERR_RUNTIME_EGRESS_FAILED',
    key: 'acme',
    cause: { code: 'ECONNREFUSED' },
  });
});

test('keys are those of tenants', async () => {
  const guard = createEgressGuard();
  for (const key of ['', '..', '/etc', 5 as any]) {
    expect((await rejectionOf(guard.fetch(key, 'http://1.1.1.1/'))).code).toBe(
      'ERR_RUNTIME_INVALID_KEY',
    );
    for (const call of [guard.fetchFor, guard.usage, guard.reset]) {
      expect(() => call(key)).toThrow(expect.objectContaining({ code: 'ERR_RUNTIME_INVALID_KEY' }));
    }
  }
});

test('a guard is a plain object whose methods need no this', async () => {
  await using server = await echo();
  const { fetch, fetchFor, usage, reset, metrics, ...rest } = guardOf(['127.0.0.1'], {
    allow: ['127.0.0.1'],
  });
  expect(rest).toEqual({});
  expect((await fetch('acme', server.at('app.test'))).status).toBe(200);
  expect((await fetchFor('acme')(server.at('app.test'))).status).toBe(200);
  expect(usage('acme')).toEqual({ requests: 0, bytes: 0 });
  expect(reset('acme')).toBeUndefined();
  expect(metrics().requests).toBe(2);
});

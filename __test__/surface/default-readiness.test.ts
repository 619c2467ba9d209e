import { expect, test } from 'bun:test';
import { RuntimeExitedBeforeReadyError, type RuntimeOptions } from '@absolutejs/runtime';
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { once } from 'node:events';
import { setUp, type Bench } from '../support/surface/bench.ts';
import { aFewTurns, isPending, rejectionOf } from '../support/surface/wait.ts';

/** A tenant whose server runs in this process, on the port that it was offered. */
async function withServer(
  listener: RequestListener,
  use: (bench: Bench, requests: string[]) => Promise<void>,
): Promise<void> {
  const requests: string[] = [];
  const servers: Server[] = [];
  await using bench = setUp({ readiness: undefined });
  bench.fleet.prepare = async (process) => {
    const server = createServer((request, response) => {
      requests.push(`${request.method} ${request.url} ${request.headers.host}`);
      listener(request, response);
    });
    servers.push(server);
    await once(server.listen(Number(process.args.env.PORT), '127.0.0.1'), 'listening');
  };
  bench.releases.push(() =>
    servers.forEach((server) => (server.closeAllConnections(), server.close())),
  );
  await use(bench, requests);
}

test.each([200, 204, 400, 404, 500, 503])('any HTTP answer is ready: %p', async (status) => {
  await withServer(
    (_, response) => response.writeHead(status).end(),
    async (bench, requests) => {
      const { port } = await bench.runtime.ensure('a');
      expect(requests[0]).toBe(`GET / 127.0.0.1:${port}`);
    },
  );
});

test.each([301, 302, 307])('a redirect is an answer, and is not followed: %p', async (status) => {
  await withServer(
    (_, response) => response.writeHead(status, { location: '/elsewhere' }).end(),
    async (bench, requests) => {
      const { port } = await bench.runtime.ensure('a');
      await aFewTurns();
      expect(new Set(requests)).toEqual(new Set([`GET / 127.0.0.1:${port}`]));
    },
  );
});

test('the first byte may come late, and the body never', async () => {
  const delayMs = 300;
  await withServer(
    (_, response) => void setTimeout(() => (response.writeHead(200), response.write('a')), delayMs),
    async (bench) => {
      await bench.runtime.ensure('a');
      expect(bench.events.all('ready')[0]!.durationMs).toBeGreaterThanOrEqual(delayMs - 1);
    },
  );
});

test('a server that closes the connection without an answer is asked again', async () => {
  let refusals = 3;
  await withServer(
    (request, response) => (refusals-- > 0 ? request.socket.destroy() : response.end()),
    async (bench, requests) => {
      await bench.runtime.ensure('a');
      expect(requests).toHaveLength(4);
    },
  );
});

test('bytes that are not HTTP are no answer', async () => {
  const sockets: Socket[] = [];
  let speaksHttp = false;
  const server = createTcpServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.end(
      speaksHttp ? 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n' : 'SSH-2.0-OpenSSH_9.6\r\n',
    );
  });
  await using bench = setUp({ readiness: undefined });
  bench.releases.push(() => void server.close());
  bench.fleet.prepare = async (process) => {
    await once(server.listen(Number(process.args.env.PORT), '127.0.0.1'), 'listening');
  };
  const pending = bench.runtime.ensure('a');
  while (sockets.length < 3) expect(await isPending(pending)).toBeTrue();
  speaksHttp = true;
  expect((await pending).key).toBe('a');
});

test('a server that starts to listen late is waited for', async () => {
  await using bench = setUp({ readiness: undefined });
  const pending = bench.runtime.ensure('a');
  await bench.events.seen('spawn', 'a');
  await Bun.sleep(50);
  const port = Number(bench.fleet.the('a').args.env.PORT);
  const server = Bun.serve({ hostname: '127.0.0.1', port, fetch: () => new Response() });
  bench.releases.push(() => void server.stop(true));
  expect((await pending).port).toBe(port);
  expect(bench.events.all('ready')[0]!.durationMs).toBeGreaterThanOrEqual(49);
});

test('the request goes to the port of the process', async () => {
  const server = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => new Response() });
  await using bench = setUp({ readiness: undefined });
  bench.releases.push(() => void server.stop(true));
  bench.fleet.prepare = (process) => void (process.port = server.port);
  expect((await bench.runtime.ensure('a')).port).toBe(server.port!);
});

test('an early exit ends the wait at once, with the exit code and the last lines of output', async () => {
  await using bench = setUp({ readiness: undefined });
  const pending = bench.runtime.ensure('a');
  const process = await bench.fleet.called('a');
  await bench.events.seen('spawn', 'a');
  process.log('cannot find module "hono"', 'stderr');
  const before = performance.now();
  process.exit(2);
  const error = await rejectionOf(pending);
  expect(performance.now() - before).toBeLessThan(10_000);
  expect(error).toBeInstanceOf(RuntimeExitedBeforeReadyError);
  expect(error).toMatchObject({ key: 'a', exitCode: 2, code: 'ERR_RUNTIME_EXITED_EARLY' });
  expect(error.message).toBe(
    'Runtime process for "a" exited with code 2 before it was ready\ncannot find module "hono"',
  );
});

test('an early exit while a request is unanswered ends the wait at once, too', async () => {
  await withServer(
    () => {},
    async (bench, requests) => {
      const pending = bench.runtime.ensure('a');
      await bench.events.seen('spawn', 'a');
      while (requests.length === 0) await aFewTurns();
      bench.fleet.the('a').exit(null);
      const error = await rejectionOf(pending);
      expect(error.message).toBe(
        'Runtime process for "a" exited with no exit code before it was ready',
      );
      expect(error.exitCode).toBeNull();
    },
  );
});

test('a server that never answers can be killed', async () => {
  await withServer(
    () => {},
    async (bench, requests) => {
      const pending = bench.runtime.ensure('a');
      await bench.events.seen('spawn', 'a');
      while (requests.length === 0) await aFewTurns();
      const rejected = rejectionOf(pending);
      await bench.runtime.kill('a');
      await rejected;
      expect(bench.events.story).toEqual(['spawn a', 'exit a']);
    },
  );
});

test('a request is made once, and its answer waited for', async () => {
  const held: (() => void)[] = [];
  await withServer(
    (_, response) => void held.push(() => response.end()),
    async (bench, requests) => {
      const pending = bench.runtime.ensure('a');
      await bench.events.seen('spawn', 'a');
      while (held.length === 0) await aFewTurns();
      // Longer than requests once had before they were repeated.
      const patienceMs = 2_300;
      await Bun.sleep(patienceMs);
      held[0]!();
      await pending;
      expect(requests).toHaveLength(1);
      expect(bench.events.all('ready')[0]!.durationMs).toBeGreaterThanOrEqual(patienceMs);
    },
  );
});

/** A tenant that answers each connection with these bytes, once it was asked. */
async function answering(
  options: Partial<RuntimeOptions>,
  answer: (socket: Socket) => void,
): Promise<Bench> {
  const bench = setUp({ readiness: undefined, ...options });
  const server = createTcpServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => answer(socket));
  });
  bench.releases.push(() => void server.close());
  bench.fleet.prepare = async (process) => {
    await once(server.listen(Number(process.args.env.PORT), '127.0.0.1'), 'listening');
  };
  return bench;
}

const many = (count: number, line: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => line(index)).join('');

test.each([
  ['120 headers', `HTTP/1.1 200 OK\r\n${many(120, (index) => `x-h${index}: v\r\n`)}\r\n`],
  ['a header of 600 KB', `HTTP/1.1 200 OK\r\nlink: ${'x'.repeat(600_000)}\r\n\r\n`],
  ['a head that has no end', 'HTTP/1.1 200 OK\r\nlink: x'],
  ['nothing but its first bytes', 'HTTP/1.'],
  ['early hints, and nothing after them', 'HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n'],
  ['bare line feeds', 'HTTP/1.1 200 OK\ncontent-length: 2\n\nok'],
  ['no reason', 'HTTP/1.0 200\r\n\r\n'],
  ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok'],
  ['a space in a name', 'HTTP/1.1 200 OK\r\nX Bad: 1\r\n\r\n'],
  ['a status of 000', 'HTTP/1.1 000 Nope\r\n\r\n'],
  ['an empty line first', '\r\nHTTP/1.1 200 OK\r\n\r\n'],
])('whatever begins like an HTTP/1 answer is one: %s', async (_, answer) => {
  await using bench = await answering({}, (socket) => socket.write(answer));
  expect((await bench.runtime.ensure('a')).key).toBe('a');
});

test('an answer may come byte by byte', async () => {
  await using bench = await answering({}, async (socket) => {
    for (const byte of 'HTTP/1.1 200') {
      socket.write(byte);
      await aFewTurns();
    }
  });
  await bench.runtime.ensure('a');
});

test('interim answers without end are an answer, and their connection is closed', async () => {
  const block = Buffer.from(many(4_000, () => 'HTTP/1.1 100 Continue\r\n\r\n'));
  const closed = Promise.withResolvers<void>();
  await using bench = await answering({}, (socket) => {
    const more = () => {
      while (socket.writable && socket.write(block));
    };
    socket.on('drain', more).on('close', closed.resolve);
    more();
  });
  await bench.runtime.ensure('a');
  await closed.promise;
});

test('a server at ::1 alone is ready, and its tenant says so', async () => {
  await using bench = setUp({ readiness: undefined });
  bench.fleet.prepare = (process) => {
    const hostname = process.key === 'six' ? '::1' : '127.0.0.1';
    const port = Number(process.args.env.PORT);
    const server = Bun.serve({ hostname, port, fetch: () => new Response(hostname) });
    bench.releases.push(() => void server.stop(true));
  };
  const { host, port } = await bench.runtime.ensure('six');
  expect(host).toBe('::1');
  expect(bench.runtime.inspect('six')!.host).toBe('::1');
  expect(await (await fetch(`http://[${host}]:${port}/`)).text()).toBe('::1');
  expect(Object.keys(await bench.runtime.ensure('four'))).not.toContain('host');
  expect(Object.keys(bench.runtime.inspect('four')!)).not.toContain('host');
});

const certificateFile = (name: string) =>
  readFileSync(join(import.meta.dir, '../support/surface/tls', name));
const CERTIFICATE = { key: certificateFile('server-key.pem'), cert: certificateFile('server.pem') };
const TIMEOUT = { readinessTimeoutMs: 300 };
/** An emulated machine needs ten times as long. */
const PATIENT = { readinessTimeoutMs: process.env.TEST_PATIENCE_MS === undefined ? 1_500 : 15_000 };

test('a tenant that does not answer in time is told with its key, its port and its last lines', async () => {
  await using bench = await answering(TIMEOUT, () => {});
  const pending = bench.runtime.ensure('a');
  const process = await bench.fleet.called('a');
  process.log('waiting for the database');
  const error = await rejectionOf(pending);
  expect(error.code).toBe('ERR_RUNTIME_READINESS_TIMEOUT');
  expect(error.message).toBe(
    `Tenant readiness timed out after 0.3s: tenant "a" has not answered GET / on its port ${process.args.env.PORT}: ` +
      'it has taken the request and not answered yet\nwaiting for the database',
  );
});

// At once, as each waits for as long as it may take on an emulated processor.
test.concurrent.each([
  ['nothing listens there', undefined],
  ['ends each connection without an answer', (socket: Socket) => void socket.destroy()],
  ['what it answers is no HTTP', (socket: Socket) => void socket.end('ok')],
])('what was found instead of an answer is told: %s', async (found, answer) => {
  // A request must be over by then, on a busy machine, too.
  await using bench = await answering(PATIENT, answer ?? (() => {}));
  if (answer === undefined) bench.fleet.prepare = () => {};
  expect((await rejectionOf(bench.runtime.ensure('a'))).message).toContain(found);
});

test.concurrent.each(['TLS', 'HTTP/2'])(
  'a server that speaks %s alone is not ready, and the error says so',
  async (what) => {
    // It takes three requests and two greetings before the last of them has its answer.
    await using bench = setUp({ readiness: undefined, ...PATIENT });
    const server = what === 'TLS' ? createTlsServer(CERTIFICATE) : createHttp2Server();
    // Node would answer HTTP/1 with an error, which is an answer.
    server.on('unknownProtocol', (socket) => socket.destroy());
    bench.releases.push(() => void server.close());
    bench.fleet.prepare = async (process) => {
      await once(server.listen(Number(process.args.env.PORT), '127.0.0.1'), 'listening');
    };
    expect((await rejectionOf(bench.runtime.ensure('a'))).message).toContain(`speaks ${what}`);
  },
);

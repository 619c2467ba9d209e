import { expect, test } from 'bun:test';
import { RuntimeExitedBeforeReadyError } from '@absolutejs/runtime';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTcpServer, type Socket } from 'node:net';
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
  bench.releases.push(() => servers.forEach((server) => (server.closeAllConnections(), server.close())));
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

test('what speaks no HTTP is no answer', async () => {
  const sockets: Socket[] = [];
  let speaksHttp = false;
  const server = createTcpServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.end(speaksHttp ? 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n' : 'SSH-2.0-OpenSSH_9.6\r\n');
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

test('the port that the process says is the one that is asked', async () => {
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
      expect(error.message).toBe('Runtime process for "a" exited with no exit code before it was ready');
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
      await bench.runtime.kill('a');
      await rejectionOf(pending);
      expect(bench.events.story).toEqual(['spawn a', 'exit a']);
    },
  );
});

test('an unanswered request does not hold the next one up for more than about two seconds', async () => {
  let isFirst = true;
  await withServer(
    (_, response) => {
      if (!isFirst) response.end();
      isFirst = false;
    },
    async (bench, requests) => {
      await bench.runtime.ensure('a');
      expect(requests.length).toBeGreaterThanOrEqual(2);
      expect(bench.events.all('ready')[0]!.durationMs).toBeWithin(1_500, 15_000);
    },
  );
});

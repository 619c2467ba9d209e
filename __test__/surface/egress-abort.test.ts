import { expect, test } from 'bun:test';
import { localGuard, serve, serveRaw } from '../support/surface/egress.ts';
import { aFewTurns, rejectionOf, within } from '../support/surface/wait.ts';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';

const mine = new Error('mine');

/** A signal that counts its listeners. */
function watched() {
  const controller = new AbortController();
  const listeners = new Set<unknown>();
  const { signal } = controller;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (type: string, listener: any, options?: any) => {
    listeners.add(listener);
    add(type as 'abort', listener, options);
  };
  signal.removeEventListener = (type: string, listener: any) => {
    listeners.delete(listener);
    remove(type as 'abort', listener);
  };
  return { signal, abort: () => controller.abort(mine), listeners: () => listeners.size };
}

test('a signal that is already aborted: nothing is looked up or sent', async () => {
  let lookups = 0;
  const guard = localGuard({ lookup: () => [String(lookups++)] });
  expect(
    await rejectionOf(guard.fetch('acme', 'http://app.test/', { signal: AbortSignal.abort(mine) })),
  ).toBe(mine);
  expect(lookups).toBe(0);
});

test('during the lookup', async () => {
  const { signal, abort, listeners } = watched();
  const guard = localGuard({
    lookup: () => {
      queueMicrotask(abort);
      return new Promise(() => {});
    },
  });
  expect(await rejectionOf(guard.fetch('acme', 'http://app.test/', { signal }))).toBe(mine);
  expect(listeners()).toBe(0);
});

test('during the TLS handshake', async () => {
  const { signal, abort } = watched();
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  const silent = createTcpServer(
    (socket) =>
      void socket
        .on('error', () => {})
        .on('close', () => resolve())
        .once('data', abort),
  );
  await new Promise<void>((listening) => silent.listen(0, '127.0.0.1', listening));
  const { port } = silent.address() as AddressInfo;
  expect(
    await rejectionOf(localGuard().fetch('acme', `https://app.test:${port}/`, { signal })),
  ).toBe(mine);
  await within('the end of the connection', closed);
  silent.close();
});

test('while the answer is waited for', async () => {
  const { signal, abort, listeners } = watched();
  await using server = await serve(() => abort());
  expect(await rejectionOf(localGuard().fetch('acme', server.at('app.test'), { signal }))).toBe(
    mine,
  );
  expect(listeners()).toBe(0);
  await server.quiet();
});

test('while the body is sent: its source is told', async () => {
  const { signal, abort } = watched();
  await using server = await serveRaw((request) => void request.once('data', abort));
  const { promise: cancelled, resolve } = Promise.withResolvers<void>();
  let sent = false;
  const body = new ReadableStream({
    pull(controller) {
      if (sent) return new Promise(() => {});
      sent = true;
      controller.enqueue(new Uint8Array(1));
    },
    cancel: () => resolve(),
  });
  expect(
    await rejectionOf(
      localGuard().fetch('acme', server.at('app.test'), { method: 'POST', body, signal }),
    ),
  ).toBe(mine);
  await within('the source to be cancelled', cancelled);
  await server.quiet();
});

test('while the body is read: the read under way fails, and every later one', async () => {
  const { signal, abort, listeners } = watched();
  await using server = await serve((_, response) => void response.write('first'));
  const response = await localGuard().fetch('acme', server.at('app.test'), { signal });
  const reader = response.body!.getReader();
  expect(new TextDecoder().decode((await reader.read()).value)).toBe('first');
  const reading = rejectionOf(reader.read());
  abort();
  expect(await reading).toBe(mine);
  expect(await rejectionOf(reader.read())).toBe(mine);
  expect(listeners()).toBe(0);
  await server.quiet();
});

test('before the body is read', async () => {
  const { signal, abort } = watched();
  await using server = await serve((_, response) => void response.write('first'));
  const response = await localGuard().fetch('acme', server.at('app.test'), { signal });
  abort();
  expect(await rejectionOf(response.text())).toBe(mine);
  await server.quiet();
});

test('between a redirect and its target', async () => {
  const { signal, abort } = watched();
  await using server = await serve(({ url }, response) => {
    if (url === '/target') return abort();
    response.writeHead(302, { location: '/target' }).end();
  });
  expect(await rejectionOf(localGuard().fetch('acme', server.at('app.test'), { signal }))).toBe(
    mine,
  );
  await server.quiet();
});

test('the signal of a Request, unless init has another or none', async () => {
  await using server = await serve((_, response) => void response.end('reached'));
  const url = server.at('app.test');
  const aborted = AbortSignal.abort(mine);
  expect(await rejectionOf(localGuard().fetch('acme', new Request(url, { signal: aborted })))).toBe(
    mine,
  );
  const response = await localGuard().fetch('acme', new Request(url, { signal: aborted }), {
    signal: null,
  });
  expect(await response.text()).toBe('reached');
});

test('AbortSignal.timeout fails with its TimeoutError', async () => {
  await using server = await serve(() => {});
  const signal = AbortSignal.timeout(20);
  const error = await rejectionOf(localGuard().fetch('acme', server.at('app.test'), { signal }));
  expect(error.name).toBe('TimeoutError');
});

test('an abort after the end changes nothing, and nothing is left on the signal', async () => {
  const { signal, abort, listeners } = watched();
  await using server = await serve(({ url }, response) => {
    if (url === '/fails') return void response.destroy();
    if (url === '/from') return void response.writeHead(302, { location: '/' }).end();
    response.end('reached');
  });
  const guard = localGuard();
  const get = (path: string) => guard.fetch('acme', server.at('app.test') + path, { signal });
  expect(await (await get('/')).text()).toBe('reached');
  expect(await (await get('/from')).text()).toBe('reached');
  await (await get('/')).body!.cancel();
  await guard.fetch('acme', server.at('app.test'), { method: 'HEAD', signal });
  await rejectionOf(get('/fails'));
  expect(listeners()).toBe(0);
  abort();
  await aFewTurns();
  await server.quiet();
});

test('cancelling the body closes the connection', async () => {
  await using server = await serve((_, response) => void response.write('first'));
  const response = await localGuard().fetch('acme', server.at('app.test'));
  await response.body!.cancel();
  await server.quiet();
});

test('a streamed body that is refused on its way is cancelled', async () => {
  const { promise: cancelled, resolve } = Promise.withResolvers<void>();
  const body = new ReadableStream({ cancel: () => resolve() });
  const guard = localGuard({ lookup: () => ['10.0.0.1'] });
  const error = await rejectionOf(
    guard.fetch('acme', 'http://app.test/', { method: 'POST', body }),
  );
  expect(error.reason).toBe('address');
  await within('the source to be cancelled', cancelled);
});

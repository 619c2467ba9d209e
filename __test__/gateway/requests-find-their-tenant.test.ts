import { expect, test } from 'bun:test';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createGateway } from '@absolutejs/runtime/gateway';
import { MIRROR, open } from '../support/gateway/house.ts';
import { within } from '../support/processes/until.ts';

test('a request wakes its tenant, and those that come meanwhile share the start', async () => {
  await using house = await open();
  const { listening } = house.gateway;
  expect(await listening).toEqual([
    { url: `http://127.0.0.1:${house.port}`, hostname: '127.0.0.1', port: house.port },
  ]);
  const answers = await Promise.all(
    ['/a?b=1', '/b', '/c'].map((path) => house.mirrored('hello', path)),
  );
  expect(answers.map(({ path }) => path)).toEqual(['/a?b=1', '/b', '/c']);
  expect(new Set(answers.map(({ pid }) => pid)).size).toBe(1);
  expect(house.starts).toEqual(['hello']);
  const [first] = answers;
  expect(first?.headers).toMatchObject({
    host: 'hello.localhost',
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-host': 'hello.localhost',
    'x-forwarded-proto': 'http',
  });
  const tenant = await house.runtime.ensure('hello');
  expect(house.starts).toEqual(['hello']);
  expect(tenant.key).toBe('hello');
});

test('an unknown host or key is answered with 404, and starts nothing', async () => {
  await using house = await open();
  for (const host of ['nobody', 'hello.example', 'a.hello.localhost']) {
    const answer = await house.ask(host);
    expect({ host, status: answer.status }).toEqual({ host, status: 404 });
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
    await answer.text();
  }
  expect(house.starts).toEqual([]);
  expect(house.runtime.list()).toEqual([]);
});

test('a tenant whose directory is gone is unknown while it is being stopped', async () => {
  const stays = `${MIRROR}\nprocess.on('SIGTERM', () => {});`;
  await using house = await open({ tenants: { stays }, runtime: { stopTimeoutMs: 3_000 } });
  await house.mirrored('stays');
  rmSync(join(house.tenants.root, 'stays'), { recursive: true });
  const stopped = house.runtime.kill('stays');
  expect(house.runtime.inspect('stays')?.state).toBe('stopping');
  expect((await house.ask('stays')).status).toBe(404);
  await stopped;
  expect(house.starts).toEqual(['stays']);
});

test('a path has its key as its first segment, which is taken off', async () => {
  await using house = await open({ gateway: { route: { by: 'path' } } });
  const { path, headers } = await house.mirrored('any.example', '/hello/a/b?c');
  expect({ path, prefix: headers['x-forwarded-prefix'] }).toEqual({
    path: '/a/b?c',
    prefix: '/hello',
  });
  const led = await house.ask('any.example', '/hello?x=1');
  expect([led.status, led.headers.get('location')]).toEqual([308, '/hello/?x=1']);
  expect((await house.ask('any.example', '/nobody/')).status).toBe(404);
});

test('hosts have their keys', async () => {
  const hosts = { 'Shop.example.': 'org/shop', '[::1]': 'org/shop' };
  await using house = await open({
    tenants: { 'org/shop': MIRROR },
    gateway: { route: { by: 'host', hosts } },
  });
  expect((await house.mirrored('shop.example:80', '/x')).path).toBe('/x');
  expect((await house.mirrored('[::1]:3000', '/y')).path).toBe('/y');
  expect((await house.ask('other.example')).status).toBe(404);
});

test('a function is asked for the key once per host, and its answer is remembered', async () => {
  const asked: unknown[] = [];
  const later = Promise.withResolvers<string>();
  await using house = await open({
    gateway: {
      route: {
        by: 'ask',
        cacheMs: 60_000,
        ask(request) {
          asked.push(request);
          if (request.host === 'none.example') return null;
          if (request.host === 'thrown.example') throw new Error('of the user');
          if (request.host === 'odd.example') return '../odd';
          return later.promise;
        },
      },
    },
  });
  const both = [
    house.mirrored('shop.example:80', '/a?b'),
    house.mirrored('shop.example', '/b', { method: 'POST', body: 'c' }),
  ];
  expect((await house.ask('none.example')).status).toBe(404);
  expect((await house.ask('none.example')).status).toBe(404);
  expect((await house.ask('thrown.example')).status).toBe(502);
  expect((await house.ask('thrown.example')).status).toBe(502);
  expect((await house.ask('odd.example')).status).toBe(502);
  later.resolve('hello');
  expect((await Promise.all(both)).map(({ path }) => path)).toEqual(['/a?b', '/b']);
  const hosts = asked.map((request) => (request as { host: string }).host).sort();
  expect(hosts).toEqual([
    ...['none.example', 'odd.example', 'shop.example'],
    ...['thrown.example', 'thrown.example'],
  ]);
  expect(asked.find((request) => (request as { host: string }).host === 'shop.example')).toEqual({
    host: 'shop.example',
    method: expect.stringMatching(/^(GET|POST)$/),
    path: expect.stringMatching(/^\/[ab]$/),
    address: '127.0.0.1',
  });
});

test('a WebSocket is passed on', async () => {
  await using house = await open();
  const socket = new WebSocket(`ws://127.0.0.1:${house.port}/`, {
    headers: { host: 'hello.localhost' },
  } as never);
  const said = new Promise((resolve, reject) => {
    socket.onopen = () => socket.send('hi');
    socket.onmessage = ({ data }) => resolve(data);
    socket.onclose = ({ code }) => reject(new Error(`closed with ${code}`));
  });
  expect(await within('an echo', said)).toBe('you said hi');
  const closed = new Promise<number>((resolve) => (socket.onclose = ({ code }) => resolve(code)));
  socket.close(4_000, 'enough');
  expect(await within('the close', closed)).toBe(4_000);
});

test('several gateways share a runtime, at a unix socket too, whose file goes with it', async () => {
  await using house = await open();
  const path = `${house.tenants.root}/gateway.sock`;
  const { runtime } = house;
  const gateway = createGateway({
    runtime,
    route: { by: 'path' },
    listen: [{ path }, { port: 0 }],
  });
  const [socket, tcp] = await within('listening', gateway.listening);
  expect(socket).toEqual({ url: `unix:${path}`, path });
  const answer = await fetch('http://any.example/hello/x', { unix: path } as never);
  const other = await fetch(`http://127.0.0.1:${tcp?.port}/hello/y`);
  const { pid } = await house.mirrored('hello');
  expect(await answer.json()).toMatchObject({ path: '/x', pid });
  expect(await other.json()).toMatchObject({ path: '/y', pid });
  await within('close', gateway.close());
  expect(existsSync(path)).toBeFalse();
  expect((await house.mirrored('hello')).pid).toBe(pid);
});

test('tenants of a spawn of the user’s own need no directory', async () => {
  await using house = await open({
    runtime: {
      spawn: async ({ env }) =>
        Bun.spawn(['bun', 'server.ts'], {
          cwd: `${house.tenants.root}/hello`,
          env: { ...process.env, ...env },
          stdio: ['ignore', 'ignore', 'ignore'],
        }),
    },
  });
  expect((await house.mirrored('made-up')).path).toBe('/');
  expect(house.starts).toEqual(['made-up']);
  const gone = house.ask('made-up', '/boom');
  expect((await gone).status).toBe(502);
});

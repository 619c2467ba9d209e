// A process that is routed by other means has no port: it is adopted with port 0.
import { expect, test } from 'bun:test';
import { createServer } from 'node:net';
import { setUp } from '../support/surface/bench.ts';
import { handedOver } from '../support/surface/fleet.ts';

test('its port is 0 in the tenant, the event, inspect and list', async () => {
  await using bench = setUp();
  const process = handedOver({ resourceId: 'container' });
  const tenant = await bench.runtime.adopt('a', process);
  expect(tenant).toMatchObject({ key: 'a', port: 0, pid: process.pid, resourceId: 'container' });
  expect(await bench.runtime.ensure('a')).toBe(tenant);
  expect(bench.events.all('adopt')).toEqual([
    { type: 'adopt', key: 'a', pid: process.pid, port: 0, resourceId: 'container' },
  ]);
  expect(bench.runtime.inspect('a')).toMatchObject({ state: 'ready', port: 0 });
  expect(bench.runtime.stats()).toMatchObject({ running: 1, total: 1 });
});

test.each([undefined, {}, { port: undefined }, { port: 0 }])('with options %p', async (options) => {
  await using bench = setUp();
  expect((await bench.runtime.adopt('a', handedOver(), options)).port).toBe(0);
});

test.each([undefined, null, 0])('with a process whose port is %p', async (port) => {
  await using bench = setUp();
  const process = Object.assign(handedOver(), { port: port as any });
  expect((await bench.runtime.adopt('a', process)).port).toBe(0);
  const child = Bun.spawn(['sleep', '1000']);
  expect((await bench.runtime.adopt('b', { pid: child.pid, port } as any)).port).toBe(0);
});

test('the port that the process has itself counts, unless the options say another', async () => {
  await using bench = setUp();
  expect((await bench.runtime.adopt('a', handedOver({ port: 4001 }))).port).toBe(4001);
  expect((await bench.runtime.adopt('b', handedOver({ port: 4001 }), { port: 4002 })).port).toBe(
    4002,
  );
  expect((await bench.runtime.adopt('c', handedOver({ port: 4001 }), { port: 0 })).port).toBe(0);
});

test('many tenants may have port 0, and each can be stopped', async () => {
  await using bench = setUp();
  const keys = Array.from({ length: 20 }, (_, index) => `tenant-${index}`);
  await Promise.all(keys.map((key) => bench.runtime.adopt(key, handedOver())));
  expect(bench.runtime.stats().running).toBe(20);
  await Promise.all(keys.map((key) => bench.runtime.kill(key)));
  expect(bench.events.all('exit')).toHaveLength(20);
  expect(bench.runtime.list().map(({ state }) => state)).toEqual(keys.map(() => 'stopped'));
});

test('after a restart it has a port like any other', async () => {
  await using bench = setUp();
  await bench.runtime.adopt('a', handedOver());
  expect((await bench.runtime.restart('a')).port).toBeGreaterThan(0);
});

test('no connection keeps it: it is idle unless it is touched', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  const { promise, resolve } = Promise.withResolvers<void>();
  server.once('listening', resolve);
  await promise;
  const socket = Bun.connect({
    hostname: '127.0.0.1',
    port: (server.address() as { port: number }).port,
    socket: { data() {} },
  });
  await using bench = setUp({ idle: 'connections', idleAfterMs: 20, sweepIntervalMs: 5 });
  await bench.runtime.adopt('a', handedOver());
  expect((await bench.events.seen('exit', 'a')).reason).toBe('idle-killed');
  (await socket).end();
  server.close();
});

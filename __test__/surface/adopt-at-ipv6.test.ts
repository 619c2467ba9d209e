// A tenant that listens at ::1 alone can be adopted by the next host with what `list` says of it.
import { expect, test } from 'bun:test';
import { createServer } from 'node:net';
import { setUp } from '../support/surface/bench.ts';
import { handedOver } from '../support/surface/fleet.ts';
import { rejectionOf } from '../support/surface/wait.ts';

test('the host in list can be passed to adopt', async () => {
  await using bench = setUp();
  const process = handedOver();
  await bench.runtime.adopt('a', process, { port: 4000, host: '::1' });
  const [{ key, port, host, startedAt } = {} as never] = bench.runtime.list();
  expect(host).toBe('::1');

  await using next = setUp();
  const tenant = await next.runtime.adopt(key, process, {
    port: port!,
    host,
    startedAt: startedAt!,
  });
  expect(tenant).toMatchObject({ port: 4000, host: '::1' });
  expect(structuredClone(tenant).host).toBe('::1');
  expect(next.runtime.inspect('a')).toMatchObject({ port: 4000, host: '::1' });
});

test('after a restart the tenant has the host of the new process', async () => {
  await using bench = setUp();
  await bench.runtime.adopt('a', handedOver(), { port: 4000, host: '::1' });
  expect(Object.keys(await bench.runtime.restart('a'))).not.toContain('host');
  expect(Object.keys(bench.runtime.inspect('a')!)).not.toContain('host');
});

test.each([null, '', '127.0.0.1', '::', 'localhost', 6])('%p is no host', async (host) => {
  await using bench = setUp();
  const process = handedOver();
  const error = await rejectionOf(
    bench.runtime.adopt('a', process, { port: 4000, host: host as any }),
  );
  expect(error.code).toBe('ERR_RUNTIME_INVALID_OPTION');
  expect(error.message).toStartWith('host must be "::1", or left out for 127.0.0.1, got ');
  expect(process.kills).toEqual([]);
});

test('an open connection to ::1 keeps it', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '::1', resolve));
  const { port } = server.address() as { port: number };
  const socket = await Bun.connect({ hostname: '::1', port, socket: { data() {} } });
  await using bench = setUp({ idle: 'connections', idleAfterMs: 20, sweepIntervalMs: 5 });
  await bench.runtime.adopt('busy', handedOver(), { port, host: '::1' });
  await bench.runtime.adopt('idle', handedOver(), { port: 1, host: '::1' });
  await bench.events.seen('exit', 'idle');
  expect(bench.events.all('exit', 'busy')).toEqual([]);
  socket.end();
  server.close();
  expect((await bench.events.seen('exit', 'busy')).reason).toBe('idle-killed');
});

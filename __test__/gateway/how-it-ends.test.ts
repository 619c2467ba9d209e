import { expect, test } from 'bun:test';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { createRuntime } from '@absolutejs/runtime';
import { createGateway } from '@absolutejs/runtime/gateway';
import { open } from '../support/gateway/house.ts';
import { slowToAnswer, Tenants } from '../support/processes/tenants.ts';
import { until, within } from '../support/processes/until.ts';
import { rejectionOf } from '../support/surface/wait.ts';

const SLOW = slowToAnswer(400);
const ENDLESS = `
Bun.serve({
  port: process.env.PORT,
  fetch: ({ url }) => (url.endsWith('/endless') ? new Promise(() => {}) : new Response('hello')),
});
`;

test('dispose closes the gateways first, and open requests end', async () => {
  await using house = await open({ tenants: { slow: SLOW } });
  const answer = house.ask('slow');
  await until('the request is open', () => house.gateway.stats().inFlight === 1);
  await until('its tenant runs', () => house.runtime.stats().running === 1);
  await within('dispose', house.runtime.dispose());
  expect(await (await answer).text()).toBe('at last');
  expect(house.gateway.stats()).toMatchObject({ connections: 0, inFlight: 0 });
});

test('what is open after the grace is cut', async () => {
  await using house = await open({ tenants: { slow: ENDLESS } });
  await (await house.ask('slow')).text();
  const answer = house.ask('slow', '/endless').then(
    ({ status }) => status,
    () => 'cut',
  );
  await until('the request is open', () => house.gateway.stats().inFlight === 1);
  const closes = [house.gateway.close({ graceMs: 50 }), house.gateway.close()];
  await within('close', Promise.all(closes));
  expect(await answer).toBe('cut');
});

test('a WebSocket that is open after the grace ends with 1001', async () => {
  await using house = await open();
  const socket = new WebSocket(`ws://127.0.0.1:${house.port}/`, {
    headers: { host: 'hello.localhost' },
  } as never);
  await within('its opening', new Promise((resolve) => (socket.onopen = resolve)));
  const closed = new Promise<number>((resolve) => (socket.onclose = ({ code }) => resolve(code)));
  await within('close', house.gateway.close({ graceMs: 0 }));
  expect(await within('its close', closed)).toBe(1001);
});

test('a place that is taken is told, and nothing is left of the gateway', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  await using runtime = createRuntime({ source: { kind: 'directory', root: 'tenants' } });
  const gateway = createGateway({
    runtime,
    route: { by: 'path' },
    listen: [{ port: 0 }, { port }],
  });
  const error = await rejectionOf(gateway.listening);
  expect(error).toMatchObject({ code: 'ERR_RUNTIME_LISTEN', errno: 'EADDRINUSE' });
  expect(error.message).toContain(`127.0.0.1:${port}`);
  await within('close', gateway.close());
  server.close();
  const missing = createGateway({ runtime, route: { by: 'path' }, listen: { fd: 9_999 } });
  expect((await rejectionOf(missing.listening)).message).toContain('descriptor 9999');
});

test('a gateway that is closed at once never listens on', async () => {
  await using runtime = createRuntime({ source: { kind: 'directory', root: 'tenants' } });
  const gateway = createGateway({ runtime, route: { by: 'path' }, listen: { port: 0 } });
  const closed = gateway.close();
  const [address] = await within('listening', gateway.listening);
  await within('close', closed);
  await rejectionOf(fetch(`http://127.0.0.1:${address?.port}/`));
});

test('a gateway keeps its process alive until it is closed', async () => {
  await using tenants = new Tenants();
  const program = `
    import { createRuntime } from '@absolutejs/runtime';
    import { createGateway } from '@absolutejs/runtime/gateway';
    const runtime = createRuntime({ source: { kind: 'directory', root: ${JSON.stringify(tenants.root)} } });
    const gateway = createGateway({ runtime, route: { by: 'path' }, listen: { port: 0 } });
    process.once('SIGTERM', async () => {
      await gateway.close();
      console.log('closed');
    });
    console.log((await gateway.listening)[0].port);
  `;
  for (const engine of [
    [process.execPath, '-e'],
    ['node', '--input-type=module', '-e'],
  ]) {
    const child = Bun.spawn([...engine, program], { stdout: 'pipe', stderr: 'inherit' });
    const reader = child.stdout.getReader();
    const { value } = await within('its port', reader.read());
    const port = Number(new TextDecoder().decode(value));
    expect((await fetch(`http://127.0.0.1:${port}/nobody/`)).status).toBe(404);
    child.kill('SIGTERM');
    const last = await within('its last word', reader.read());
    expect(new TextDecoder().decode(last.value)).toBe('closed\n');
    expect(await within('its end', child.exited)).toBe(0);
  }
});

test.each(['bun', 'node'])('a gateway ends with its worker, in %s', async (engine) => {
  const host = new URL('../support/gateway/hosts/worker.mjs', import.meta.url).pathname;
  const child = Bun.spawn([engine, host], { stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' });
  const reader = child.stdout.getReader();
  const line = async () => new TextDecoder().decode((await reader.read()).value).trim();
  const port = Number(await within('its port', line()));
  const url = `http://127.0.0.1:${port}/nobody/`;
  expect((await fetch(url)).status).toBe(404);
  child.stdin.write('end\n');
  await child.stdin.flush();
  expect(await within('the end of the worker', line())).toBe('terminated');
  const isClosed = () =>
    fetch(url, { keepalive: false }).then(
      () => false,
      () => true,
    );
  while (!(await isClosed())) await Bun.sleep(10);
  child.kill();
  await within('its end', child.exited);
});

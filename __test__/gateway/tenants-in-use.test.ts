import { expect, test } from 'bun:test';
import { open } from '../support/gateway/house.ts';
import { until, within } from '../support/processes/until.ts';

/** Answers `/slow` once there is a file `go`: its process may end as soon as that is answered. */
const HELD = `
const go = Bun.file(process.cwd() + '/go');
Bun.serve({
  hostname: '127.0.0.1',
  port: process.env.PORT,
  async fetch(request, server) {
    if (request.headers.get('upgrade')) return void server.upgrade(request);
    const { pathname } = new URL(request.url);
    if (pathname === '/slow') while (!(await go.exists())) await Bun.sleep(5);
    return new Response(String(process.pid));
  },
  websocket: { message: (socket, text) => void socket.send(text) },
});
`;

test('a kill waits for the open request of its tenant', async () => {
  await using house = await open({ tenants: { held: HELD } });
  const { port } = await house.runtime.ensure('held');
  const answer = house.ask('held', '/slow');
  await until('the request is open', () => house.gateway.stats().inFlight === 1);
  const killed = house.runtime.kill('held');
  await until('its end has begun', () => house.runtime.inspect('held')?.state === 'stopping');
  // It goes on as if nothing were to come.
  for (let i = 0; i < 100; i += 1) await (await fetch(`http://127.0.0.1:${port}/`)).text();
  house.tenants.write('held/go', '');
  expect((await answer).status).toBe(200);
  await within('the kill', killed);
});

test('a request that comes during a restart waits for the next process', async () => {
  await using house = await open({ tenants: { held: HELD } });
  const { pid, port } = await house.runtime.ensure('held');
  const before = house.ask('held', '/slow');
  await until('the request is open', () => house.gateway.stats().inFlight === 1);
  const restarted = house.runtime.restart('held');
  await until('its end has begun', () => house.runtime.inspect('held')?.state === 'stopping');
  const meanwhile = house.ask('held');
  await until('it waits', () => house.gateway.stats().waiting === 1);
  house.tenants.write('held/go', '');
  const next = await within('the restart', restarted);
  expect(next.pid).not.toBe(pid);
  expect((await before).status).toBe(200);
  expect((await meanwhile).status).toBe(200);
});

test('when the time of an open WebSocket is over, it ends with 1001', async () => {
  await using house = await open({ tenants: { held: HELD }, gateway: { drainMs: 200 } });
  const socket = new WebSocket(`ws://127.0.0.1:${house.port}/`, {
    headers: { host: 'held.localhost' },
  } as never);
  await within('its opening', new Promise((resolve) => (socket.onopen = resolve)));
  const closed = new Promise<number>((resolve) => (socket.onclose = ({ code }) => resolve(code)));
  await within('the kill', house.runtime.kill('held'));
  expect(await within('its close', closed)).toBe(1001);
});

test('an open request keeps its tenant from an idle stop', async () => {
  await using house = await open({
    tenants: { held: HELD, other: HELD },
    runtime: { idleAfterMs: 100, sweepIntervalMs: 20 },
  });
  const answer = house.ask('held', '/slow');
  await until('its tenant runs', () => house.runtime.inspect('held')?.state === 'ready');
  await (await house.ask('other')).text();
  await until(
    'the other one is stopped',
    () => house.runtime.inspect('other')?.state === 'stopped',
  );
  const { port } = await house.runtime.ensure('held');
  house.tenants.write('held/go', '');
  expect((await answer).status).toBe(200);
  expect(house.starts.filter((key) => key === 'held').length).toBe(1);
});

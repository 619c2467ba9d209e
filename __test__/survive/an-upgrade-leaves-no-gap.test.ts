// `takeOver`: a new host asks the one that has the name to leave, and not one request is lost.
import { expect, test } from 'bun:test';
import { until, within } from '../support/processes/until.ts';
import { load } from '../support/survive/load.ts';
import { freePort, type Host, setUp, tell } from '../support/survive/world.ts';
import { rejectionOf } from '../support/surface/wait.ts';

const KEYS = ['a', 'b', 'c', 'd'];

test('under load: no request is lost, no tenant is started anew', async () => {
  await using world = setUp(KEYS);
  const port = await freePort();
  const gateway = { listen: { port }, drainMs: 5_000 };
  let host = await world.startAndRecover({ gateway });
  await host.listening();
  const tenants = await host.ensureAll(KEYS);
  const requests = load(port, KEYS, 16);
  for (let upgrade = 0; upgrade < 4; upgrade += 1) {
    const before = requests.answered;
    await until('requests are answered', () => requests.answered > before + 300);
    const next = await world.startAndRecover({
      engine: upgrade % 2 ? 'Bun' : 'Node',
      survive: { takeOver: true },
      gateway,
    });
    await next.listening();
    expect(host.all('detach')).toEqual([{ type: 'detach', reason: 'take-over' }]);
    host.endInput();
    expect(await within('the host before ends', host.ended)).toEqual({ code: 0, signal: null });
    host = next;
  }
  await requests.stop();
  expect(requests.lost).toEqual([]);
  expect([...requests.pids.keys()].sort()).toEqual(tenants.map(({ pid }) => `${pid}`).sort());
  const again = await host.ensureAll(KEYS);
  expect(again.map(({ pid }) => pid)).toEqual(tenants.map(({ pid }) => pid));
  expect(host.all('spawn')).toEqual([]);
}, 60_000);

test('the host before is told, and decides nothing any more', async () => {
  await using world = setUp(['a', 'b']);
  const first = await world.startAndRecover();
  const a = await first.ensure('a');
  const second = await world.startAndRecover({ survive: { takeOver: true } });
  await first.hears('detach', () => first.all('detach')[0]);
  expect(first.all('detach')).toEqual([{ type: 'detach', reason: 'take-over' }]);
  expect(first.all('exit')).toEqual([]);
  for (const key of ['a', 'b'])
    expect(await rejectionOf(first.ensure(key))).toMatchObject({ code: 'ERR_RUNTIME_DISPOSED' });
  await first.ask('kill', 'a');
  await first.ask('dispose');
  expect(await world.look()).toMatchObject({ ownerPid: second.pid, runs: 1 });
  expect((await second.ensure('a')).pid).toBe(a.pid);
  await second.ensure('b');
});

const opened = (port: number) =>
  new Promise<WebSocket>((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`, {
      headers: { host: 'a.localhost' },
    } as never);
    socket.onopen = () => resolve(socket);
    socket.onerror = reject;
  });
const echo = (socket: WebSocket, text: string) => {
  const answer = new Promise((resolve) => (socket.onmessage = ({ data }) => resolve(data)));
  socket.send(text);
  return within(`the answer to ${text}`, answer);
};

/** Resolves when the gateway has so many requests, WebSockets included. */
async function inFlight(host: Host, count: number): Promise<void> {
  let stats;
  do stats = await host.ask('gatewayStats');
  while (stats.inFlight !== count);
}

/** Starts the next host, which the gateway's port goes to. */
async function upgraded(
  world: ReturnType<typeof setUp>,
  before: Host,
  gateway: { listen: { port: number }; drainMs: number },
): Promise<Host> {
  const next = await world.startAndRecover({ survive: { takeOver: true }, gateway });
  await next.listening();
  await before.hears('detach', () => before.all('detach')[0]);
  return next;
}

test('a WebSocket lives on through the host before, and a request is finished there', async () => {
  await using world = setUp(['a']);
  const gateway = { listen: { port: await freePort() }, drainMs: 60_000 };
  const first = await world.startAndRecover({ gateway });
  const port = await first.listening();
  const a = await first.ensure('a');
  const socket = await opened(port);
  expect(await echo(socket, 'before')).toBe('you said before');
  const slow = fetch(`http://127.0.0.1:${port}/slow?ms=1500`, { headers: { host: 'a.localhost' } });
  await inFlight(first, 2);
  const second = await upgraded(world, first, gateway);
  expect(await echo(socket, 'after')).toBe('you said after');
  expect(await (await slow).text()).toBe('at last');
  const other = await opened(port);
  expect(await echo(other, 'new')).toBe('you said new');
  expect(first.hasEnded).toBeFalse();
  // With the last of it the host before ends.
  const closed = new Promise((resolve) => (socket.onclose = resolve));
  socket.close();
  await closed;
  first.endInput();
  expect(await within('the host before ends', first.ended)).toEqual({ code: 0, signal: null });
  expect(await echo(other, 'still')).toBe('you said still');
  expect((await second.ensure('a')).pid).toBe(a.pid);
  other.close();
});

test('a WebSocket lives no longer than drainMs', async () => {
  await using world = setUp(['a']);
  const gateway = { listen: { port: await freePort() }, drainMs: 300 };
  const first = await world.startAndRecover({ gateway });
  const port = await first.listening();
  await first.ensure('a');
  const socket = await opened(port);
  const closed = new Promise<number>((resolve) => (socket.onclose = ({ code }) => resolve(code)));
  await upgraded(world, first, gateway);
  expect(await within('it is closed', closed)).toBe(1001);
});

test('a tenant is not stopped for idleness while the host before has a request of it', async () => {
  await using world = setUp(['a']);
  const gateway = { listen: { port: await freePort() }, drainMs: 60_000 };
  const options = { idleAfterMs: 300, sweepIntervalMs: 20 };
  const first = await world.startAndRecover({ gateway, options });
  const port = await first.listening();
  const slow = fetch(`http://127.0.0.1:${port}/slow?ms=2000`, { headers: { host: 'a.localhost' } });
  const { pid } = await first.event('ready', 'a');
  await inFlight(first, 1);
  const second = await world.startAndRecover({ survive: { takeOver: true }, gateway, options });
  expect(await (await slow).text()).toBe('at last');
  // Now nobody uses it.
  expect(await second.event('exit', 'a')).toMatchObject({ pid, reason: 'idle-killed' });
});

test('a host that blocks its thread holds nobody up', async () => {
  await using world = setUp(['a']);
  const first = await world.startAndRecover();
  const a = await first.ensure('a');
  void first.ask('block', 8_000).catch(() => {});
  const second = await world.startAndRecover({ survive: { takeOver: true } });
  expect((await second.ensure('a')).pid).toBe(a.pid);
});

test('a host that was stopped is fenced, and learns of it', async () => {
  await using world = setUp(['a', 'b']);
  const first = await world.startAndRecover();
  const a = await first.ensure('a');
  first.kill('SIGSTOP');
  // Its order is on its way while it does not look.
  const second = world.start({ survive: { takeOver: true } });
  await second.recovered(60_000);
  expect((await second.ensure('a')).pid).toBe(a.pid);
  first.kill('SIGCONT');
  await first.hears('detach', () => first.all('detach')[0]);
  expect(first.all('detach')).toEqual([{ type: 'detach', reason: 'fenced' }]);
  expect(await rejectionOf(first.ensure('b'))).toMatchObject({ code: 'ERR_RUNTIME_DISPOSED' });
  await first.ask('kill', 'a');
  await first.ask('dispose');
  expect(await tell(a, '/')).toBe('hello');
  expect(await world.look()).toMatchObject({ ownerPid: second.pid, runs: 1 });
}, 90_000);

test('of three that want it one after the other the last has it', async () => {
  await using world = setUp(['a']);
  const first = await world.startAndRecover();
  const { pid } = await first.ensure('a');
  const second = await world.startAndRecover({ survive: { takeOver: true } });
  const third = await world.startAndRecover({ survive: { takeOver: true } });
  await second.hears('detach', () => second.all('detach')[0]);
  expect((await third.ensure('a')).pid).toBe(pid);
  expect(await world.look()).toMatchObject({ ownerPid: third.pid, epoch: 3 });
});

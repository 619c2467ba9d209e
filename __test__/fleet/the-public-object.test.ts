// The public object of a fleet, in front of a member that the test plays.
import { expect, test } from 'bun:test';
import { createFleet, etcd } from '@absolutejs/runtime/fleet';
import { playedFleet } from '../support/played-fleet.ts';
import { setUp } from '../support/surface/bench.ts';
import { rejectionOf } from '../support/surface/wait.ts';

const there = { isHere: false, host: 'eu-2', address: 'http://10.0.0.6:7070', epoch: '12' };

test('the member gets the options with their defaults', () => {
  const { settings, tell } = playedFleet();
  expect(settings).toMatchObject({
    host: { id: 'eu-1', address: 'http://10.0.0.5:7070', weight: 1, zone: undefined },
    leaseMs: 5_000,
    drainMs: 30_000,
    store: { endpoints: ['http://127.0.0.1:2379', 'http://etcd:80'], prefix: '/absolute/' },
  });
  expect(new TextDecoder().decode(settings.secret)).toBe('sixteen bytes ok');
  tell({ kind: 'closed' });
});

test('joined resolves when the member has joined', async () => {
  const { fleet, tell } = playedFleet();
  let hasJoined = false;
  void fleet.joined.then(() => (hasJoined = true));
  await Promise.resolve();
  expect(hasJoined).toBe(false);
  tell({ kind: 'joined' });
  await fleet.joined;
  tell({ kind: 'closed' });
});

test('a host that cannot listen for others says so, and has ended', async () => {
  const { fleet, tell, core } = playedFleet();
  const asked = fleet.ensure('a');
  tell({ kind: 'notJoined', problem: 'cannot listen at 10.0.0.5:7070', code: 'EADDRNOTAVAIL' });
  expect(await rejectionOf(fleet.joined)).toMatchObject({
    code: 'ERR_RUNTIME_LISTEN',
    errno: 'EADDRNOTAVAIL',
  });
  expect(await rejectionOf(asked)).toMatchObject({ code: 'ERR_RUNTIME_LISTEN' });
  await Promise.all([fleet.close(), fleet.drain()]);
  expect(core.fleet).toBeUndefined();
});

test('ensure of a key elsewhere says where', async () => {
  const { fleet, tell, calls } = playedFleet();
  const [a, b] = [fleet.ensure('a'), fleet.ensure('b')];
  expect(calls).toEqual([
    ['ensure', 1, 'a'],
    ['ensure', 2, 'b'],
  ]);
  tell({ kind: 'placed', ticket: 2, place: { ...there, epoch: '13' } });
  tell({ kind: 'placed', ticket: 1, place: there });
  const { isHere, ...place } = there;
  expect(await a).toStrictEqual(place);
  expect((await b).epoch).toBe('13');
  tell({ kind: 'closed' });
});

test('ensure of a key that has no place says why, and when to ask again', async () => {
  const { fleet, tell } = playedFleet();
  const asked = fleet.ensure('a');
  const why = 'store-unreachable';
  tell({ kind: 'notPlaced', ticket: 1, key: 'a', why, retryAfterMs: 700 });
  expect(await rejectionOf(asked)).toMatchObject({
    code: 'ERR_RUNTIME_NOT_PLACED',
    message: 'Tenant "a" has no place in the fleet just now: the store does not answer',
    key: 'a',
    reason: why,
    retryAfterMs: 700,
  });
  expect(await rejectionOf(fleet.ensure('../a'))).toMatchObject({
    code: 'ERR_RUNTIME_INVALID_KEY',
  });
  tell({ kind: 'closed' });
});

test('ensure of a key that is here starts its tenant', async () => {
  const { runtime, fleet, tell } = playedFleet();
  (runtime as { ensure: unknown }).ensure = async () => ({ port: 4_000 });
  const asked = fleet.ensure('a');
  tell({ kind: 'placed', ticket: 1, place: { ...there, isHere: true, host: 'eu-1' } });
  expect(await asked).toEqual({ host: 'eu-1', address: there.address, epoch: '12', port: 4_000 });
  tell({ kind: 'closed' });
});

test("a process of the user's own spawn finds its epoch in its environment", async () => {
  const epochs: (string | undefined)[] = [];
  await using bench = setUp({
    env: { ABSOLUTE_EPOCH: '3', A: '1' },
    spawn: (options) => {
      epochs.push(options.env.ABSOLUTE_EPOCH);
      return bench.fleet.spawn(options);
    },
  });
  const { core } = (bench.runtime.list as any)[Symbol.for('@absolutejs/runtime.core')]();
  core.fleet = { where: () => null, close: async () => {} };
  core.native.epoch = (key: string) => (key === 'a' ? '27' : null);
  await bench.runtime.ensure('a');
  await bench.runtime.ensure('b');
  expect(epochs).toEqual(['27', '3']);
});

test('a key that passes on while it is started here is looked for again', async () => {
  const { runtime, fleet, tell, calls } = playedFleet();
  const asked = fleet.ensure('a');
  tell({ kind: 'placed', ticket: 1, place: { ...there, isHere: true } });
  while (calls.length < 2) await new Promise((resolve) => setImmediate(resolve));
  tell({ kind: 'placed', ticket: 2, place: there });
  expect((await asked).host).toBe('eu-2');
  tell({ kind: 'closed' });
  await runtime.dispose();
});

test('the runtime says who serves a key that it does not start', async () => {
  const { runtime, fleet, tell } = playedFleet();
  for (const method of ['ensure', 'restart', 'replace'] as const) {
    expect(await rejectionOf(runtime[method]('there'))).toMatchObject({
      code: 'ERR_RUNTIME_NOT_CLAIMED',
      message: expect.stringContaining('Tenant "there" is served by host "eu-2" of the fleet; '),
      host: 'eu-2',
      address: 'http://10.0.0.6:7070',
    });
  }
  expect(fleet.where('there')).toEqual({ host: 'eu-2', address: there.address, epoch: '12' });
  expect(fleet.where('nobody')).toBeNull();
  tell({ kind: 'closed' });
  expect(await rejectionOf(runtime.ensure('there'))).toMatchObject({
    message: expect.stringContaining('is not claimed by this host of the fleet'),
  });
  await runtime.dispose();
});

test('events are told as they come, and what their listener throws is ignored', () => {
  const { events, tell } = playedFleet();
  const claim = { kind: 'claim', key: 'a', epoch: '9', at: 5 } as const;
  const fenced = { kind: 'fenced', keys: 3, at: 6 } as const;
  tell({ kind: 'event', event: claim });
  tell({ kind: 'event', event: fenced });
  expect(events).toEqual([claim, fenced]);
  tell({ kind: 'closed' });
});

test('drain and close are asked for once, and resolve when they are done', async () => {
  const { fleet, tell, calls } = playedFleet();
  const drained = [fleet.drain(), fleet.drain()];
  tell({ kind: 'drained' });
  await Promise.all(drained);
  const waiting = fleet.ensure('a');
  const closed = [fleet.close(), fleet[Symbol.asyncDispose]()];
  expect(await rejectionOf(fleet.ensure('b'))).toMatchObject({ reason: 'closing', key: 'b' });
  tell({ kind: 'closed' });
  await Promise.all(closed);
  expect(await rejectionOf(waiting)).toMatchObject({ reason: 'closing' });
  expect(calls.map(([call]) => call)).toEqual(['drain', 'ensure', 'close']);
});

test("another host's operator is told which tenants are not stopped", async () => {
  const { runtime, fleet, tell, calls } = playedFleet();
  const crashed = { lastExit: { reason: 'crashed' }, attempt: 0 };
  (runtime as { list: unknown }).list = () => [
    { key: 'a', state: 'ready', attempt: 0, lastExit: null },
    { key: 'b', state: 'stopped', ...crashed },
    { key: 'c', state: 'stopped', attempt: 0, lastExit: null },
    { key: 'd', state: 'queued', attempt: 2, lastExit: null },
  ];
  tell({ kind: 'asked', ticket: 7, question: 'states', host: 'eu-2' });
  const states = '[["a","running"],["b","failed"],["d","starting"]]';
  expect(calls).toEqual([['reply', 7, states]]);
  // What a later version may ask is no question to this one.
  tell({ kind: 'asked', ticket: 8, question: 'constructor', host: 'eu-2' });
  expect(calls[1]).toEqual(['reply', 8, undefined]);
  tell({ kind: 'closed' });
  await fleet.close();
});

test('an operator of another host drains this one, as its control would if it has one', () => {
  const { core, tell, calls, events } = playedFleet();
  const asked = { kind: 'asked', question: 'drain', host: 'eu-2' };
  tell({ ...asked, ticket: 1 });
  expect(calls).toEqual([['drain'], ['reply', 1, 'null']]);
  expect(events).toEqual([{ kind: 'drain-asked', host: 'eu-2', at: expect.any(Number) }]);
  const drained: string[] = [];
  core.drainHost = (from: string) => void drained.push(from);
  tell({ ...asked, ticket: 2 });
  expect(drained).toEqual(['eu-2']);
  expect(calls.map(([call]) => call)).toEqual(['drain', 'reply', 'reply']);
  tell({ kind: 'closed' });
});

test('a question to another host is answered, or it is said why not', async () => {
  const { core, tell, calls } = playedFleet();
  const [one, other] = [core.fleet.ask('eu-2', 'states'), core.fleet.ask('eu-3', 'states')];
  expect(calls).toEqual([
    ['ask', 1, 'eu-2', 'states'],
    ['ask', 2, 'eu-3', 'states'],
  ]);
  tell({ kind: 'notAnswered', ticket: 2, problem: 'it does not answer' });
  tell({ kind: 'answered', ticket: 1, text: '[]' });
  expect(await one).toEqual([]);
  expect((await rejectionOf(other)).message).toBe('it does not answer');
  tell({ kind: 'closed' });
});

test('a runtime is in one fleet at a time', async () => {
  const { runtime, fleet, tell } = playedFleet();
  const again = () =>
    createFleet({
      runtime,
      store: etcd({ endpoints: ['http://127.0.0.1:2379'] }),
      host: { id: 'eu-1', address: 'http://10.0.0.5:7070' },
      secret: 'sixteen bytes ok',
    });
  expect(again).toThrow('runtime is in a fleet already: close that one first');
  const closed = fleet.close();
  tell({ kind: 'closed' });
  await closed;
});

test('dispose of the runtime leaves the fleet first', async () => {
  const { runtime, tell, calls } = playedFleet();
  const disposed = runtime.dispose();
  while (calls.length === 0) await new Promise((resolve) => setImmediate(resolve));
  expect(calls).toEqual([['close']]);
  expect(await Promise.race([disposed.then(() => 'disposed'), 'waits'])).toBe('waits');
  tell({ kind: 'closed' });
  await disposed;
});

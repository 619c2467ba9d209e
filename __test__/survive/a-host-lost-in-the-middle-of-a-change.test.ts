// A host may be lost while a tenant starts, ends, or is replaced.
import { expect, test } from 'bun:test';
import { isThere, processOf } from '../support/processes/table.ts';
import { slowToListen } from '../support/processes/tenants.ts';
import { until } from '../support/processes/until.ts';
import { SERVER, setUp, tell } from '../support/survive/world.ts';

test('a tenant that was starting ends, and is started again when it is asked for', async () => {
  await using world = setUp(['a']);
  world.tenants.add('slow', { 'server.ts': slowToListen(60_000) });
  const first = await world.startAndRecover();
  await first.ensure('a');
  void first.ensure('slow').catch(() => {});
  const { pid } = await first.event('spawn', 'slow');
  const starting = processOf(pid)!;
  await first.line('slow', 'booting');
  await first.murder();
  await until('the start has ended', () => !isThere(starting));

  world.tenants.add('slow', { 'server.ts': SERVER });
  const second = await world.startAndRecover();
  expect(second.all('recover').map(({ key }) => key)).toContain('a');
  expect((await second.ensure('slow')).pid).not.toBe(pid);
  const told = second.transitions().filter((event) => 'pid' in event && event.pid === pid);
  // If it is told of at all, it is as of any other that has ended.
  expect([[], ['recover', 'exit']]).toContainEqual(told.map(({ type }) => type));
});

test('a host that comes at once waits for the end of what was starting', async () => {
  await using world = setUp([]);
  world.tenants.add('slow', { 'server.ts': slowToListen(60_000) });
  const first = await world.startAndRecover();
  void first.ensure('slow').catch(() => {});
  const { pid } = await first.event('spawn', 'slow');
  const starting = processOf(pid)!;
  world.tenants.add('slow', { 'server.ts': SERVER });
  first.kill('SIGKILL');
  const second = world.start();
  const again = await second.ensure('slow');
  expect(again.pid).not.toBe(pid);
  // Never two of a key.
  expect(isThere(starting)).toBeFalse();
});

test('a tenant that was being stopped ends with its own reason', async () => {
  const slowToEnd = `${SERVER}
process.removeAllListeners('SIGTERM');
process.on('SIGTERM', () => console.log('asked'));`;
  await using world = setUp(['a'], slowToEnd);
  const first = await world.startAndRecover({ options: { stopTimeoutMs: 60_000 } });
  const { pid } = await first.ensure('a');
  const tenant = processOf(pid)!;
  void first.ask('kill', 'a').catch(() => {});
  await first.line('a', 'asked');
  await first.murder();
  const second = await world.startAndRecover();
  const again = await second.ensure('a');
  expect(again.pid).not.toBe(pid);
  expect(isThere(tenant)).toBeFalse();
  const told = second.transitions().filter((event) => 'pid' in event && event.pid === pid);
  if (told.length > 0) {
    expect(told).toMatchObject([{ type: 'recover' }, { type: 'exit', reason: 'killed' }]);
  }
});

test('a release that was coming up ends, and the one that serves goes on', async () => {
  await using world = setUp(['a']);
  const first = await world.startAndRecover();
  const old = await first.ensure('a');
  world.tenants.add('a', { 'server.ts': slowToListen(60_000) });
  void first.ask('replace', 'a').catch(() => {});
  const next = await first.hears('the next release is spawned', () =>
    first.all('spawn').find(({ pid }) => pid !== old.pid),
  );
  await first.murder();
  const second = await world.startAndRecover();
  expect((await second.ensure('a')).pid).toBe(old.pid);
  await until('the next release has ended', () => processOf(next.pid) === undefined);
  expect(await tell(old, '/')).toBe('hello');
});

test('what serves after a deploy serves on, and what it has replaced ends as it would have', async () => {
  await using world = setUp(['a']);
  const first = await world.startAndRecover();
  const old = await first.ensure('a');
  // It is in use, so it stays for its time.
  const socket = new WebSocket(`ws://127.0.0.1:${old.port}/`);
  await new Promise((resolve) => (socket.onopen = resolve));
  const closed = new Promise((resolve) => (socket.onclose = resolve));
  const next = await first.ask('replace', 'a', { drainMs: 60_000 });
  await first.ask('detach');

  const second = await world.startAndRecover();
  expect(
    second
      .all('recover')
      .map(({ pid }) => pid)
      .sort(),
  ).toEqual([old.pid, next.pid].sort());
  expect((await second.ensure('a')).pid).toBe(next.pid);
  socket.send('still');
  expect(await new Promise((resolve) => (socket.onmessage = ({ data }) => resolve(data)))).toBe(
    'you said still',
  );
  socket.close();
  await closed;
  const exit = await second.hears('the old one has ended', () =>
    second.all('exit').find(({ pid }) => pid === old.pid),
  );
  expect(exit.reason).toBe('replaced');
  expect((await second.ensure('a')).pid).toBe(next.pid);
});

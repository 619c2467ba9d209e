// The sockets of a gateway outlive a host that is killed: who connects meanwhile waits, and is served.
import { expect, test } from 'bun:test';
import { connect } from 'node:net';
import { join } from 'node:path';
import { within } from '../support/processes/until.ts';
import { freePort, setUp } from '../support/survive/world.ts';

const ask = (port: number, key = 'a', path = '/pid') =>
  fetch(`http://127.0.0.1:${port}${path}`, {
    headers: { host: `${key}.localhost`, connection: 'close' },
  }).then((response) => response.text());

test('connections wait in the backlog while there is no host', async () => {
  await using world = setUp(['a', 'b']);
  const gateway = { listen: { port: await freePort() } };
  const first = await world.startAndRecover({ gateway });
  const port = await first.listening();
  const a = await first.ensure('a');
  expect(await ask(port)).toBe(`${a.pid}`);
  await first.murder();
  const waiting = Array.from({ length: 50 }, (_, n) => ask(port, n % 2 ? 'a' : 'b'));
  const second = await world.startAndRecover({ gateway });
  const answers = await within('all are answered', Promise.all(waiting));
  const b = await second.ensure('b');
  expect([...new Set(answers)].sort()).toEqual([`${a.pid}`, `${b.pid}`].sort());
  // And of those that come after, too.
  expect(await ask(port)).toBe(`${a.pid}`);
});

test('a host that loses its listener again and again serves all who come', async () => {
  await using world = setUp(['a']);
  const gateway = { listen: { port: await freePort() } };
  let host = await world.startAndRecover({ gateway });
  const port = await host.listening();
  const { pid } = await host.ensure('a');
  for (let turn = 0; turn < 3; turn += 1) {
    await host.murder();
    const early = ask(port);
    host = await world.startAndRecover({ gateway });
    expect(await within('the answer', early)).toBe(`${pid}`);
  }
});

test('a unix socket is kept likewise', async () => {
  await using world = setUp(['a']);
  const path = join(world.runtimeDirectory, 'gw.sock');
  const gateway = { listen: { path } };
  const first = await world.startAndRecover({ gateway });
  await first.listening();
  const { pid } = await first.ensure('a');
  await first.murder();
  const answer = new Promise<string>((resolve, reject) => {
    const socket = connect(path);
    let text = '';
    socket.on('error', reject);
    socket.on('data', (data) => (text += data));
    socket.on('end', () => resolve(text));
    socket.write('GET /pid HTTP/1.1\r\nhost: a.localhost\r\nconnection: close\r\n\r\n');
  });
  await world.startAndRecover({ gateway });
  expect(await within('the answer', answer)).toEndWith(`\r\n\r\n${pid}`);
});

test('a host without a gateway closes what the one before has left', async () => {
  await using world = setUp(['a']);
  const gateway = { listen: { port: await freePort() } };
  const first = await world.startAndRecover({ gateway });
  const port = await first.listening();
  await first.ensure('a');
  await first.murder();
  const second = await world.startAndRecover({ gateway: { listen: { port: await freePort() } } });
  await second.listening();
  await second.ask('dispose');
  await world.untilNothingIsLeft();
  await expect(ask(port)).rejects.toThrow();
});

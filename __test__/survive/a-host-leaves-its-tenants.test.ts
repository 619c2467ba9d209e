// `detach`: a host leaves, its tenants stay, and the next host of the name has them.
import { expect, test } from 'bun:test';
import { engineNames } from '../support/processes/hosts.ts';
import { slowToListen } from '../support/processes/tenants.ts';
import { until, within } from '../support/processes/until.ts';
import { setUp, tell } from '../support/survive/world.ts';
import { rejectionOf } from '../support/surface/wait.ts';

test.each(engineNames)('%s: they are found by the next one', async (engine) => {
  await using world = setUp(['a', 'b']);
  const first = await world.startAndRecover({ engine });
  const tenants = await first.ensureAll(['a', 'b']);
  await first.ask('detach');
  expect(first.all('detach')).toEqual([{ type: 'detach', reason: 'asked' }]);
  expect(first.all('exit')).toEqual([]);
  expect(await world.look()).toMatchObject({ ownerPid: 0, runs: 2 });
  for (const tenant of tenants) expect(await tell(tenant, '/say?text=meanwhile')).toBe('said');

  const second = await world.startAndRecover({ engine });
  const again = await second.ensureAll(['a', 'b']);
  expect(again.map(({ pid, port }) => [pid, port])).toEqual(
    tenants.map(({ pid, port }) => [pid, port]),
  );
  await second.line('a', 'meanwhile');
  expect(second.all('recover').map(({ linesLost }) => linesLost)).toEqual([0, 0]);
  await second.ask('dispose');
  await world.untilNothingIsLeft();
});

test('calls are refused as after dispose, and dispose stops nothing', async () => {
  await using world = setUp(['a', 'b']);
  const first = await world.startAndRecover();
  const a = await first.ensure('a');
  await first.ask('detach');
  for (const call of [first.ensure('a'), first.ensure('b'), first.ask('restart', 'a')]) {
    expect(await rejectionOf(call)).toMatchObject({
      code: 'ERR_RUNTIME_DISPOSED',
      message: 'runtime has been disposed',
    });
  }
  await first.ask('kill', 'a');
  await first.ask('dispose');
  await first.ask('detach');
  expect(await tell(a, '/')).toBe('hello');
});

test('detach after dispose is refused', async () => {
  await using world = setUp(['a']);
  const first = await world.startAndRecover();
  await first.ensure('a');
  await first.ask('dispose');
  expect(await rejectionOf(first.ask('detach'))).toMatchObject({ code: 'ERR_RUNTIME_DISPOSED' });
});

test('nothing keeps the program alive afterwards', async () => {
  await using world = setUp(['a']);
  const first = await world.startAndRecover();
  await first.ensure('a');
  await first.ask('detach');
  first.endInput();
  expect(await within('the host ends', first.ended)).toEqual({ code: 0, signal: null });
  expect(await world.look()).toMatchObject({ ownerPid: 0, runs: 1 });
});

test('what is starting and waited for becomes ready first', async () => {
  await using world = setUp([]);
  world.tenants.add('slow', { 'server.ts': slowToListen(500) });
  const first = await world.startAndRecover();
  const slow = first.ensure('slow');
  const { pid } = await first.event('spawn', 'slow');
  await first.ask('detach');
  expect((await slow).pid).toBe(pid);
  const second = await world.startAndRecover();
  expect((await second.ensure('slow')).pid).toBe(pid);
});

test('what does not become ready in time is stopped, and its callers are told', async () => {
  await using world = setUp(['a']);
  world.tenants.add('never', { 'server.ts': slowToListen(60_000) });
  const first = await world.startAndRecover();
  await first.ensure('a');
  const refused = rejectionOf(first.ensure('never'));
  await first.event('spawn', 'never');
  await first.ask('detach');
  await refused;
  expect(first.all('exit').map(({ key }) => key)).toEqual(['never']);
  const second = await world.startAndRecover();
  expect(second.all('recover').map(({ key }) => key)).toEqual(['a']);
});

test.each(engineNames)('%s: what was read is told before it has left', async (engine) => {
  await using world = setUp(['a']);
  const first = await world.startAndRecover({ engine });
  const a = await first.ensure('a');
  await first.line('a', 'up');
  const left = first.ask('leaveAfterBlock', 500);
  expect(await tell(a, '/flood?lines=5000&bytes=4')).toBe('said');
  await left;
  const told = first.lines('a').length;
  const second = await world.startAndRecover({ engine });
  expect(second.all('recover')).toMatchObject([{ linesLost: 0 }]);
  // What the first one had not read the second one tells.
  await second.hears('all lines', () => told + second.lines('a').length === 5_001);
});

test('a line that was begun is finished with the next host', async () => {
  const server = `
Bun.serve({
  hostname: '127.0.0.1',
  port: process.env.PORT,
  fetch({ url }) {
    const { pathname } = new URL(url);
    if (pathname === '/begin') process.stdout.write('begun');
    if (pathname === '/finish') process.stdout.write(' and finished\\n');
    if (pathname === '/error') process.stderr.write('another\\n');
    return new Response('ok');
  },
});`;
  await using world = setUp(['a'], server);
  const first = await world.startAndRecover();
  const a = await first.ensure('a');
  await tell(a, '/begin');
  await first.ask('detach');
  const second = await world.startAndRecover();
  await tell(a, '/finish');
  await second.line('a', 'begun and finished');
  expect(second.all('recover')).toMatchObject([{ linesLost: 0 }]);
});

// A name has one host at a time: another one is refused, and harms nothing.
import { expect, test } from 'bun:test';
import { setUp, freePort, tell } from '../support/survive/world.ts';
import { rejectionOf } from '../support/surface/wait.ts';

test('a second host is told the pid of the first, by every call', async () => {
  await using world = setUp(['a', 'b']);
  const first = await world.startAndRecover();
  const a = await first.ensure('a');
  const second = world.start({ gateway: { listen: { port: await freePort() } } });
  const refused = { code: 'ERR_RUNTIME_IN_USE', pid: first.pid };
  const error: any = await rejectionOf(second.recovered());
  expect(error).toMatchObject(refused);
  expect(error.message).toStartWith(
    `the tenants of the name "${world.name}" belong to process ${first.pid}, and a name has one host `,
  );
  expect(await rejectionOf(second.ensure('a'))).toMatchObject(refused);
  expect(await rejectionOf(second.ensure('b'))).toMatchObject(refused);
  expect(await rejectionOf(second.ask('restart', 'a'))).toMatchObject(refused);
  expect(await rejectionOf(second.ask('replace', 'a'))).toMatchObject(refused);
  expect(await rejectionOf(second.listening())).toMatchObject(refused);
  expect(await second.list()).toEqual([]);
  expect(second.transitions()).toEqual([]);
  await second.ask('dispose');

  expect(await tell(a, '/')).toBe('hello');
  expect((await first.ensure('a')).pid).toBe(a.pid);
  await first.ensure('b');
});

test('the name is free again when its host has been disposed', async () => {
  await using world = setUp(['a']);
  const first = await world.startAndRecover();
  await first.ensure('a');
  await first.ask('dispose');
  const second = await world.startAndRecover();
  expect(second.all('recover')).toEqual([]);
  await second.ensure('a');
});

test('a host that was killed and is not gone yet is waited for', async () => {
  await using world = setUp(['a']);
  const first = await world.startAndRecover();
  await first.ensure('a');
  for (let n = 0; n < 4; n += 1) await first.ask('grow', 256 << 20);
  first.kill('SIGKILL');
  const second = await world.startAndRecover();
  expect(second.all('recover')).toMatchObject([{ key: 'a' }]);
});

test.each([0, 1, 2, 3, 4])('of two that come at once one has it (%i)', async () => {
  await using world = setUp(['a']);
  const both = [world.start(), world.start()];
  const answers = await Promise.allSettled(both.map((host) => host.recovered()));
  expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  const winner = both[answers.findIndex(({ status }) => status === 'fulfilled')]!;
  const lost = answers.find(({ status }) => status === 'rejected') as PromiseRejectedResult;
  expect(lost.reason).toMatchObject({ code: 'ERR_RUNTIME_IN_USE', pid: winner.pid });
  await winner.ensure('a');
});

test('of two that come at once to what was left one has it', async () => {
  await using world = setUp(['a']);
  const first = await world.startAndRecover();
  const { pid } = await first.ensure('a');
  await first.murder();
  const both = [world.start(), world.start()];
  const answers = await Promise.allSettled(both.map((host) => host.recovered()));
  expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  const winner = both[answers.findIndex(({ status }) => status === 'fulfilled')]!;
  expect((await winner.ensure('a')).pid).toBe(pid);
});

test('two names are two hosts', async () => {
  await using world = setUp(['a']);
  await using other = setUp(['a']);
  const [one, two] = await Promise.all([world.startAndRecover(), other.startAndRecover()]);
  const [a, b] = await Promise.all([one.ensure('a'), two.ensure('a')]);
  expect(a.pid).not.toBe(b.pid);
  await one.murder();
  expect(await tell(b, '/')).toBe('hello');
  expect(await tell(a, '/')).toBe('hello');
});

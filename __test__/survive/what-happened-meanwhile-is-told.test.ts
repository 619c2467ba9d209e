// What tenants do while there is no host is told by the next one: their ends, their lines, and the
// CPU time that they have used.
import { expect, test } from 'bun:test';
import { processOf } from '../support/processes/table.ts';
import { until, within } from '../support/processes/until.ts';
import { setUp, tell } from '../support/survive/world.ts';

const gone = (pid: number) =>
  until(`process ${pid} has ended`, () => {
    const now = processOf(pid);
    return now === undefined || now.state === 'Z';
  });

test.each([
  ['/exit?code=3', { exitCode: 3, reason: 'crashed' }],
  ['/exit?code=0', { exitCode: 0, reason: 'exited-clean' }],
  ['/die', { exitCode: null, reason: 'crashed', signal: 'SIGSEGV' }],
] as const)('an end by %s', async (path, how) => {
  await using world = setUp(['a', 'b']);
  const first = await world.startAndRecover();
  const [a] = await first.ensureAll(['a', 'b']);
  await first.murder();
  await tell(a!, path);
  await gone(a!.pid);

  const second = await world.startAndRecover();
  expect(await second.event('exit', 'a')).toEqual({ type: 'exit', key: 'a', pid: a!.pid, ...how });
  const about = second.transitions().filter((event) => 'key' in event && event.key === 'a');
  expect(about.map(({ type }) => type)).toEqual(['recover', 'exit']);
  // Its key is free.
  const again = await second.ensure('a');
  expect(again.pid).not.toBe(a!.pid);
  await second.ask('dispose');
  await world.untilNothingIsLeft();
});

test('an end that was on its way to a host that was killed is told by the next one', async () => {
  await using world = setUp(['a']);
  const first = await world.startAndRecover();
  const a = await first.ensure('a');
  // The host cannot tell it any more.
  first.kill('SIGSTOP');
  await tell(a, '/exit?code=7');
  await gone(a.pid);
  await first.murder();
  const second = await world.startAndRecover();
  expect(await second.event('exit', 'a')).toMatchObject({ pid: a.pid, reason: 'crashed' });
});

test('an end is told by one host only', async () => {
  await using world = setUp(['a', 'b']);
  const first = await world.startAndRecover();
  const [a] = await first.ensureAll(['a', 'b']);
  await first.murder();
  await tell(a!, '/exit?code=3');
  await gone(a!.pid);
  const second = await world.startAndRecover();
  await second.event('exit', 'a');
  // What is told, the warden forgets, a moment later.
  while ((await world.look())?.runs !== 1);
  await second.murder();
  const third = await world.startAndRecover();
  expect(third.all('recover').map(({ key }) => key)).toEqual(['b']);
  expect(third.all('exit')).toEqual([]);
});

test('an end that was told right before the host was killed is not told again', async () => {
  await using world = setUp(['a', 'b']);
  const first = await world.startAndRecover();
  const [a] = await first.ensureAll(['a', 'b']);
  await first.ask('dieAtExit');
  await tell(a!, '/exit?code=3');
  await within('the host is gone', first.ended);
  expect(first.all('exit')).toMatchObject([{ key: 'a', exitCode: 3 }]);
  const second = await world.startAndRecover();
  expect(second.all('recover').map(({ key }) => key)).toEqual(['b']);
  expect(second.all('exit')).toEqual([]);
});

test('lines come with the times at which they were written, in their order', async () => {
  await using world = setUp(['a']);
  const first = await world.startAndRecover();
  const a = await first.ensure('a');
  await first.line('a', 'up');
  await first.murder();
  const from = Date.now();
  for (const n of [1, 2, 3]) await tell(a, `/say?text=line-${n}`);
  const to = Date.now();
  // The next host is later than the lines.
  await until('some time has passed', () => Date.now() > to + 100);
  const second = await world.startAndRecover();
  await tell(a, '/say?text=line-4');
  await second.line('a', 'line-4');
  const lines = second.lines('a');
  expect(lines.map(({ line }) => line)).toEqual(['line-1', 'line-2', 'line-3', 'line-4']);
  for (const { at, pid, stream } of lines.slice(0, 3)) {
    expect(at).toBeGreaterThanOrEqual(from - 1);
    expect(at).toBeLessThanOrEqual(to + 50);
    expect([pid, stream]).toEqual([a.pid, 'stdout']);
  }
  expect(second.all('recover')).toMatchObject([{ linesLost: 0 }]);
});

test('of much output the last is kept, the rest is counted, and the tenant never waits', async () => {
  await using world = setUp(['a']);
  const first = await world.startAndRecover();
  const a = await first.ensure('a');
  await first.line('a', 'up');
  await first.murder();
  // Ten MiB: far more than a pipe holds.
  expect(await tell(a, '/flood?lines=10000&bytes=1024')).toBe('said');
  expect(await tell(a, '/say?text=last')).toBe('said');

  const second = await world.startAndRecover();
  await second.line('a', 'last');
  const { linesLost } = await second.event('recover', 'a');
  const numbers = second
    .lines('a')
    .slice(0, -1)
    .map(({ line }) => Number(line.split(' ')[0]));
  expect(linesLost).toBeGreaterThan(9_000);
  expect(numbers.length).toBeGreaterThan(200);
  expect(linesLost + numbers.length).toBe(10_000);
  expect(numbers).toEqual(numbers.map((_, index) => 10_000 - numbers.length + index));
  for (const { line } of second.lines('a').slice(0, -1)) expect(line).toMatch(/^\d+ x{1023}$/);
});

test('CPU figures go on from where they were', async () => {
  await using world = setUp(['a']);
  const first = await world.startAndRecover();
  const a = await first.ensure('a');
  await tell(a, '/burn?ms=200');
  const seen = await first.hears(
    'an observation of what was used',
    (told) =>
      told.flatMap(({ of, event }: any) =>
        of === 'metric' && event.type === 'observation' && event.cpuMs >= 200 ? [event.cpuMs] : [],
      )[0],
  );
  await first.murder();
  await tell(a, '/burn?ms=200');

  const second = await world.startAndRecover();
  const { cpuMs } = await second.event('recover', 'a');
  expect(cpuMs).toBeGreaterThanOrEqual(seen + 190);
  await tell(a, '/burn?ms=100');
  await second.ask('kill', 'a');
  const observed = second.told.flatMap(({ of, event }: any) =>
    of === 'metric' && event.type === 'observation' ? [event.cpuMs] : [],
  );
  expect(observed).toEqual(observed.toSorted((one, other) => one - other));
  expect(observed[0]).toBeGreaterThanOrEqual(cpuMs);
  expect(observed.at(-1)).toBeGreaterThanOrEqual(cpuMs + 90);
});

import { expect, test } from 'bun:test';
import { manualReadiness, setUp } from '../support/surface/bench.ts';
import { aFewTurns, rejectionOf } from '../support/surface/wait.ts';

test('onLogLine passes lines to onLog with exactly the documented fields', async () => {
  await using bench = setUp();
  const { pid } = await bench.runtime.ensure('a');
  const { args } = bench.fleet.the('a');
  args.onLogLine({ key: 'a', pid, stream: 'stdout', line: 'hello', at: 123 });
  args.onLogLine({ key: 'a', pid, stream: 'stderr', line: '', at: 124 });
  expect(bench.events.logs).toStrictEqual([
    { key: 'a', pid, stream: 'stdout', line: 'hello', at: 123 },
    { key: 'a', pid, stream: 'stderr', line: '', at: 124 },
  ]);
  expect(Object.keys(bench.events.logs[0]!)).toEqual(['key', 'pid', 'stream', 'line', 'at']);
});

test('lines keep their order, and come before the exit', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  bench.events.story.length = 0;
  const process = bench.fleet.the('a');
  const lines = Array.from({ length: 1_000 }, (_, index) => `line ${index}`);
  for (const line of lines) process.log(line);
  process.exit(0);
  await bench.events.seen('exit', 'a');
  expect(bench.events.story).toEqual([...lines.map((line) => `log a ${line}`), 'exit a']);
});

test('nothing about a process is told after its exit', async () => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  const process = bench.fleet.the('a');
  await bench.runtime.kill('a');
  process.log('from the grave');
  await bench.runtime.ensure('a');
  process.log('and again');
  bench.fleet.the('a').log('alive');
  await aFewTurns();
  expect(bench.events.logs.map(({ line }) => line)).toEqual(['alive']);
});

test('lines while it is being started and while it is being stopped are told', async () => {
  const { readiness, answer } = manualReadiness();
  await using bench = setUp({ readiness });
  const pending = bench.runtime.ensure('a');
  await bench.events.seen('spawn', 'a');
  const process = bench.fleet.the('a');
  process.log('starting');
  answer('a', true);
  await pending;
  process.onKill = () => {
    process.log('stopping', 'stderr');
    process.exit(0);
  };
  await bench.runtime.kill('a');
  expect(bench.events.story.filter((words) => !words.startsWith('metric'))).toEqual([
    ...['spawn a', 'log a starting', 'ready a', 'log a stopping', 'exit a'],
  ]);
});

test('the key is the tenant’s own, whatever the process says', async () => {
  await using bench = setUp();
  const { pid } = await bench.runtime.ensure('a');
  bench.fleet.the('a').args.onLogLine({ key: 'b', pid, stream: 'stdout', line: 'who am I', at: 1 });
  expect(bench.events.logs.map(({ key }) => key)).toEqual(['a']);
});

test.each([undefined, null, 'text', 7, {}])('a line that is %p breaks nothing', async (event) => {
  await using bench = setUp();
  await bench.runtime.ensure('a');
  bench.fleet.the('a').args.onLogLine(event as any);
  await bench.runtime.kill('a');
  expect(bench.runtime.stats().total).toBe(0);
});

test('without onLog it can be called all the same', async () => {
  await using bench = setUp({ onLog: undefined });
  await bench.runtime.ensure('a');
  expect(bench.fleet.the('a').args.onLogLine).toBeFunction();
  bench.fleet.the('a').log('hello');
  expect(bench.events.logs).toEqual([]);
});

test('the last lines explain why a process did not become ready', async () => {
  const { readiness } = manualReadiness();
  await using bench = setUp({ readiness });
  const pending = bench.runtime.ensure('a');
  await bench.events.seen('spawn', 'a');
  const process = bench.fleet.the('a');
  process.log('reading settings');
  process.log('settings.json is missing', 'stderr');
  process.exit(1);
  const { message } = await rejectionOf(pending);
  expect(message.split('\n')).toEqual([
    'Runtime process for "a" exited with code 1 before it was ready',
    'reading settings',
    'settings.json is missing',
  ]);
});

test('only the last lines are kept, the latest at the end', async () => {
  const { readiness } = manualReadiness();
  await using bench = setUp({ readiness });
  const pending = bench.runtime.ensure('a');
  await bench.events.seen('spawn', 'a');
  const process = bench.fleet.the('a');
  for (let line = 0; line < 10_000; line++) process.log(`line ${line}`);
  process.exit(1);
  const lines = (await rejectionOf(pending)).message.split('\n');
  expect(lines[0]).toBe('Runtime process for "a" exited with code 1 before it was ready');
  expect(lines.at(-1)).toBe('line 9999');
  expect(lines.length).toBeWithin(2, 200);
});

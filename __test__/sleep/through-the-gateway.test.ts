import { connect } from 'node:net';
import { expect, test } from 'bun:test';
import type { RuntimeTransitionEvent } from '@absolutejs/runtime';
import { MIRROR, open } from '../support/gateway/house.ts';
import { until, within } from '../support/processes/index.ts';
import { SOON } from '../support/sleep/pool.ts';

const PATIENCE_MS = 60_000;

async function sleepyHouse(more: { maxConcurrent?: number } = {}) {
  const events: RuntimeTransitionEvent[] = [];
  const house = await open({
    tenants: { hello: MIRROR, other: MIRROR },
    runtime: {
      sleep: SOON,
      sweepIntervalMs: 50,
      onTransition: (event) => void events.push(event),
      ...more,
    },
  });
  const count = (type: string, key: string) =>
    events.filter((event) => event.type === type && 'key' in event && event.key === key).length;
  return {
    house,
    count,
    asleep: (key: string, times = 1) =>
      until(`${key} sleeps`, () => count('sleep', key) >= times, PATIENCE_MS),
    [Symbol.asyncDispose]: () => house[Symbol.asyncDispose](),
  };
}

test('a request wakes the process that has served before, though its connection was kept', async () => {
  await using sleepy = await sleepyHouse();
  const { house, asleep, count } = sleepy;
  const { pid } = await house.mirrored('hello');
  await asleep('hello');
  expect((await house.mirrored('hello', '/again')).pid).toBe(pid);
  await asleep('hello', 2);
  const posted = await house.mirrored('hello', '/post', { method: 'POST', body: 'a body' });
  expect(posted).toMatchObject({ pid, method: 'POST', body: 'a body' });
  await until('both wakes are told', () => count('wake', 'hello') === 2);
  expect(house.gateway.stats().requests['5xx']).toBe(0);
});

test('many requests at once wake it once, and all are answered', async () => {
  await using sleepy = await sleepyHouse();
  const { house, asleep, count } = sleepy;
  const { pid } = await house.mirrored('hello');
  await asleep('hello');
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, index) => house.mirrored('hello', `/${index}`)),
  );
  expect(answers.map((answer) => answer.path)).toEqual(answers.map((_, index) => `/${index}`));
  expect(new Set(answers.map((answer) => answer.pid))).toEqual(new Set([pid]));
  await until('its waking is told', () => count('wake', 'hello') === 1);
});

test('an open WebSocket keeps it awake', async () => {
  await using sleepy = await sleepyHouse();
  const { house, asleep, count } = sleepy;
  const socket = new WebSocket(`ws://127.0.0.1:${house.port}/`, {
    headers: { host: 'hello.localhost' },
  } as any);
  await within('open', new Promise((resolve) => (socket.onopen = resolve)));
  await house.mirrored('other');
  await asleep('other');
  expect(count('sleep', 'hello')).toBe(0);
  const said = new Promise<MessageEvent>((resolve) => (socket.onmessage = resolve));
  socket.send('awake?');
  expect((await within('an answer', said)).data).toBe('you said awake?');
  socket.close();
  await asleep('hello');
});

test('a visitor who comes around the gateway wakes it', async () => {
  await using sleepy = await sleepyHouse();
  const { house, asleep, count } = sleepy;
  const { pid } = await house.mirrored('hello');
  await asleep('hello');
  const { port } = house.runtime.inspect('hello')!;
  const socket = connect(port!, '127.0.0.1');
  let text = '';
  socket.on('data', (bytes) => (text += bytes));
  const answered = new Promise<string>((resolve, reject) => {
    socket.once('end', () => resolve(text));
    socket.once('error', reject);
  });
  socket.write('GET /around HTTP/1.1\r\nhost: hello\r\nconnection: close\r\n\r\n');
  const answer = await within('an answer', answered);
  expect(answer).toStartWith('HTTP/1.1 200');
  expect(answer).toContain(`"pid":${pid}`);
  await until('its waking is told', () => count('wake', 'hello') === 1);
});

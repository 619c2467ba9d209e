// Tenants that sleep and wake all the time under requests through a gateway: each answer is right.
// Where there is room for all, nobody is ever started a second time.
import { expect, test } from 'bun:test';
import type { RuntimeTransitionEvent } from '@absolutejs/runtime';
import { open } from '../support/gateway/house.ts';
import { until } from '../support/processes/index.ts';

const KEYS = Array.from({ length: 12 }, (_, index) => `t${index}`);
const CLIENTS = 4;
const REQUESTS = 400;

/** Counts what it has been asked, but for its readiness: a process that began anew would begin at 1. */
const COUNTER = `
import { basename } from 'node:path';
let count = 0;
Bun.serve({
  hostname: '127.0.0.1',
  port: process.env.PORT,
  async fetch(request) {
    if (new URL(request.url).pathname !== '/count') return new Response('ready');
    const { length } = await request.text();
    return Response.json({ key: basename(process.cwd()), count: ++count, length });
  },
});
`;

/** The same numbers in each run, from 0 to 1. */
function numbers(state: number): () => number {
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

test.each([
  ['room for all', KEYS.length],
  ['room for a third of them', KEYS.length / 3],
])('with %s every request is answered by its tenant', async (_, maxConcurrent) => {
  const events: RuntimeTransitionEvent[] = [];
  await using house = await open({
    tenants: Object.fromEntries(KEYS.map((key) => [key, COUNTER])),
    runtime: {
      maxConcurrent,
      sweepIntervalMs: 20,
      sleep: { afterMs: 40, minAwakeMs: 0, pageOutAfterMs: 80, maxAsleep: KEYS.length },
      onTransition: (event) => void events.push(event),
    },
  });
  const random = numbers(7);
  /** What each has counted. */
  const counted = new Map<string, number[]>(KEYS.map((key) => [key, []]));
  let left = REQUESTS;
  const ask = async (key: string, body?: string) => {
    const response = await house.ask(
      key,
      '/count',
      body === undefined ? {} : { method: 'POST', body },
    );
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${key}: ${response.status} ${text}`);
    const { count, ...answer } = JSON.parse(text);
    expect(answer).toEqual({ key, length: body?.length ?? 0 });
    counted.get(key)!.push(count);
  };
  const visit = async () => {
    while (left-- > 0) {
      // A few are asked often, most seldom.
      const key = KEYS[Math.floor(KEYS.length * random() ** 2)]!;
      await ask(key, random() < 0.3 ? 'x'.repeat(Math.floor(100_000 * random())) : undefined);
      if (random() < 0.2) await Bun.sleep(150 * random());
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, visit));
  // A busy machine leaves few of them the time to sleep between two requests.
  const { list } = house.runtime;
  await until('all sleep', () => list().every(({ pid, depth }) => pid === null || depth), 60_000);
  await Promise.all(KEYS.map((key) => ask(key)));
  const times = (type: string, key: string) =>
    events.filter((event) => event.type === type && 'key' in event && event.key === key).length;
  for (const [key, counts] of counted) {
    // Each process counts from 1 on, and no request is counted twice.
    const starts = counts.filter((count) => count === 1).length;
    const spawns = times('spawn', key);
    expect(starts).toBe(spawns);
    if (maxConcurrent < KEYS.length) continue;
    expect(spawns).toBeLessThanOrEqual(1);
    expect(counts.toSorted((a, b) => a - b)).toEqual(counts.map((_, index) => index + 1));
  }
  // With less room most are stopped instead, as they are used again too soon to be known to sleep well.
  if (maxConcurrent < KEYS.length) return;
  await until('the wakes of all are told', () => KEYS.every((key) => times('wake', key) > 0));
});

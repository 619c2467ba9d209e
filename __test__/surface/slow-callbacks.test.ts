import { expect, test } from 'bun:test';
import { setUp } from '../support/surface/bench.ts';

/** Longer than one turn of the event loop is given to events. */
const SLOW_MS = 8;
/** What a stalled event loop would take much longer than. */
const STALLED_MS = 8_000;

function takeTime(): void {
  const until = performance.now() + SLOW_MS;
  while (performance.now() < until);
}

test('callbacks that take their time hold nothing up longer than that', async () => {
  const story: string[] = [];
  await using bench = setUp({
    onTransition: (event) => (takeTime(), void story.push(event.type)),
    onMetrics: (event) => (takeTime(), void story.push(`metric ${event.type}`)),
  });
  const before = performance.now();
  await bench.runtime.ensure('a');
  await bench.runtime.restart('a');
  await bench.runtime.kill('a');
  expect(performance.now() - before).toBeWithin(8 * SLOW_MS, STALLED_MS);
  const life = ['spawn', 'metric spawn', 'ready', 'exit'];
  expect(story).toEqual([...life, ...life]);
});

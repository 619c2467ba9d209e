import { expect, test } from 'bun:test';
import { guarded } from '../../lib/bridge/callbacks.js';
import { createInbox, LogText } from '../../lib/bridge/inbox.js';
import { BOARD_QUEUED } from '../../lib/bridge/records.js';
import { setUp } from '../support/surface/bench.ts';
import { within } from '../support/surface/wait.ts';

/** Longer than the time for events in one turn of the event loop. */
const SLOW_MS = 8;
/** Much shorter than a stalled event loop would take. */
const STALLED_MS = 8_000;

function takeTime(): void {
  const until = performance.now() + SLOW_MS;
  while (performance.now() < until);
}

test('slow callbacks delay the event loop by their own time only', async () => {
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

/** How many callbacks run in each turn of the event loop, for so many records of so many lines. */
async function callsPerTurn(records: number, lines: number, act: () => unknown): Promise<number[]> {
  // Each record: where its numbers and its texts end, and of which kind it is.
  const batch = Array.from({ length: records }, (_, index) => [3 * (index + 1), 0, 0]).flat();
  const [numbers, board] = [new Float64Array(1 + batch.length), new Float64Array(8)];
  board[BOARD_QUEUED] = records;
  const take = () => {
    numbers.set(board[BOARD_QUEUED] === 0 ? [0] : [batch.length, ...batch]);
    board[BOARD_QUEUED] = 0;
    return [];
  };
  const perTurn: number[] = [];
  let isFirstOfTurn = true;
  let left = records * Math.max(lines, 1);
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const callback = () => {
    const result = act();
    if (isFirstOfTurn) {
      perTurn.push(0);
      isFirstOfTurn = false;
      // Microtasks run when the turn is over.
      queueMicrotask(() => (isFirstOfTurn = true));
    }
    perTurn[perTurn.length - 1]! += 1;
    if (--left === 0) resolve();
    return result;
  };
  const event = guarded(callback);
  const inbox = createInbox({ native: { numbers, take }, board, startsInHand: 0 }, (_, batch) => {
    batch.open();
    const text = Array(lines).fill('line').join('\n');
    if (lines > 0) return new LogText({ run: 1, stream: 'stdout', at: 0, text }, 'a', 1, callback);
    return void event?.(undefined);
  });
  inbox.rung();
  await within('all callbacks', done);
  return perTurn;
}

test.each([
  ['events', 20, 0],
  ['lines of one text', 1, 20],
  ['lines of several texts', 10, 2],
])(
  'what else the host does gets its turn between slow callbacks: %s',
  async (_, records, lines) => {
    const [first, ...others] = await callsPerTurn(records, lines, takeTime);
    // How slow they are is not known before the second one.
    expect(first).toBeLessThanOrEqual(2);
    expect(Math.max(...others)).toBe(1);
  },
);

test.each([
  ['events', 2_000, 0],
  ['lines of one text', 1, 2_000],
])('what callbacks leave for later does not add up: %s', async (_, records, lines) => {
  const perTurn = await callsPerTurn(records, lines, async () => {});
  expect(Math.max(...perTurn)).toBeLessThan(200);
});

// A tenant gets the host's variables as they are at its start.
import { afterEach, expect, test } from 'bun:test';
import { setUp } from '../support/surface/bench.ts';

const realEnvironment = process.env;
afterEach(() => {
  process.env = realEnvironment;
});

const changes: Record<string, [before: string | undefined, after: string | undefined]> = {
  'a variable that is changed': ['C', 'de_AT.UTF-8'],
  'a variable that is emptied': ['C', ''],
  'a variable that is undefined': ['C', undefined],
  'a variable that was undefined': [undefined, 'C'],
};

test.each(Object.entries(changes))('%s is seen by the next tenant', async (_, [before, after]) => {
  const seen: (string | undefined)[] = [];
  await using bench = setUp({
    spawn({ env }) {
      seen.push(env.LANG);
      throw new Error('no process');
    },
  });
  // A test suite may replace process.env by a plain object.
  process.env = { ...realEnvironment, LANG: before };
  await bench.runtime.ensure('a').catch(() => {});
  process.env.LANG = after;
  await bench.runtime.ensure('b').catch(() => {});
  expect(seen).toEqual([before, after]);
});

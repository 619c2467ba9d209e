// Whether the witness of `npm run test:fleet` would find what must not be.
import { expect, test } from 'bun:test';
import { ghosts, longestGap, overlaps, readTold } from '../../soak/fleet/witness.mjs';

const at = (ms: number) => ms * 1000;
const visit = (sent: number, ended: number, more: object) => ({
  sent: at(sent),
  ended: at(ended),
  gateway: 'h1',
  key: 'a',
  ...more,
});

test('an epoch that serves after a later one is found', () => {
  const lines = [`${at(1)} begin a 7 100 h1`, `${at(2)} serve a 7 100`, `${at(3)} serve b 5 101`];
  const later = [`${at(4)} serve a 9 102`, `${at(5)} serve a 9 102`];
  expect(overlaps(readTold([...lines, ...later].join('\n')))).toEqual([]);
  // Lines of several hosts are in no order.
  const ghost = readTold([`${at(6)} serve a 7 100`, ...lines, ...later].join('\n'));
  expect(overlaps(ghost)).toEqual(['a was served under epoch 7 (100) 1 ms after 9 (102)']);
  expect(overlaps(readTold(`${at(1)} serve a none 100`))).toHaveLength(1);
});

test('an answer of an earlier epoch than one that was known before is found', () => {
  const first = visit(0, 5, { status: 200, epoch: 7 });
  const second = visit(6, 9, { status: 200, epoch: 9 });
  // It was under way when the later epoch answered first.
  const beside = visit(8, 12, { status: 200, epoch: 7 });
  expect(ghosts([beside, second, first])).toEqual([]);
  const ghost = visit(10, 12, { status: 200, epoch: 7 });
  expect(ghosts([ghost, second, first])).toEqual([
    'a visitor of a got epoch 7 after 9 had answered',
  ]);
  expect(ghosts([{ ...ghost, key: 'b' }, second])).toEqual([]);
});

test('the longest that a key was not served is from who asked in vain to the next answer', () => {
  const refused = (sent: number, ended: number) => visit(sent, ended, { status: 503 });
  const answered = (sent: number, ended: number) => visit(sent, ended, { status: 200, epoch: 1 });
  const all = () => true;
  expect(longestGap([answered(0, 1), answered(2, 3)], all).ms).toBe(0);
  const visits = [answered(0, 10), refused(20, 25), refused(30, 35), answered(60, 70)];
  expect(longestGap(visits, all)).toMatchObject({ ms: 50, key: 'a' });
  // It was served while this one waited.
  expect(longestGap([refused(5, 40), answered(0, 30), answered(50, 60)], all).ms).toBe(30);
  const byFew = longestGap(visits, ({ status }) => status === 200);
  expect(byFew.ms).toBe(0);
});

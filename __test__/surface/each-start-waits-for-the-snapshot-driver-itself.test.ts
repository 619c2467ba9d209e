// Two starts of a key may wait for its snapshot driver at once: the one of the release that serves,
// and a called-off one of the release before it. Neither may end the time limit of the other.
import { expect, test } from 'bun:test';
import { createCheckpoints } from '../../lib/checkpoint/checkpoints.js';
import { createCounts } from '../../lib/observe/telemetry.js';
import { createRun } from '../../lib/tenant/tenants.js';
import { within } from '../support/surface/wait.ts';

const OLD = createRun(1, 'a', 4_001, 0);
const NEW = createRun(2, 'a', 4_002, 0);

/** A ledger over a driver whose `has` answers when the test says so. */
function waiting() {
  const answered = Promise.withResolvers<boolean>();
  const newIsLate = Promise.withResolvers<void>();
  const late: number[] = [];
  const native = {
    imageAnswered() {},
    imageLate(run: number) {
      late.push(run);
      if (run === NEW.id) newIsLate.resolve();
    },
  };
  const driver = { has: () => answered.promise };
  const settings = { checkpoint: { driver, restoreTimeoutMs: 20 } };
  const core: any = { native, settings, counts: createCounts(), wake() {} };
  return { ...createCheckpoints(core), late, newIsLate: newIsLate.promise, answered };
}

test('a start that waits ends no time limit but its own', async () => {
  const { find, wait, late, newIsLate } = waiting();
  find(OLD);
  wait(NEW);
  await within('the second start is late', newIsLate);
  expect(late).toEqual([OLD.id, NEW.id]);
});

test('an answer ends the time limits of both', async () => {
  const { find, wait, late, answered } = waiting();
  find(OLD);
  wait(NEW);
  answered.resolve(false);
  const later = waiting();
  later.wait(NEW);
  await within('a wait that began after theirs is over', later.newIsLate);
  expect(late).toEqual([]);
});

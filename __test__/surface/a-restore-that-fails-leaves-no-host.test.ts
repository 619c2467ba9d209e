// A restored process that answered at ::1 but was not accepted: the tenant that is started cold
// instead has no `host`.
import { expect, test } from 'bun:test';
import { createCheckpoints } from '../../lib/checkpoint/checkpoints.js';
import { createTickets } from '../../lib/tenant/calls.js';
import { createRun } from '../../lib/tenant/tenants.js';
import { createCounts } from '../../lib/observe/telemetry.js';

/** As `imageAnswered` in `src/runtime.rs` takes it. */
const FAILED = 2;

/** A ledger and handler for a restore whose process answers at ::1 at once. */
function restoring(isTaken: boolean) {
  const tickets = createTickets();
  const native = {
    sinceBootMs: () => 0,
    watch() {},
    unwatch() {},
    signal() {},
    askReady: (ticket: number) => tickets.close(ticket, 2),
    restored: () => isTaken,
    imageAnswered: (_: string, answer: number) => void reported.push(answer),
    dropsImage: () => false,
  };
  const driver = { restore: async () => ({ pid: 4_000 }) };
  const settings = { checkpoint: { driver, restoreTimeoutMs: Infinity } };
  const external = { reportExit() {} };
  const reported: number[] = [];
  const counts = { ...createCounts(), closedAt: 0 };
  const core: any = { native, settings, counts, external, tickets, wake() {} };
  const run = createRun(1, 'a', 4_000, 0);
  const done = createCheckpoints(core).restore(run, true);
  return { run, done, counts, reported };
}

test('the process that is started cold has no host', async () => {
  const { run, done, counts, reported } = restoring(false);
  await done;
  expect([reported, counts.checkpoints.restoreFailures]).toEqual([[FAILED], 1]);
  expect(run.host).toBeUndefined();
});

test('a restored process that is accepted has the host ::1', async () => {
  const { run, done, counts, reported } = restoring(true);
  await done;
  expect([reported, counts.checkpoints.restoreFailures]).toEqual([[], 0]);
  expect(run.host).toBe('::1');
});

// A restored process that answered at ::1 but was not accepted: the tenant that is started cold
// instead has no `host`.
import { expect, test } from 'bun:test';
import { createCheckpoints } from '../../lib/checkpoint/checkpoints.js';
import { createRun, createTickets } from '../../lib/tenant/ledger.js';
import { createCounts } from '../../lib/observe/telemetry.js';

/** A ledger and handler for a restore whose process answers at ::1 at once. */
function restoring(isTaken: boolean) {
  const tickets = createTickets();
  const native = {
    sinceBootMs: () => 0,
    watch() {},
    unwatch() {},
    signal() {},
    isStarting: () => true,
    askReady: (ticket: number) => tickets.close(ticket, 2),
    restored: () => isTaken,
  };
  const driver = { has: async () => true, restore: async () => ({ pid: 4_000 }), drop: async () => {} };
  const settings = { checkpoint: { driver, restoreTimeoutMs: Infinity } };
  const external = { reportExit() {}, failStart: (_: unknown, error: unknown) => void failures.push(error) };
  const failures: unknown[] = [];
  const counts = { ...createCounts(), closedAt: 0 };
  const images = new Set(['a']);
  const core: any = { native, settings, counts, images, external, tickets, wake() {} };
  const run = createRun(1, 'a', 4_000, 0);
  const started: unknown[] = [];
  const done = createCheckpoints(core).restoreOr(run, false, () => void started.push(run.host));
  return { run, done, started, failures };
}

test('the process that is started cold has no host', async () => {
  const { run, done, started, failures } = restoring(false);
  await done;
  expect([started, failures]).toEqual([[undefined], []]);
  expect(run.host).toBeUndefined();
});

test('a restored process that is accepted has the host ::1', async () => {
  const { run, done, started, failures } = restoring(true);
  await done;
  expect([started, failures]).toEqual([[], []]);
  expect(run.host).toBe('::1');
});

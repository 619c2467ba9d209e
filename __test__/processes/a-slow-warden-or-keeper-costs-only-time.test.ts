// The warden or the keepers get little processor time: they are stopped for most of the time.
// Starts and stops then take longer, and nothing else changes.
import { expect, test } from 'bun:test';
import {
  createPool,
  keeperOf,
  textOf,
  until,
  wardenOf,
  within,
} from '../support/processes/index.ts';

const TENANTS = 8;
/** They run for ten of every sixty milliseconds. */
const STOPPED_MS = 50;
const RUNNING_MS = 10;

/**
 * Repeatedly stops and continues the processes that `find` returns, until the result is called.
 */
function slowDown(find: () => readonly (number | undefined)[]) {
  let isOver = false;
  const signal = (pids: readonly (number | undefined)[], name: NodeJS.Signals) => {
    for (const pid of pids) {
      try {
        if (pid) process.kill(pid, name);
      } catch {
        // It has ended.
      }
    }
  };
  const rounds = (async () => {
    while (!isOver) {
      const pids = find();
      signal(pids, 'SIGSTOP');
      await Bun.sleep(STOPPED_MS);
      signal(pids, 'SIGCONT');
      await Bun.sleep(RUNNING_MS);
    }
  })();
  return { [Symbol.asyncDispose]: () => ((isOver = true), rounds) };
}

const keys = Array.from({ length: TENANTS }, (_, index) => `t${index}`);

test('a slow warden', async () => {
  await using pool = createPool({ stopTimeoutMs: 2_000 });
  keys.forEach((key) => pool.tenants.add(key));
  await pool.runtime.ensure('t0');
  const warden = await until('there is a warden', () => wardenOf(process.pid));
  {
    await using _ = slowDown(() => [warden.pid]);
    const tenants = await within(
      'all start',
      Promise.all(keys.map((key) => pool.runtime.ensure(key))),
    );
    for (const tenant of tenants) expect(await textOf(tenant)).toBe('hello');
    await within('all end', Promise.all(keys.map((key) => pool.runtime.kill(key))));
  }
  expect(pool.events.of('exit').map(({ reason }) => reason)).toEqual(keys.map(() => 'killed'));
  await pool.dispose();
});

test('slow keepers', async () => {
  await using pool = createPool({ stopTimeoutMs: 2_000 });
  keys.forEach((key) => pool.tenants.add(key));
  const pidsOfKeepers = () =>
    pool.runtime.list().map(({ pid }) => (pid ? keeperOf(pid)?.pid : undefined));
  {
    await using _ = slowDown(pidsOfKeepers);
    const tenants = await within(
      'all start',
      Promise.all(keys.map((key) => pool.runtime.ensure(key))),
    );
    for (const tenant of tenants) expect(await textOf(tenant)).toBe('hello');
    await within('all end', Promise.all(keys.map((key) => pool.runtime.kill(key))));
  }
  expect(pool.events.of('exit').map(({ reason }) => reason)).toEqual(keys.map(() => 'killed'));
  await pool.dispose();
});

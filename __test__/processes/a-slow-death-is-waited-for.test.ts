// The forced stop of a process that was adopted by its pid is not given up: SIGKILL takes effect as
// soon as the process gets a processor, however long that takes.
import { expect, test } from 'bun:test';
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createPool, until } from '../support/processes/index.ts';
import { Child, isAlive } from '../support/processes/outside-processes.ts';

/** The freezer of version 1: a process in a frozen group does not even die. */
const FREEZER = '/sys/fs/cgroup/freezer';
const canFreeze = process.getuid?.() === 0 && existsSync(join(FREEZER, 'cgroup.procs'));

test.skipIf(!canFreeze)('a kill resolves once the process has died', async () => {
  const stopTimeoutMs = 50;
  await using pool = createPool({ stopTimeoutMs, idleAfterMs: 0, observeIntervalMs: 0 });
  const { pid } = new Child(pool.tenants, 'exec sleep 1000', 'own group');
  await pool.runtime.adopt('app', { pid }, { port: 4000 });
  const group = join(FREEZER, `abs-test-${process.pid}`);
  mkdirSync(group);
  try {
    writeFileSync(join(group, 'cgroup.procs'), String(pid));
    writeFileSync(join(group, 'freezer.state'), 'FROZEN');
    let outcome = 'pending';
    const killed = pool.runtime.kill('app').then(
      () => (outcome = 'resolved'),
      (error) => (outcome = error.code),
    );
    // Far more than the time for SIGTERM and that for SIGKILL together.
    await until('a stop', () => pool.runtime.inspect('app')?.state === 'stopping');
    await Bun.sleep(8 * stopTimeoutMs);
    expect(outcome).toBe('pending');
    writeFileSync(join(group, 'freezer.state'), 'THAWED');
    await killed;
    expect(outcome).toBe('resolved');
    expect(isAlive(pid)).toBe(false);
  } finally {
    writeFileSync(join(group, 'freezer.state'), 'THAWED');
    await until('its end', () => !isAlive(pid));
    rmdirSync(group);
  }
});

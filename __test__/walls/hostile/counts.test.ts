// How many processes, threads and descriptors a tenant may have, and how large its files may be.
import { expect, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import { treeOf } from '../../support/processes/index.ts';
import { WALLS } from '../../support/walls/kernel.ts';
import { createHostilePool } from '../../support/walls/ask.ts';
import { canLimitTrees } from '../../support/walls/limits.ts';

/** A tenant has some ten threads of its own. */
const MOST = 60;
const MANY = 1_000;

/** Processes and threads, the keeper not counted. */
const tasksOf = (pid: number) =>
  treeOf(pid)
    .slice(1)
    .reduce((sum, process) => {
      try {
        return sum + readdirSync(`/proc/${process.pid}/task`).length;
      } catch {
        return sum;
      }
    }, 0);

for (const [what, attempt] of [
  ['processes', 'startProcesses'],
  ['threads', 'startThreads'],
] as const) {
  test.skipIf(!canLimitTrees)(`no more ${what} can be started than are allowed`, async () => {
    const limits = { processes: MOST };
    await using pool = createHostilePool(['attacker', 'victim'], { limits });
    const { pid } = await pool.runtime.ensure('attacker');
    const { detail } = await pool.try('attacker', attempt, MANY);
    const { count, error } = JSON.parse(detail);
    expect(count).toBeLessThan(MOST);
    expect(error).toMatch(/^(EAGAIN|errno 11)$/);
    expect(tasksOf(pid)).toBeLessThanOrEqual(MOST);
    // Its neighbour can still be started, and starts processes.
    expect((await pool.try('victim', 'startChild')).outcome).toBe('ok');
    await pool.dispose();
  });
}

test('no more descriptors can be opened than are allowed', async () => {
  const limits = { openFiles: 100 };
  await using pool = createHostilePool(['attacker'], { limits });
  const { detail } = await pool.try('attacker', 'openDescriptors', MANY);
  const { count, error } = JSON.parse(detail);
  expect([count < 100, error]).toEqual([true, 'EMFILE']);
  await pool.dispose();
});

test('the limits of a tenant cannot be raised by it', async () => {
  const limits = { openFiles: 100 };
  await using pool = createHostilePool(['attacker'], { limits, isolation: WALLS });
  const raise = ['sh', '-c', 'ulimit -n 1000 && ulimit -n'];
  const { outcome, detail } = await pool.try('attacker', 'run', raise);
  expect([outcome, detail.includes('1000')]).toEqual(['error', false]);
  await pool.dispose();
});

test('no file can become larger than is allowed', async () => {
  const fileBytes = 3 << 20;
  await using pool = createHostilePool(['attacker'], { limits: { fileBytes } });
  const { pid } = await pool.runtime.ensure('attacker');
  expect((await pool.try('attacker', 'writeFile', 'large', 10 << 20)).outcome).toBe('EFBIG');
  expect((await pool.try('attacker', 'fileSize', 'large')).detail).toBe(String(fileBytes));
  expect((await pool.runtime.ensure('attacker')).pid).toBe(pid);
  await pool.dispose();
});

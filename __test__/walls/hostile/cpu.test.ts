// A tenant cannot take the CPU time of others: it has a ceiling, or a share of its own.
import { expect, test } from 'bun:test';
import { readProcessTreeStats } from '@absolutejs/runtime';
import { pause } from '../../support/processes/index.ts';
import { COMMAND, createHostilePool } from '../../support/walls/ask.ts';
import { canLimitTrees } from '../../support/walls/limits.ts';

/** What both together use of one core until they are compared. */
const ENOUGH_MS = 1_000;

const cpuMsOf = async (pid: number) => (await readProcessTreeStats(pid))?.cpuMs ?? 0;

test.skipIf(!canLimitTrees)('a tenant does not get more cores than its ceiling', async () => {
  const cpus = 0.2;
  await using pool = createHostilePool(['attacker'], { limits: { cpus } });
  const { pid } = await pool.runtime.ensure('attacker');
  await pool.try('attacker', 'spin', 4);
  const [startedAt, before] = [performance.now(), await cpuMsOf(pid)];
  await pause(1_500);
  const used = (await cpuMsOf(pid)) - before;
  // On a busy machine it gets less. Time is handed out in periods of 100 ms, one at each end.
  expect(used).toBeLessThan((performance.now() - startedAt + 200) * cpus + 100);
  await pool.dispose();
});

test.skipIf(!canLimitTrees)(
  'many processes get no more of a core than one of another',
  async () => {
    await using pool = createHostilePool(['attacker', 'victim'], {
      command: ['taskset', '--cpu-list', '0', ...COMMAND],
      limits: { cpuWeight: 100 },
    });
    const [attacker, victim] = [
      await pool.runtime.ensure('attacker'),
      await pool.runtime.ensure('victim'),
    ];
    await pool.try('attacker', 'spin', 8);
    await pool.try('victim', 'spin', 1);
    const before = [await cpuMsOf(attacker.pid), await cpuMsOf(victim.pid)] as const;
    const used = async () => ({
      attacker: (await cpuMsOf(attacker.pid)) - before[0],
      victim: (await cpuMsOf(victim.pid)) - before[1],
    });
    let now = await used();
    while (now.attacker + now.victim < ENOUGH_MS) {
      await pause(50);
      now = await used();
    }
    // Equal weights: half for each. With a share for each process it would be a ninth.
    expect(now.victim / (now.attacker + now.victim)).toBeGreaterThan(0.3);
    await pool.dispose();
  },
);

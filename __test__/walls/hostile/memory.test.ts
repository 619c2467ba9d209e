// A tenant above its memory is killed with all that it has started, whatever it has filled, and its
// neighbour does not notice.
import { expect, test } from 'bun:test';
import { statfsSync } from 'node:fs';
import { createHostilePool } from '../../support/walls/ask.ts';
import { canLimitTrees } from '../../support/walls/limits.ts';

const MIB = 1 << 20;
/** An idle tenant has some 40 MiB. */
const LIMIT_BYTES = 96 * MIB;
/** An ordinary user gets 64 MiB in pipes, and small ones from then on. */
const LIMIT_WITH_PIPES_BYTES = 64 * MIB;
const MORE_BYTES = 400 * MIB;
const TMPFS = 0x0102_1994;

const ways = [
  ['its heap', 'fillHeap', MORE_BYTES, LIMIT_BYTES],
  ['a mapping', 'fillMapping', MORE_BYTES, LIMIT_BYTES],
  ['a file in memory', 'fillMemoryFile', MORE_BYTES, LIMIT_BYTES],
  ['pipes', 'fillPipes', 2_000, LIMIT_WITH_PIPES_BYTES],
  ['sockets', 'fillSockets', 1_000, LIMIT_BYTES],
] as const;

for (const [what, attempt, amount, memoryBytes] of ways) {
  test.skipIf(!canLimitTrees)(`a tenant that fills ${what} is killed for its memory`, async () => {
    const limits = { memoryBytes, swapBytes: MIB };
    await using pool = createHostilePool(['attacker', 'victim'], { limits });
    const victim = await pool.runtime.ensure('victim');
    const { pid } = await pool.runtime.ensure('attacker');
    await pool.try('attacker', 'startChild');
    const outcome = await pool.try('attacker', attempt, amount).catch(() => 'killed');
    expect(outcome).toBe('killed');
    expect(await pool.events.exit('attacker')).toMatchObject({
      pid,
      exitCode: null,
      reason: 'crashed',
      limit: 'memory',
    });
    expect((await pool.runtime.ensure('victim')).pid).toBe(victim.pid);
    expect((await pool.try('victim', 'signalsSeen')).outcome).toBe('ok');
    expect((await pool.runtime.ensure('attacker')).pid).not.toBe(pid);
    await pool.dispose();
  });
}

test.skipIf(!canLimitTrees)('a tenant that reads and writes large files is not', async () => {
  await using pool = createHostilePool(['app'], { limits: { memoryBytes: LIMIT_BYTES } });
  if (statfsSync(pool.tenants.root).type === TMPFS) return;
  const { pid } = await pool.runtime.ensure('app');
  expect(await pool.try('app', 'fillPageCache', 'large', 3 * LIMIT_BYTES)).toEqual({
    outcome: 'ok',
    detail: '',
  });
  expect((await pool.runtime.ensure('app')).pid).toBe(pid);
  await pool.dispose();
});

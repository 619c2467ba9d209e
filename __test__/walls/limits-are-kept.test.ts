// A tenant has what its limits allow and no more, whatever it tries; its neighbours do not notice.
import { expect, test } from 'bun:test';
import type { Tenant } from '@absolutejs/runtime';
import {
  addConsumer,
  canLimitTrees,
  createPool,
  type Pool,
  treeOf,
  use,
} from '../support/processes/index.ts';

const MIB = 1 << 20;
const group = expect.stringMatching(/^cgroup[12]$/);

/** A tenant with these limits, and a neighbour without. */
async function setUp(limits: object): Promise<{ pool: Pool; greedy: Tenant; other: Tenant }> {
  const pool = createPool({
    tenant: (key) => (key === 'greedy' ? { limits } : {}),
    backoff: { baseMs: 0 },
  });
  addConsumer(addConsumer(pool.tenants, 'greedy'), 'other');
  const [greedy, other] = await Promise.all([
    pool.runtime.ensure('greedy'),
    pool.runtime.ensure('other'),
  ]);
  return { pool, greedy, other };
}

async function expectUnharmed({ runtime }: Pool, other: Tenant): Promise<void> {
  expect(await use(other, '')).toBe('hello');
  expect(runtime.inspect('other')).toMatchObject({ state: 'ready', pid: other.pid, limits: {} });
}

test.skipIf(!canLimitTrees)(
  'memory: within it nothing happens, beyond it all of the tree is killed',
  async () => {
    const { pool, greedy, other } = await setUp({ memoryBytes: 256 * MIB, swapBytes: 1 });
    await using _ = pool;
    const { limits } = pool.runtime.inspect('greedy')!;
    expect(limits).toEqual({
      memoryBytes: { value: 256 * MIB, by: group },
      swapBytes: { value: 1, by: group },
    } as never);
    await use(greedy, 'processes', 2);
    await use(greedy, 'memory', 100 * MIB);
    expect(pool.runtime.inspect('greedy')!.state).toBe('ready');
    const tree = treeOf(greedy.pid);
    expect(tree.length).toBeGreaterThan(3);
    await use(greedy, 'memory', 300 * MIB).catch(() => {});
    const exit = await pool.events.exit('greedy');
    expect(exit).toMatchObject({ reason: 'crashed', exitCode: null, limit: 'memory' });
    await expectUnharmed(pool, other);
    await pool.dispose();
  },
);

test.skipIf(!canLimitTrees)('cpus: it has no more than its part of a processor', async () => {
  const { pool, greedy, other } = await setUp({ cpus: 0.25, cpuWeight: 50 });
  await using _ = pool;
  expect(pool.runtime.inspect('greedy')!.limits).toEqual({
    cpus: { value: 0.25, by: group },
    cpuWeight: { value: 50, by: group },
  });
  // A busy machine may give it less.
  expect(await use(greedy, 'processor', 2_000)).toBeLessThan(0.4);
  await expectUnharmed(pool, other);
  await pool.dispose();
});

test.skipIf(!canLimitTrees)('processes: one more than it may have is not made', async () => {
  const { pool, greedy, other } = await setUp({ processes: 40 });
  await using _ = pool;
  expect(pool.runtime.inspect('greedy')!.limits).toEqual({ processes: { value: 40, by: group } });
  const { got, code } = await use(greedy, 'processes', 60);
  expect(code).toBe('EAGAIN');
  expect(got).toBeWithin(1, 40);
  expect(await use(other, 'processes', 45)).toEqual({ got: 45 });
  await expectUnharmed(pool, other);
  await pool.dispose();
});

test('the largest numbers that the options take are taken by the kernel, too', async () => {
  const most = Number.MAX_SAFE_INTEGER;
  const { pool, greedy } = await setUp({
    memoryBytes: most,
    swapBytes: most,
    cpus: 1_000_000,
    cpuWeight: 10_000,
    processes: 2 ** 22,
    openFiles: most,
    fileBytes: most,
    enforce: 'best-effort',
  });
  await using _ = pool;
  expect(await use(greedy, '')).toBe('hello');
  await pool.dispose();
});

test('openFiles: a process gets no descriptor beyond them', async () => {
  const { pool, greedy, other } = await setUp({ openFiles: 200 });
  await using _ = pool;
  expect(pool.runtime.inspect('greedy')!.limits).toEqual({
    openFiles: { value: 200, by: 'rlimit' },
  });
  expect(await use(greedy, 'descriptors', 100)).toEqual({ got: 100 });
  const { got, code } = await use(greedy, 'descriptors', 300);
  expect(code).toBe('EMFILE');
  expect(got).toBeWithin(100, 200);
  expect(await use(other, 'descriptors', 300)).toEqual({ got: 300 });
  await expectUnharmed(pool, other);
  await pool.dispose();
});

test('fileBytes: a file grows to that size, and a write beyond it fails', async () => {
  const { pool, greedy, other } = await setUp({ fileBytes: MIB });
  await using _ = pool;
  expect(pool.runtime.inspect('greedy')!.limits).toEqual({
    fileBytes: { value: MIB, by: 'rlimit' },
  });
  expect(await use(greedy, 'file', MIB)).toEqual({ got: MIB });
  expect(await use(greedy, 'file', MIB + 1)).toEqual({ got: MIB, code: 'EFBIG' });
  expect(await use(other, 'file', MIB + 1)).toEqual({ got: MIB + 1 });
  expect(pool.runtime.inspect('greedy')!.state).toBe('ready');
  await expectUnharmed(pool, other);
  await pool.dispose();
});

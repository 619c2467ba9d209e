// Whether tenants that sleep can leave their memory to swap, and how many of them there is room for.
import { expect, test } from 'bun:test';
import { type Changes, finding } from '../support/surface/injected-host.ts';

const SWAPS = `Filename                                Type            Size            Used            Priority
/dev/zram0                              partition       4194304         0               100
/swapfile                               file            1048576         1048576         -2
`;
const NICE = 'CapInh:\t0000000000000000\nCapEff:\t0000000000800000\n';
const NONE = 'CapInh:\t0000000000000000\nCapEff:\t0000000000000000\n';

const hostWith = (files: Record<string, string>, changes: Changes = {}): Changes => ({
  read: (path) => files[path],
  ...changes,
});

test('with swap and limits it pages out by the control group; the narrower of both has the number', async () => {
  const files = { '/proc/swaps': SWAPS, '/proc/self/status': NONE };
  expect(await finding('sleep', hostWith(files))).toEqual({
    check: 'sleep',
    level: 'ok',
    found: 'frozen, and paged out by memory.reclaim, with limits (4.0 GB of swap free)',
    means:
      'room for some 273 sleepers: each takes 6 MB, and 15 MB of swap, as an express app does; ' +
      'measure yours',
  });
  const memory = { totalBytes: 2 ** 30, availableBytes: 60 * 2 ** 20 };
  const small = await finding('sleep', hostWith(files, { facts: { memory } }));
  expect(small.means).toStartWith('room for some 10 sleepers');
});

test('root, or who has CAP_SYS_NICE, pages out any tenant', async () => {
  const found = async (changes: Changes) => (await finding('sleep', changes)).found;
  const swaps = { '/proc/swaps': SWAPS };
  const advised = 'frozen, and paged out by process_madvise (4.0 GB of swap free)';
  expect(await found(hostWith({ ...swaps, '/proc/self/status': NICE }))).toBe(advised);
  expect(await found(hostWith(swaps, { uid: 0 }))).toBe(advised);
  // Root of a container that has taken it away.
  const without = { ...swaps, '/proc/self/status': NONE };
  expect(await found(hostWith(without, { uid: 0 }))).toContain('memory.reclaim');
});

test('where nothing can page out, and where there is no swap, sleepers keep their memory', async () => {
  const files = { '/proc/swaps': SWAPS, '/proc/self/status': NONE };
  const cannot: Changes[] = [
    hostWith(files, {
      facts: { confinement: { limits: [{ name: 'memoryBytes', by: 'cgroup1' }] } },
    }),
    hostWith(files, { facts: { machine: { kernelRelease: '5.15.0' } } }),
  ];
  for (const changes of cannot) {
    expect(await finding('sleep', changes)).toMatchObject({
      level: 'note',
      found: 'tenants can be frozen, not paged out',
      advice: expect.stringContaining('CAP_SYS_NICE'),
    });
  }
  const full = SWAPS.replace('4194304         0      ', '4194304         4194304');
  const denied = { groups: { withoutSwap: '/sys/fs/cgroup/host' } };
  for (const changes of [
    hostWith({}),
    hostWith({ ...files, '/proc/swaps': full }),
    hostWith(files, { facts: denied }),
  ]) {
    expect(await finding('sleep', changes)).toMatchObject({
      level: 'note',
      found: 'tenants can be frozen; there is no free swap',
      advice: expect.stringContaining('docs/density.md'),
    });
  }
});

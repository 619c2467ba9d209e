import { expect, test } from 'bun:test';
import { finding, findingsOf } from '../support/surface/injected-host.ts';

const GB = 2 ** 30;
const OWN = '/sys/fs/cgroup/system.slice/host.service';
const both = (limit: number) => ({ soft: limit, hard: limit });

test('descriptors: four a tenant beside those of the host', async () => {
  const openFiles = (soft: number, hard = soft) => ({
    facts: { process: { openFiles: { soft, hard } } },
  });
  expect(await finding('open files', openFiles(1_024, 524_288))).toMatchObject({
    level: 'ok',
    found: '1,024 (at most 524,288)',
    tenants: 192,
  });
  expect(await finding('open files', openFiles(512))).toMatchObject({
    level: 'warning',
    tenants: 64,
  });
  expect(await finding('open files', openFiles(256))).toMatchObject({
    level: 'problem',
    tenants: 0,
  });
  expect((await finding('open files', openFiles(Infinity))).found).toBe('unlimited');
});

test('how many tenants are planned decides what is too little', async () => {
  expect((await finding('open files', {}, 16_000)).level).toBe('ok');
  expect(await finding('open files', {}, 30_000)).toMatchObject({
    level: 'warning',
    means: expect.stringContaining('room for 16,320 of 30,000 planned tenants'),
    advice: expect.stringContaining('LimitNOFILE='),
  });
});

test('the table of open files of the whole machine', async () => {
  const facts = { machine: { openFiles: 9_000, openFilesMax: 10_000 } };
  expect(await finding('file table', { facts })).toMatchObject({ level: 'warning', tenants: 50 });
});

test('of the limits on processes the one with the least room counts', async () => {
  expect((await finding('processes')).found).toContain('of this user');
  expect((await finding('processes', { uid: 0 })).found).toContain('kernel.threads-max');
  const machine = { pidMax: 1_000 };
  expect(await finding('processes', { facts: { machine } })).toMatchObject({
    level: 'warning',
    tenants: 50,
  });
  const user = { process: { processes: both(40) } };
  expect(await finding('processes', { facts: user })).toMatchObject({
    level: 'warning',
    tenants: 4,
  });
  const groups = { tasks: { limit: 300, used: 295, path: '/sys/fs/cgroup/system.slice' } };
  expect(await finding('processes', { facts: { groups } })).toMatchObject({
    level: 'problem',
    found: '300 (pids.max of /sys/fs/cgroup/system.slice), 295 in use',
    advice: expect.stringContaining('TasksMax='),
  });
});

test('ports: one a tenant, without those that are reserved for others', async () => {
  const ports = (reserved: number) => ({
    facts: { machine: { ports: { first: 50_000, last: 50_009, reserved } } },
  });
  expect(await finding('ports', ports(0))).toMatchObject({ level: 'warning', tenants: 10 });
  expect(await finding('ports', ports(2))).toMatchObject({
    found: '50000 to 50009, 2 of them reserved',
    tenants: 8,
  });
});

test('a short queue for connections is noted', async () => {
  const facts = { machine: { backlogMax: 128 } };
  expect(await finding('listen backlog', { facts })).toMatchObject({ level: 'note' });
});

test('memory: what is free on the machine, or in the narrowest group above', async () => {
  expect(await finding('memory')).toMatchObject({
    level: 'ok',
    found: '12 GB free of 16 GB',
    tenants: 285,
  });
  const path = '/sys/fs/cgroup/system.slice';
  const groups = { memory: { limitBytes: 2 * GB, freeBytes: 1.5 * GB, path } };
  const found = `1.5 GB free of 2.0 GB (${path})`;
  for (const facts of [{ groups }, { groups, memory: undefined }]) {
    expect(await finding('memory', { facts })).toMatchObject({
      level: 'warning',
      found,
      tenants: 35,
    });
  }
  const unknown = { groups: { memory: undefined }, memory: undefined };
  expect(await finding('memory', { facts: unknown })).toMatchObject({
    level: 'note',
    found: 'unknown',
  });
});

test('memory that is all taken is a problem', async () => {
  const groups = { memory: { limitBytes: GB, freeBytes: 0, path: OWN } };
  expect(await finding('memory', { facts: { groups } })).toMatchObject({
    level: 'problem',
    tenants: 0,
  });
});

test('processors: a group may leave less than there are, and less than one is a warning', async () => {
  const cores = (cores: number) => ({ facts: { groups: { cpu: { cores, path: OWN } } } });
  expect(await finding('processors', cores(0.5))).toMatchObject({
    level: 'warning',
    found: `4 cores, of which 0.5 may be used (${OWN})`,
  });
  expect(await finding('processors', cores(1.5))).toMatchObject({ level: 'ok' });
  expect((await finding('processors', cores(8))).found).toBe('4 cores');
});

test('a group that is killed as a whole takes the host along', async () => {
  const facts = { groups: { killedAsOne: OWN } };
  expect(await finding('out of memory', { facts })).toMatchObject({
    level: 'warning',
    advice: expect.stringContaining(OWN),
  });
});

test('a limit on memory is good, none is noted', async () => {
  expect(await finding('out of memory')).toMatchObject({
    level: 'ok',
    found: 'cgroup v2, memory limit 14 GB',
  });
  const none = { hasV1: true, memory: undefined };
  expect(await finding('out of memory', { facts: { groups: none } })).toMatchObject({
    level: 'note',
    found: 'cgroup v1 and v2, no memory limit',
  });
  const neither = { hasV2: false, memory: undefined };
  expect((await finding('out of memory', { facts: { groups: neither } })).found).toBe(
    'cgroup none, no memory limit',
  );
});

test('tenants inherit an oom score', async () => {
  const score = (oomScoreAdj: number) => ({ facts: { process: { oomScoreAdj } } });
  expect((await finding('oom_score_adj', score(-1000))).level).toBe('warning');
  expect((await finding('oom_score_adj', score(500))).means).toContain('more likely');
});

test('swap: none, or not for this group', async () => {
  expect(await finding('swap', { facts: { swaps: [] } })).toMatchObject({
    level: 'note',
    found: 'none',
  });
  expect((await finding('swap')).means).toBe('idle tenants are kept compressed');
  const facts = { swaps: ['/swapfile'], groups: { withoutSwap: OWN } };
  expect(await finding('swap', { facts })).toMatchObject({
    level: 'note',
    found: '/swapfile, but not for this group',
  });
});

test('pressure: what programs waited for, if the kernel counts it', async () => {
  expect(await finding('pressure')).toMatchObject({ level: 'ok', found: 'cpu 1 %, memory 0 %' });
  const facts = { pressure: { memory: { some: [0, 42.4, 0] } } };
  expect(await finding('pressure', { facts })).toMatchObject({
    level: 'note',
    found: 'cpu 1 %, memory 42 %',
  });
  const none = { cpu: undefined, memory: undefined, io: undefined };
  const checks = (await findingsOf({ facts: { pressure: none } })).map(({ check }) => check);
  expect(checks).not.toContain('pressure');
});

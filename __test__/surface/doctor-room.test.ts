import { expect, test } from 'bun:test';
import { CGROUP_2, finding, findingsOf, limits } from '../support/surface/injected-host.ts';

const GB = 2 ** 30;
const OWN = '/sys/fs/cgroup/system.slice/host.service';

test('descriptors: four a tenant beside those of the host', async () => {
  const files = (text: string) => ({
    '/proc/self/limits': limits({ files: text, processes: '60000 60000' }),
  });
  expect(await finding('open files', { files: files('1024 524288') })).toMatchObject({
    level: 'ok',
    found: '1,024 (at most 524,288)',
    tenants: 192,
  });
  expect(await finding('open files', { files: files('512 512') })).toMatchObject({
    level: 'warning',
    tenants: 64,
  });
  expect(await finding('open files', { files: files('256 256') })).toMatchObject({
    level: 'problem',
    tenants: 0,
  });
  expect((await finding('open files', { files: files('unlimited unlimited') })).found).toBe('unlimited');
});

test('how many tenants are planned decides what is too little', async () => {
  expect((await finding('open files', {}, 15_000)).level).toBe('ok');
  expect(await finding('open files', {}, 30_000)).toMatchObject({
    level: 'warning',
    means: expect.stringContaining('room for 16,320 of 30,000 planned tenants'),
    advice: expect.stringContaining('LimitNOFILE='),
  });
});

test('the table of open files of the whole machine', async () => {
  const files = { '/proc/sys/fs/file-nr': '9000\t0\t10000\n' };
  expect(await finding('file table', { files })).toMatchObject({ level: 'warning', tenants: 50 });
});

test('of the limits on processes the one with the least room counts', async () => {
  expect((await finding('processes')).found).toContain('of this user');
  expect((await finding('processes', { uid: 0 })).found).toContain('kernel.threads-max');
  const pidMax = { '/proc/sys/kernel/pid_max': '1000\n' };
  expect(await finding('processes', { files: pidMax })).toMatchObject({ level: 'warning', tenants: 50 });
  const group = { [`${OWN}/pids.max`]: 'max\n', '/sys/fs/cgroup/system.slice/pids.max': '300\n' };
  const used = { '/sys/fs/cgroup/system.slice/pids.current': '295\n' };
  expect(await finding('processes', { files: { ...group, ...used } })).toMatchObject({
    level: 'problem',
    found: '300 (pids.max of /sys/fs/cgroup/system.slice), 295 in use',
    advice: expect.stringContaining('TasksMax='),
  });
});

test('ports: one a tenant; the range of the kernel when it cannot be read', async () => {
  const range = (text: string | undefined) => ({ files: { '/proc/sys/net/ipv4/ip_local_port_range': text } });
  expect(await finding('ports', range('50000 50009'))).toMatchObject({ level: 'warning', tenants: 10 });
  expect(await finding('ports', range(undefined))).toMatchObject({ level: 'ok', tenants: 28_232 });
});

test('ports of the range that are reserved for others are not counted', async () => {
  const reserved = (list: string) => ({ files: { '/proc/sys/net/ipv4/ip_local_reserved_ports': list } });
  const { found } = await finding('ports', reserved('8080,9000-9100,32000-32768,50051\n'));
  expect(found).toContain('2 of them reserved');
  expect((await finding('ports', reserved('8080,61000\n'))).found).not.toContain('reserved');
});

test('a short queue for connections is noted', async () => {
  const files = { '/proc/sys/net/core/somaxconn': '128\n' };
  expect(await finding('listen backlog', { files })).toMatchObject({ level: 'note' });
});

test('memory: what is free on the machine, or in the narrowest group above', async () => {
  expect(await finding('memory')).toMatchObject({ level: 'ok', found: '12 GB free of 16 GB', tenants: 285 });
  const limit = { [`${OWN}/memory.max`]: `${8 * GB}`, '/sys/fs/cgroup/system.slice/memory.max': `${2 * GB}` };
  const use = {
    '/sys/fs/cgroup/system.slice/memory.current': `${GB}`,
    '/sys/fs/cgroup/system.slice/memory.stat': `anon 5\ninactive_file ${GB / 2}\n`,
  };
  expect(await finding('memory', { files: { ...limit, ...use } })).toMatchObject({
    level: 'warning',
    found: '1.5 GB free of 2.0 GB (/sys/fs/cgroup/system.slice)',
    tenants: 35,
  });
});

test('memory that is all taken is a problem', async () => {
  const files = { [`${OWN}/memory.max`]: `${GB}`, [`${OWN}/memory.current`]: `${GB}` };
  expect(await finding('memory', { files })).toMatchObject({ level: 'problem', tenants: 0 });
});

test('limits of cgroup v1, in a container that sees its own group as the root', async () => {
  const memory = '/sys/fs/cgroup/memory';
  const files = {
    '/proc/self/cgroup':
      '5:memory:/docker/abc\n4:pids:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/docker/abc\n',
    '/proc/self/mountinfo': [
      `41 30 0:51 /docker/abc ${memory} ro - cgroup cgroup rw,memory`,
      '42 30 0:52 /docker/abc /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids',
      '43 30 0:53 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct',
    ].join('\n'),
    [`${memory}/memory.limit_in_bytes`]: `${GB}\n`,
    [`${memory}/memory.usage_in_bytes`]: `${GB / 2}\n`,
    '/sys/fs/cgroup/pids/pids.max': '500\n',
    '/sys/fs/cgroup/pids/pids.current': '100\n',
    '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '50000\n',
    '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
  };
  expect((await finding('memory', { files })).found).toBe(`512 MB free of 1.0 GB (${memory})`);
  expect((await finding('processes', { files })).tenants).toBe(40);
  expect(await finding('processors', { files })).toMatchObject({
    level: 'warning',
    found: '4 cores, of which 0.5 may be used (/sys/fs/cgroup/cpu)',
  });
  expect((await finding('out of memory', { files })).found).toBe('cgroup v1, memory limit 1.0 GB');
});

test('cgroup v1 without a limit has a number near 2^63 for it', async () => {
  const files = {
    '/proc/self/cgroup': '5:memory:/\n',
    '/proc/self/mountinfo': '41 30 0:51 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n',
    '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
  };
  expect((await finding('memory', { files })).found).toBe('12 GB free of 16 GB');
});

test('a group whose path lies outside of the mount is taken for its root', async () => {
  const files = {
    '/proc/self/cgroup': '0::/../host.service\n',
    '/proc/self/mountinfo': CGROUP_2,
    '/sys/fs/cgroup/cpu.max': '150000 100000\n',
  };
  expect(await finding('processors', { files })).toMatchObject({
    level: 'ok',
    found: '4 cores, of which 1.5 may be used (/sys/fs/cgroup)',
  });
});

test('a group that is killed as a whole takes the host along', async () => {
  const files = { [`${OWN}/memory.oom.group`]: '1\n' };
  expect(await finding('out of memory', { files })).toMatchObject({
    level: 'warning',
    advice: expect.stringContaining(OWN),
  });
});

test('a limit on memory is good, none is noted', async () => {
  const files = { [`${OWN}/memory.max`]: `${8 * GB}` };
  expect(await finding('out of memory', { files })).toMatchObject({ level: 'ok' });
  expect(await finding('out of memory', { files: { '/proc/self/mountinfo': undefined } })).toMatchObject({
    level: 'note',
    found: 'cgroup none, no memory limit',
  });
});

test('tenants inherit an oom score', async () => {
  const score = (value: string) => ({ files: { '/proc/self/oom_score_adj': value } });
  expect((await finding('oom_score_adj', score('-1000\n'))).level).toBe('warning');
  expect((await finding('oom_score_adj', score('500\n'))).means).toContain('more likely');
});

test('swap: none, or not for this group', async () => {
  const header = 'Filename Type Size Used Priority\n';
  expect(await finding('swap', { files: { '/proc/swaps': header } })).toMatchObject({
    level: 'note',
    found: 'none',
  });
  expect((await finding('swap')).means).toBe('idle tenants are kept compressed');
  const files = { '/proc/swaps': `${header}/swapfile file 1 0 -2\n`, [`${OWN}/memory.swap.max`]: '0\n' };
  expect(await finding('swap', { files })).toMatchObject({
    level: 'note',
    found: '/swapfile, but not for this group',
  });
});

import { expect, test } from 'bun:test';
import { finding, findingsOf } from '../support/surface/injected-host.ts';

const failingTrial = async () => ({ failure: 'no', asksKernel: true });
const kernelRelease = (release: string | undefined) => ({ '/proc/sys/kernel/osrelease': release });

test.each([
  ['6.18.4', 'ok'],
  ['5.9.0-rc1', 'ok'],
  ['5.8.18', 'note'],
  ['5.3.0', 'note'],
  ['5.2.21', 'warning'],
  [undefined, 'note'],
] as const)('kernel %s on which a tenant starts: %s', async (release, level) => {
  expect((await finding('kernel', { files: kernelRelease(release) })).level).toBe(level);
});

test('a kernel before 5.3 on which no tenant starts is a problem', async () => {
  const changes = { files: kernelRelease('4.18.0-80.el8'), startTenant: failingTrial };
  expect(await finding('kernel', changes)).toMatchObject({
    level: 'problem',
    means: 'before 5.3 it has no pidfd_open',
  });
});

test('without /proc tenants cannot be looked after', async () => {
  const findings = await findingsOf({ files: { '/proc/self/stat': undefined } });
  expect(findings.find(({ check }) => check === '/proc')).toMatchObject({
    level: 'problem',
    found: 'is not mounted',
  });
});

test('hidepid hides other users from all but root; the last mount counts', async () => {
  const mounted = (options: string) => ({
    '/proc/self/mounts': `proc /proc proc rw 0 0\nproc /proc proc rw,${options} 0 0\n`,
  });
  for (const options of ['hidepid=2', 'hidepid=invisible', 'hidepid=ptraceable']) {
    const files = mounted(options);
    expect(await finding('/proc', { files })).toMatchObject({
      level: 'note',
      found: `mounted with ${options}`,
    });
    expect((await finding('/proc', { files, uid: 0 })).level).toBe('ok');
  }
  for (const options of ['hidepid=0', 'hidepid=off']) {
    expect((await finding('/proc', { files: mounted(options) })).level).toBe('ok');
  }
});

test('a kernel without lists of children is noted', async () => {
  const found = await finding('/proc', { files: { '/proc/self/task/77/children': undefined } });
  expect(found).toMatchObject({ level: 'note', found: 'mounted, without task/*/children' });
});

test('a kernel that cannot be asked for ports is noted, not a problem', async () => {
  const startTenant = async () => ({ readyMs: 20, asksKernel: false });
  const findings = await findingsOf({ startTenant });
  expect(findings.filter(({ level }) => level !== 'ok')).toMatchObject([
    { check: 'sock_diag', level: 'note' },
  ]);
});

test('a seccomp filter is suspected only when a tenant could not be started', async () => {
  const files = { '/proc/self/status': 'NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n' };
  expect((await finding('seccomp', { files })).level).toBe('ok');
  const suspected = await finding('seccomp', { files, startTenant: failingTrial });
  expect(suspected).toMatchObject({ level: 'warning', advice: expect.stringContaining('pidfd_open') });
  expect(await finding('privileges', { files })).toMatchObject({ level: 'note' });
});

test('Landlock: on, off, or unknown where securityfs is not mounted', async () => {
  const lsm = (list: string | undefined) => ({ files: { '/sys/kernel/security/lsm': list } });
  expect((await finding('landlock', lsm('capability,landlock'))).level).toBe('ok');
  expect((await finding('landlock', lsm('capability,yama'))).found).toBe('off (capability,yama)');
  expect((await finding('landlock', lsm(undefined))).found).toStartWith('unknown');
});

import { expect, test } from 'bun:test';
import { finding, findingsOf } from '../support/surface/injected-host.ts';

const failingTrial = async () => ({ failure: 'no', asksKernel: true });
const kernelRelease = (kernelRelease: string | undefined) => ({ machine: { kernelRelease } });

test.each([
  ['6.18.4', 'ok'],
  ['5.9.0-rc1', 'ok'],
  ['5.8.18', 'note'],
  ['5.3.0', 'note'],
  ['5.2.21', 'warning'],
  [undefined, 'note'],
] as const)('kernel %s on which a tenant starts: %s', async (release, level) => {
  expect((await finding('kernel', { facts: kernelRelease(release) })).level).toBe(level);
});

test('a kernel before 5.3 on which no tenant starts is a problem', async () => {
  const changes = { facts: kernelRelease('4.18.0-80.el8'), startTenant: failingTrial };
  expect(await finding('kernel', changes)).toMatchObject({
    level: 'problem',
    means: 'before 5.3 it has no pidfd_open',
  });
});

test('without /proc tenants cannot be looked after', async () => {
  const findings = await findingsOf({ facts: { proc: { isMounted: false } } });
  expect(findings.find(({ check }) => check === '/proc')).toMatchObject({
    level: 'problem',
    found: 'is not mounted',
  });
});

test('hidepid hides other users from all but root', async () => {
  const facts = { proc: { hidden: 'hidepid=2' } };
  expect(await finding('/proc', { facts })).toMatchObject({
    level: 'note',
    found: 'mounted with hidepid=2',
  });
  expect((await finding('/proc', { facts, uid: 0 })).level).toBe('ok');
});

test('a kernel without lists of children is noted', async () => {
  const found = await finding('/proc', { facts: { proc: { listsChildren: false } } });
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
  const facts = { process: { hasNoNewPrivileges: true, hasSeccompFilter: true } };
  expect((await finding('seccomp', { facts })).level).toBe('ok');
  const suspected = await finding('seccomp', { facts, startTenant: failingTrial });
  expect(suspected).toMatchObject({
    level: 'warning',
    advice: expect.stringContaining('pidfd_open'),
  });
  expect(await finding('privileges', { facts })).toMatchObject({ level: 'note' });
});

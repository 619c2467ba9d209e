import { expect, test } from 'bun:test';
import { finding, findingsOf } from '../support/surface/injected-host.ts';

const why = 'this user may not make control groups below /sys/fs/cgroup/session-3.scope';
const change = 'start the host by `systemd-run --user --scope -p Delegate=yes …`';

test('a host that can keep everything says by what', async () => {
  expect(await finding('limits')).toMatchObject({
    level: 'ok',
    found: 'memoryBytes, cpus, openFiles',
    means: 'kept by control groups of version 2 and limits of each process',
  });
  expect(await finding('isolation')).toMatchObject({ level: 'ok', found: 'Landlock 7, seccomp' });
});

test('where root’s sockets can be reached from within walls, tenants are to have users of their own', async () => {
  const withLandlock = async (landlock: number | undefined) =>
    finding('isolation.user', { uid: 0, facts: { confinement: { landlock } } });
  expect((await withLandlock(9)).level).toBe('ok');
  for (const landlock of [undefined, 8]) {
    expect(await withLandlock(landlock)).toMatchObject({
      level: 'note',
      found: 'can be given',
      means: expect.stringContaining('it can connect to the sockets of root'),
      advice: expect.stringContaining('isolation: { user: { first: '),
    });
  }
});

test('limits that cannot be kept are noted, once for each reason', async () => {
  const limits = [
    { name: 'memoryBytes', why, change },
    { name: 'cpus', why, change },
    { name: 'swapBytes', why: 'this kernel has no memory.swap.max', change: 'swapaccount=1' },
    { name: 'openFiles', by: 'rlimit' },
  ];
  const findings = await findingsOf({ facts: { confinement: { limits } } });
  expect(findings.filter(({ check }) => check === 'limits')).toMatchObject([
    { level: 'ok', found: 'openFiles', means: 'kept by limits of each process' },
    { level: 'note', found: 'memoryBytes, cpus cannot be kept', means: why, advice: change },
    { level: 'note', found: 'swapBytes cannot be kept', advice: 'swapaccount=1' },
  ]);
});

test('promises of walls that are missing are named with what to change', async () => {
  const missing = [
    { name: 'signals', why: 'Landlock is version 4', change: 'use Linux 6.12' },
    { name: 'abstract-sockets', why: 'Landlock is version 4', change: 'use Linux 6.12' },
  ];
  const users = { name: 'user', why: 'it lacks CAP_SETUID', change: 'start it as root' };
  const findings = await findingsOf({ facts: { confinement: { landlock: 4, missing, users } } });
  expect(findings.filter(({ check }) => check.startsWith('isolation'))).toMatchObject([
    {
      level: 'note',
      found: 'signals, abstract-sockets cannot be kept',
      means: 'Landlock is version 4',
      advice: 'use Linux 6.12',
    },
    { check: 'isolation.user', level: 'note', means: 'it lacks CAP_SETUID' },
  ]);
});

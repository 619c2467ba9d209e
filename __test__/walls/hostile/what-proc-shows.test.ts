// What /proc has of other processes: no tenant within walls reads or enters it.
import { expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { inEachWorld } from '../../support/walls/world.ts';

/** A kernel may be built without. */
const KEYS = '/proc/sysrq-trigger';
const MEMORY = '/proc/kcore';

inEachWorld((world) => {
  const victim = () => `/proc/${world().tenants.victim.pid}`;

  test("a neighbour's environment cannot be read", () =>
    world().refuses('read', [`${victim()}/environ`], 'EACCES'));

  test("a neighbour's environment cannot be read through its threads", () =>
    world().refuses('read', [`${victim()}/task/${world().tenants.victim.pid}/environ`], 'EACCES'));

  test.skipIf(!existsSync(MEMORY))('the memory of the kernel cannot be read', () =>
    world().refuses('openToRead', [MEMORY], ['EACCES', 'EPERM'], {
      control: { 'as an ordinary user': ['EACCES', 'EPERM'] },
    }),
  );

  test('it cannot make itself the last to be killed without memory, or the first to run', async () => {
    // That takes a privilege which root in a container may not have.
    const control = ['ok', 'EACCES'];
    await world().refuses('append', ['/proc/self/oom_score_adj', '-1'], 'EACCES', { control });
    await world().refuses('append', ['/proc/self/autogroup', '-1'], ['EACCES', 'ENOENT'], {
      control: ['ok', 'EPERM', 'EACCES', 'ENOENT', 'EAGAIN'],
    });
  });

  test("the map of a neighbour's memory cannot be read", () =>
    world().refuses('read', [`${victim()}/maps`], 'EACCES'));

  test("a neighbour's memory cannot be read through its file", async () => {
    const { tenants, addressInVictim } = world();
    const [pid, { secret }] = [tenants.victim.pid, tenants.victim];
    await world().refuses('readMemoryFile', [pid, addressInVictim, secret.length], 'EACCES');
    const seen = await world().try(
      'control',
      'readMemoryFile',
      pid,
      addressInVictim,
      secret.length,
    );
    expect(seen.detail).toBe(secret);
  });

  test("a neighbour's memory cannot be changed through its file", async () => {
    const { tenants, addressInVictim } = world();
    const { pid, secret } = tenants.victim;
    await world().refuses('overwriteMemoryFile', [pid, addressInVictim, secret], 'EACCES');
  });

  test("a neighbour's file cannot be reached through its working directory", () =>
    world().refuses('read', [`${victim()}/cwd/secret.txt`], 'EACCES'));

  test("a neighbour's file cannot be reached through its root directory", () =>
    world().refuses('read', [`${victim()}/root${world().file('victim')}`], 'EACCES'));

  test('a file that a neighbour has open cannot be opened through its descriptor', async () => {
    const { detail } = await world().try('victim', 'holdOpen', world().file('victim'));
    await world().refuses('read', [`${victim()}/fd/${detail}`], 'EACCES');
  });

  test("what a neighbour's descriptors are of cannot be read", () =>
    world().refuses('readLink', [`${victim()}/fd/1`], 'EACCES'));

  test("nothing can be printed through a neighbour's output", () =>
    world().refuses('printByPath', [`${victim()}/fd/1`, 'not mine'], 'EACCES'));

  test('the system call that a neighbour waits in cannot be read', () =>
    world().refuses('read', [`${victim()}/syscall`], ['EACCES', 'EPERM', 'ENOENT'], {
      control: ['ok', 'ENOENT', 'EPERM'],
    }));

  test('the environment of the host cannot be read', async () => {
    const file = `/proc/${world().host.pid}/environ`;
    await world().refuses('read', [file], 'EACCES');
  });

  test('the memory of the host cannot be read through its file', async () => {
    const { host, addressInHost, hostSecret } = world();
    const args = [host.pid, addressInHost, hostSecret.length] as const;
    await world().refuses('readMemoryFile', [...args], 'EACCES');
    const seen = await world().try('control', 'readMemoryFile', ...args);
    expect(seen.detail).toBe(hostSecret);
  });

  test('a file of the host cannot be reached through its working directory', () =>
    world().refuses('list', [`/proc/${world().host.pid}/cwd/`], 'EACCES'));

  // They can be inspected by no process of their user, walls or not; by root they can.
  const control = { 'as an ordinary user': 'EACCES' };

  test('the environment of the warden cannot be read', () =>
    world().refuses('read', [`/proc/${world().warden}/environ`], 'EACCES', { control }));

  test("what the warden's descriptors are of cannot be read", () =>
    world().refuses('readLink', [`/proc/${world().warden}/fd/0`], 'EACCES', { control }));

  test('the memory of its own keeper cannot be opened', () =>
    world().refuses('read', [`/proc/${world().keeperOf('attacker')}/environ`], 'EACCES', {
      control,
    }));

  test('the settings of the kernel cannot be changed', () =>
    world().refuses('append', ['/proc/sys/kernel/core_pattern'], 'EACCES', { control }));

  test.skipIf(!existsSync(KEYS))('the machine cannot be controlled by its keys', () =>
    world().refuses('append', [KEYS], 'EACCES', { control }),
  );

  test('a neighbour cannot be made the first to be killed without memory', () =>
    world().refuses('append', [`${victim()}/oom_score_adj`, '1000'], 'EACCES', {
      control: { 'as an ordinary user': ['ok', 'EACCES'] },
    }));

  test('the walls of a tenant see its own processes', async () => {
    for (const file of ['environ', 'maps', 'status', 'fd/0', 'cwd/secret.txt']) {
      const { outcome } = await world().try('attacker', 'read', `/proc/self/${file}`);
      expect([file, outcome]).toEqual([file, 'ok']);
    }
  });
});

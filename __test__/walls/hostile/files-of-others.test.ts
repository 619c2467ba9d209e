// Whatever its mode, a tenant within walls opens no file of its neighbours or of the host, by
// whichever way. The control is a tenant without walls, which opens them all.
import { expect, test } from 'bun:test';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { landlock, SINCE } from '../../support/walls/kernel.ts';
import { inEachWorld } from '../../support/walls/world.ts';

/** With a user each the file is not the other's; not every file system, and kernel, knows them. */
const CHANGES = ['ok', 'EPERM', 'EACCES', 'ENOTTY', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL'];

inEachWorld((world) => {
  const secret = () => world().file('victim');

  test("a neighbour's file cannot be read by its path", async () => {
    await world().refuses('read', [secret()], 'EACCES');
    expect((await world().try('control', 'read', secret())).detail).toBe(
      world().tenants.victim.secret,
    );
  });

  test("a neighbour's file cannot be read by a path from its own directory", () =>
    world().refuses('read', ['../victim/secret.txt'], 'EACCES'));

  test("a neighbour's file cannot be read through a symbolic link", () =>
    world().refuses('readThroughSymbolicLink', [secret()], 'EACCES'));

  test("a neighbour's file cannot be given a second name", () =>
    world().refuses('readThroughHardLink', [secret()], ['EACCES', 'EXDEV', 'EPERM']));

  test("a neighbour's file cannot be moved to its own directory", () =>
    world().refuses('takeAway', [secret()], ['EACCES', 'EXDEV']));

  test("a neighbour's file cannot be read by its handle", () =>
    world().refuses('readByHandle', [secret(), '.'], 'EPERM', {
      control: { 'as an ordinary user': 'EPERM' },
    }));

  test("a neighbour's file cannot be read through the root of a process", () =>
    world().refuses('read', [`/proc/self/root${secret()}`], 'EACCES'));

  test("a neighbour's file cannot be written to", () =>
    world().refuses('openToWrite', [secret()], 'EACCES'));

  test("a neighbour's file cannot be appended to", () =>
    world().refuses('append', [secret()], 'EACCES'));

  test.skipIf(landlock < SINCE.truncate)("a neighbour's file cannot be truncated", () =>
    world().refuses('truncateToItsSize', [secret()], 'EACCES'),
  );

  test("a neighbour's file cannot be removed", async () => {
    writeFileSync(world().file('victim', 'to-be-removed'), '');
    await world().refuses('create', [world().file('victim', 'made')], 'EACCES');
    expect(readFileSync(world().file('victim', 'to-be-removed'), 'utf8')).toBe('');
  });

  test("no directory can be made in a neighbour's", () =>
    world().refuses('createAndRemoveDirectory', [world().file('victim', 'made')], 'EACCES'));

  test("a neighbour's directory cannot be listed", () =>
    world().refuses('list', [world().tenants.victim.directory], 'EACCES'));

  test("a neighbour's program cannot be run", async () => {
    const program = world().file('victim', 'program');
    writeFileSync(program, '#!/bin/sh\necho ran\n', { mode: 0o777 });
    await world().refuses('run', [[program]], 'EACCES');
  });

  test('the names of its neighbours cannot be listed', () =>
    world().refuses('list', [world().root], 'EACCES'));

  test('no tenant can be made beside it', () =>
    world().refuses('createAndRemoveDirectory', [`${world().root}/made`], 'EACCES'));

  test('a file of the host cannot be read', () =>
    world().refuses('read', [world().hostFile], 'EACCES'));

  test('the program of the host, which is beside the tenants, cannot be read', async () => {
    const program = new URL('../../support/processes/hosts/walls.mjs', import.meta.url).pathname;
    await world().refuses('read', [program], 'EACCES');
  });

  test('shared temporary directories can be neither listed nor written to', async () => {
    for (const directory of ['/tmp', '/var/tmp']) {
      await world().refuses('list', [directory], 'EACCES');
      const made = `${directory}/abs-${crypto.randomUUID()}`;
      await world().refuses('create', [made], 'EACCES');
    }
  });

  test("a neighbour's private temporary directory cannot be listed", async () => {
    const environment = (await world().try('victim', 'environment')).detail;
    const directory = JSON.parse(environment).TMPDIR;
    expect(directory).toBeString();
    await world().refuses('list', [directory], 'EACCES');
  });

  test('shared memory cannot be listed, and none can be made by name', async () => {
    await world().refuses('list', ['/dev/shm'], 'EACCES');
    await world().refuses('create', [`/dev/shm/abs-${crypto.randomUUID()}`], 'EACCES');
  });

  test('the passwords of the machine cannot be read', () =>
    world().refuses('read', ['/etc/shadow'], 'EACCES', {
      control: { 'as an ordinary user': 'EACCES' },
    }));

  test('the homes of users cannot be listed', async () => {
    await world().refuses('list', ['/home'], 'EACCES');
    await world().refuses('list', ['/root'], 'EACCES', {
      control: { 'as an ordinary user': 'EACCES' },
    });
  });

  test('the programs of the system cannot be changed', async () => {
    const control = { 'as an ordinary user': ['EACCES', 'ETXTBSY'] };
    await world().refuses('openToWrite', ['/etc/hosts'], 'EACCES', { control });
    await world().refuses('create', [`/usr/bin/abs-${crypto.randomUUID()}`], 'EACCES', { control });
  });

  test('a file of the system cannot be kept from being opened by others', async () => {
    const own = world().file('attacker', 'calls.ts');
    await world().refuses('lease', [own], ['EPERM', 'EINVAL', 'EACCES']);
  });

  test('what may be read cannot be made different by its flags', async () => {
    const own = world().file('attacker', 'calls.ts');
    const unknown = ['ENOTTY', 'EOPNOTSUPP'];
    await world().refuses('setFlags', [own], unknown, { control: CHANGES });
    await world().refuses('setFlagsByPath', [secret()], 'EPERM', { control: CHANGES });
  });

  test('no directory can be kept from being changed by others', () =>
    world().refuses('delegate', ['.'], 'EPERM', { control: ['ok', 'EINVAL', 'EAGAIN'] }));

  test("a neighbour's file cannot be read from within its directory", async () => {
    const { directory } = world().tenants.victim;
    await world().refuses('readFromWithin', [directory, 'secret.txt'], 'EACCES', {
      isChilds: true,
    });
  });

  test("a neighbour's file cannot be read by what is open without being opened", () =>
    world().refuses('readByPlace', [world().tenants.victim.directory, 'secret.txt'], 'EACCES'));

  test('its own directory and its temporary one can be used', async () => {
    mkdirSync(world().file('attacker', 'below'), { recursive: true });
    for (const key of ['attacker', 'control'] as const) {
      const { detail } = await world().try(key, 'environment');
      for (const directory of [world().tenants[key].directory, JSON.parse(detail).TMPDIR]) {
        if (directory === undefined) continue;
        const { outcome } = await world().try(key, 'create', `${directory}/made`);
        expect([key, directory, outcome]).toEqual([key, directory, 'ok']);
      }
    }
  });
});

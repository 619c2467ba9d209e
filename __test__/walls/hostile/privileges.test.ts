// A tenant within walls has no privileges, also where it is root, and gets none by a program.
import { expect, test } from 'bun:test';
import { chownSync, chmodSync, copyFileSync, existsSync } from 'node:fs';
import { inEachWorld, isRoot, type Key, type World } from '../../support/walls/world.ts';

/** It prints whom it runs as. */
const PROGRAM = '/usr/bin/id';

const field = (status: string, name: string) =>
  new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(status)?.[1]?.trim();
const statusOf = async (world: World, key: Key) => (await world.try(key, 'status')).detail;

inEachWorld((world, name) => {
  const isOrdinary = name === 'as an ordinary user';

  test('it has no capabilities', async () => {
    const [walled, free] = [
      await statusOf(world(), 'attacker'),
      await statusOf(world(), 'control'),
    ];
    // An ordinary user cannot lower the bounding set, and gains nothing by it: `NoNewPrivs`.
    const bounding = isOrdinary ? [] : ['CapBnd'];
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb', ...bounding]) {
      expect([set, field(walled, set)]).toEqual([set, '0000000000000000']);
    }
    expect(field(free, 'CapBnd')).not.toBe('0000000000000000');
  });

  test('it can take no capability', () =>
    world().refuses('takeCapabilities', [], 'EPERM', {
      control: ['ok', 'EPERM'],
      isChilds: true,
    }));

  test('its programs get no privileges', async () => {
    expect(field(await statusOf(world(), 'attacker'), 'NoNewPrivs')).toBe('1');
    expect(field(await statusOf(world(), 'control'), 'NoNewPrivs')).toBe('0');
  });

  test('its system calls are filtered', async () => {
    expect(field(await statusOf(world(), 'attacker'), 'Seccomp')).toBe('2');
    expect(field(await statusOf(world(), 'control'), 'Seccomp')).toBe('0');
  });

  test.skipIf(!isRoot || !existsSync(PROGRAM))(
    'a program with the mark of another user does not make it that user',
    async () => {
      // The mark is of root's, or for tenants that are root of some other user's.
      const owner = name === 'as root' ? 65_534 : 0;
      for (const key of ['attacker', 'control'] as const) {
        const program = world().file(key, 'marked');
        copyFileSync(PROGRAM, program);
        chownSync(program, owner, owner);
        chmodSync(program, 0o6755);
      }
      const user = async (key: Key) =>
        (await world().try(key, 'run', [world().file(key, 'marked'), '-u'])).detail;
      expect(await user('attacker')).toBe((await idOf(world(), 'attacker')).uid);
      if (name !== 'with a user each') expect(await user('control')).toBe(`${owner}`);
    },
  );

  test('it cannot become another user', () =>
    world().refuses('becomeUser', [65_534], 'EPERM', {
      control: { 'as an ordinary user': 'EPERM' },
      isChilds: true,
    }));

  test('it has its own user, and no groups beside', async () => {
    const { uid, gid } = await idOf(world(), 'attacker');
    const groups = field(await statusOf(world(), 'attacker'), 'Groups') ?? '';
    if (name === 'with a user each') {
      expect(Number(uid)).toBeGreaterThanOrEqual(48_300);
      expect(uid).not.toBe((await idOf(world(), 'victim')).uid);
      expect([gid, groups]).toEqual([uid, gid]);
    } else {
      expect([uid, gid]).toEqual(Object.values(await idOf(world(), 'control')));
      if (isOrdinary && isRoot) expect(groups).toBe('');
    }
  });

  test('files that it makes are not readable by everybody', async () => {
    const umask = async (key: Key) => field(await statusOf(world(), key), 'Umask');
    expect(await umask('attacker')).toBe('0027');
    expect(await umask('control')).toBe('0022');
  });

  test('it has no descriptors but its standard streams', async () => {
    const first = (await world().try('attacker', 'run', ['ls', '/proc/self/fd'])).detail;
    expect(first.split('\n').filter((descriptor) => Number(descriptor) > 3)).toEqual([]);
  });

  test('it is killed before its keeper and the host when memory runs out', async () => {
    const score = async (pid: number) =>
      Number(await Bun.file(`/proc/${pid}/oom_score_adj`).text());
    const attacker = await score(world().tenants.attacker.pid);
    expect(attacker).toBeGreaterThan(await score(world().host.pid));
    expect(attacker).toBeGreaterThan(await score(world().keeperOf('attacker')));
    expect(attacker).toBeGreaterThan(await score(world().warden));
  });
});

async function idOf(world: World, key: Key) {
  const [uid = '', gid = ''] = (await world.try(key, 'userAndGroup')).detail.split(' ');
  return { uid, gid };
}

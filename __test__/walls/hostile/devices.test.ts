// Of devices a tenant within walls has those that programs need, and makes none.
import { expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { inEachWorld } from '../../support/walls/world.ts';

const disk = ['/dev/loop0', '/dev/vda', '/dev/sda', '/dev/nvme0n1'].find((path) =>
  existsSync(path),
);
/** A loop device that nothing is behind. */
const NO_DISK = { 'as root': ['ok', 'ENXIO'], 'with a user each': ['ok', 'ENXIO'] };

inEachWorld((world) => {
  const control = { 'as an ordinary user': ['EACCES', 'EPERM'] };

  test('the log of the kernel cannot be read', () =>
    world().refuses('openToWrite', ['/dev/kmsg'], 'EACCES', { control }));

  test.skipIf(disk === undefined)('a disk cannot be opened', () =>
    world().refuses('openToWrite', [disk!], 'EACCES', { control: { ...control, ...NO_DISK } }),
  );

  test('no device file can be made', () =>
    world().refuses('makeDevice', [], ['EPERM', 'EACCES'], { control }));

  test('no terminal can be made', () => world().refuses('openToWrite', ['/dev/ptmx'], 'EACCES'));

  test('nothing can be typed into a terminal', async () => {
    await world().refuses('typeIntoTerminal', [], 'EPERM', { control: ['ENOTTY', 'EIO', 'ok'] });
    await world().refuses('selectInTerminal', [], 'EPERM', { control: ['ENOTTY', 'EIO'] });
  });

  test('the devices that programs need can be used', async () => {
    for (const name of ['null', 'zero', 'full', 'random', 'urandom']) {
      const { outcome } = await world().try('attacker', 'openToWrite', `/dev/${name}`);
      expect([name, outcome]).toEqual([name, 'ok']);
    }
  });

  test('standard output can be opened by its path', async () => {
    for (const path of ['/dev/stdout', '/dev/stderr', '/proc/self/fd/1']) {
      const { outcome, detail } = await world().try('attacker', 'printByPath', path, `by ${path}`);
      expect([path, outcome, detail]).toEqual([path, 'ok', '']);
    }
  });
});

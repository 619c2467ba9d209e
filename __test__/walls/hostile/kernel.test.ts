// What the kernel does for administrators and debuggers is refused to a tenant within walls, also
// where it is root. The control shows that without walls it is not, or why it is not.
import { expect, test } from 'bun:test';
import { inEachWorld } from '../../support/walls/world.ts';

const REFUSED = ['EPERM', 'EACCES'];
const ordinary = (control: string | string[]) => ({
  control: { 'as an ordinary user': control },
});
/** With arguments that make no sense: what is not refused fails for another reason. */
const nonsense = (control: string | string[]) => ({
  control: { 'as root': control, 'with a user each': control, 'as an ordinary user': 'EPERM' },
});

inEachWorld((world, name) => {
  test('no file system can be mounted', () =>
    world().refuses('mount', [world().file('attacker', '')], REFUSED, {
      ...ordinary('EPERM'),
    }));

  test('no file system can be unmounted', () =>
    world().refuses('unmount', ['/proc/there-is-none'], 'EPERM', {
      control: ['ENOENT', 'EPERM'],
    }));

  test('no file system can be opened to be mounted', () =>
    world().refuses('openFileSystem', [], REFUSED, ordinary('EPERM')));

  test('no mount can be copied', () =>
    world().refuses('copyMount', [], REFUSED, ordinary('EPERM')));

  test('the root directory cannot be changed', async () => {
    await world().refuses('changeRoot', [], REFUSED, ordinary('EPERM'));
    await world().refuses('pivotRoot', [], REFUSED, nonsense(['EINVAL', 'EBUSY']));
  });

  test('no namespace can be made', async () => {
    const options = { isChilds: true, ...ordinary('EPERM') };
    await world().refuses('newMountNamespace', [], REFUSED, options);
    await world().refuses('newNameNamespace', [], REFUSED, options);
    await world().refuses('newMessageNamespace', [], REFUSED, options);
  });

  test.skipIf(!Bun.which('unshare'))(
    'no namespace of users can be made, which would give all capabilities in it',
    async () => {
      const command = ['unshare', '--user', '--map-root-user', 'true'];
      const attempt = await world().try('attacker', 'run', command);
      expect(attempt.detail).toContain('Operation not permitted');
      const control = await world().try('control', 'run', command);
      expect(control).toEqual({ outcome: 'ok', detail: '' });
    },
  );

  test("a neighbour's namespaces cannot be entered", () =>
    world().refuses(
      'enterNamespace',
      [world().tenants.victim.pid, 'net'],
      REFUSED,
      ordinary('EPERM'),
    ));

  test('the call that makes processes with new namespaces unseen is not there', () =>
    world().refuses('cloneByStructure', [], 'ENOSYS', { control: ['EINVAL', 'E2BIG'] }));

  test('no program can be loaded into the kernel', () =>
    world().refuses('loadProgramIntoKernel', [], 'EPERM', ordinary(['ok', 'EPERM'])));

  test('no ring for calls that filters do not see can be made', () =>
    world().refuses('makeRing', [], 'ENOSYS', { control: ['ok', 'EPERM'] }));

  test('no page fault can be held up', () =>
    world().refuses('handlePageFaults', [], 'EPERM', { control: ['ok', 'ENOSYS'] }));

  test('no file system can be watched as a whole', () =>
    world().refuses('watchFileSystem', [], 'EPERM', { control: ['ok', 'ENOSYS'] }));

  test('no key of the kernel can be found, added or asked for', async () => {
    await world().refuses('findKeyring', [], 'EPERM', { control: ['ok', 'ENOSYS'] });
    await world().refuses('addKey', [], 'EPERM', { control: ['ok', 'ENOSYS'] });
    await world().refuses('requestKey', [], 'EPERM', { control: ['ENOKEY', 'ENOENT', 'ENOSYS'] });
  });

  test('nothing can be shared by a number or a name that is no path, and so outlive it', async () => {
    for (const attempt of ['shareMemory', 'shareSemaphores', 'shareMessages'] as const) {
      await world().refuses(attempt, [], 'ENOSYS', { control: ['ok', 'ENOSYS'] });
    }
    await world().refuses('useSharedMemory', [0], 'ENOSYS', {
      control: ['ok', 'EINVAL', 'EACCES', 'EIDRM', 'ENOSYS'],
    });
    const queue = `abs-${crypto.randomUUID()}`;
    await world().refuses('shareQueue', [queue], 'ENOSYS', { control: ['ok', 'ENOSYS'] });
  });

  test('no performance counter can be opened', () =>
    world().refuses('measurePerformance', [0], REFUSED, ordinary(['ok', 'EACCES', 'EPERM'])));

  test('no module can be loaded or removed', async () => {
    const control = ['EFAULT', 'ENOEXEC', 'EBADF', 'ENOENT', 'EINVAL', 'ENOSYS'];
    for (const attempt of ['loadModule', 'loadModuleFile', 'removeModule'] as const) {
      await world().refuses(attempt, [], 'EPERM', {
        control: { ...nonsense(control).control, 'as an ordinary user': ['EPERM', 'ENOSYS'] },
      });
    }
  });

  test('no other kernel can be loaded, and the machine not restarted', async () => {
    await world().refuses('loadKernel', [], 'EPERM', {
      control: {
        ...nonsense(['EINVAL', 'ENOSYS']).control,
        'as an ordinary user': ['EPERM', 'ENOSYS'],
      },
    });
    await world().refuses('restartMachine', [], 'EPERM', nonsense('EINVAL'));
  });

  test('swap cannot be changed', async () => {
    await world().refuses('addSwap', [], 'EPERM', nonsense(['ENOENT', 'ENOSYS']));
    await world().refuses('removeSwap', [], 'EPERM', nonsense(['ENOENT', 'ENOSYS']));
  });

  test('name and clock of the machine cannot be changed', async () => {
    await world().refuses('renameMachine', [], 'EPERM', ordinary('EPERM'));
    await world().refuses('setClock', [], 'EPERM', { control: 'EINVAL' });
  });

  test('accounting and quotas cannot be changed', async () => {
    await world().refuses('stopAccounting', [], 'EPERM', nonsense(['ENOENT', 'ENOSYS']));
    await world().refuses('setQuota', [], 'EPERM', {
      control: ['EINVAL', 'ENODEV', 'ENOENT', 'EFAULT', 'EPERM', 'ENOSYS', 'ENOTBLK'],
    });
  });

  test('the messages of the kernel cannot be read', () =>
    world().refuses('readKernelLog', [], 'EPERM', ordinary(['ok', 'EPERM'])));

  test.skipIf(process.arch !== 'x64')(
    'programs of other machines, whose calls have other numbers, are ended',
    async () => {
      const control = ['ok', 'ENOSYS', 'SIGSEGV', 'SIGILL', 'SIGTRAP'];
      await world().refuses('callAsX32', [], 'SIGSYS', { control, isChilds: true });
      await world().refuses('callAs32Bits', [], 'SIGSYS', { control, isChilds: true });
    },
  );

  test('control groups cannot be changed, nor left', async () => {
    const options = { control: { 'as an ordinary user': ['EACCES', 'ENOENT', 'EROFS'] } };
    const file = '/sys/fs/cgroup/unified/cgroup.procs';
    const other = '/sys/fs/cgroup/cgroup.procs';
    await world().refuses('openToWrite', [await groupFile(file, other)], 'EACCES', options);
    expect(name).toBeString();
  });
});

const groupFile = async (...files: string[]) => {
  for (const file of files) if (await Bun.file(file).exists()) return file;
  return files[0] ?? '';
};

/** What a tenant may try with the files of others. */
import * as fs from 'node:fs';
import { AT_FDCWD, call, halfWords, withDescriptor } from './calls.ts';

const HANDLE_BYTES = 128;
const [F_SETLEASE, F_SETDELEG, F_RDLCK, F_WRLCK, F_UNLCK] = [1024, 1040, 0, 1, 2];
const [FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, O_PATH] = [0x8008_6601, 0x4008_6602, 0o10000000];
const IN_MODIFY = 2;
/** Major number 1, minor number 3. */
const NULL_DEVICE = (1 << 8) | 3;

let made = 0;
const unusedName = () => `made-${process.pid}-${++made}`;

/** Uses a new name in the tenant's own directory, and removes what is there afterwards. */
function withName<T>(use: (name: string) => T): T {
  const name = unusedName();
  try {
    return use(name);
  } finally {
    fs.rmSync(name, { force: true });
  }
}

export const files = {
  read: (path: string) => fs.readFileSync(path, 'latin1').slice(0, 2_000),
  readLink: (path: string) => fs.readlinkSync(path),
  list: (path: string) => fs.readdirSync(path).join(' '),
  stat: (path: string) => String(fs.statSync(path).size),
  append: (path: string, text = '') => fs.appendFileSync(path, text),
  openToRead: (path: string) => fs.closeSync(fs.openSync(path, 'r')),
  openToWrite: (path: string) => fs.closeSync(fs.openSync(path, 'r+')),
  truncateToItsSize: (path: string) => call('truncate', path, fs.statSync(path).size),

  create(path: string) {
    fs.writeFileSync(path, 'mine', { flag: 'wx' });
    fs.unlinkSync(path);
  },

  createAndRemoveDirectory(path: string) {
    fs.mkdirSync(path);
    fs.rmdirSync(path);
  },

  /** The file is back afterwards. */
  takeAway: (path: string) =>
    withName((name) => {
      fs.renameSync(path, name);
      fs.renameSync(name, path);
    }),

  readThroughSymbolicLink: (path: string) =>
    withName((name) => {
      fs.symlinkSync(path, name);
      return files.read(name);
    }),

  readThroughHardLink: (path: string) =>
    withName((name) => {
      fs.linkSync(path, name);
      return files.read(name);
    }),

  /** By the handle that the file system knows it by, with no path at all. */
  readByHandle(path: string, mountPoint: string) {
    const handle = new Uint8Array(8 + HANDLE_BYTES);
    handle.set(halfWords(HANDLE_BYTES));
    call('name_to_handle_at', AT_FDCWD, path, handle, new Uint8Array(8), 0);
    const mount = fs.openSync(mountPoint, 'r');
    return withDescriptor(mount, () =>
      withDescriptor(call('open_by_handle_at', mount, handle, 0), (descriptor) =>
        fs.readFileSync(descriptor, 'latin1'),
      ),
    );
  },

  /** Its mode stays as it is. */
  changeMode: (path: string) => fs.chmodSync(path, fs.statSync(path).mode),
  touch: (path: string) => fs.utimesSync(path, new Date(), new Date()),
  setAttribute: (path: string) => call('setxattr', path, 'user.mine', 'x', 1, 0),

  watch: (path: string) =>
    withDescriptor(call('inotify_init1', 0), (descriptor) =>
      call('inotify_add_watch', descriptor, path, IN_MODIFY),
    ),

  /** Whoever opens the file now waits until the lease is given up. */
  lease: (path: string) =>
    withDescriptor(fs.openSync(path, 'r'), (descriptor) => {
      call('fcntl', descriptor, F_SETLEASE, F_WRLCK);
      call('fcntl', descriptor, F_SETLEASE, F_UNLCK);
    }),

  /** The flags of a file that is only open for reading; they stay as they are. */
  setFlags: (path: string) =>
    withDescriptor(fs.openSync(path, 'r'), (descriptor) => {
      const flags = new Uint8Array(8);
      call('ioctl', descriptor, FS_IOC_GETFLAGS, flags);
      call('ioctl', descriptor, FS_IOC_SETFLAGS, flags);
    }),
  /** The same by a path, and of nothing. */
  setFlagsByPath: (path: string) => call('file_setattr', AT_FDCWD, path, new Uint8Array(24), 0, 0),

  /** Whoever changes the directory now waits until the delegation is given up. */
  delegate: (path: string) =>
    withDescriptor(fs.openSync(path, 'r'), (descriptor) => {
      call('fcntl', descriptor, F_SETDELEG, halfWords(0, F_RDLCK, 0, 0));
      call('fcntl', descriptor, F_SETDELEG, halfWords(0, F_UNLCK, 0, 0));
    }),

  /** By a name in the directory that it has entered. To be done by a child, as it stays there. */
  readFromWithin(directory: string, name: string) {
    call('chdir', directory);
    return files.read(name);
  },
  /** By a descriptor of the directory, or of the file, that may be had without opening it. */
  readByPlace: (directory: string, name: string) =>
    withDescriptor(call('openat', AT_FDCWD, directory, O_PATH, 0), (place) =>
      withDescriptor(call('openat', place, name, O_PATH, 0), (file) =>
        files.read(`/proc/self/fd/${file}`),
      ),
    ),

  /** A device file of its own for `/dev/null`. */
  makeDevice: () =>
    withName((name) => {
      call('mknodat', AT_FDCWD, name, fs.constants.S_IFCHR | 0o600, NULL_DEVICE);
      fs.closeSync(fs.openSync(name, 'r'));
    }),

  /** So many directories in each other. To be done by a child, as it stays in the last. */
  nest(directory: string, depth: number, name: string) {
    call('chdir', directory);
    for (let level = 0; level < depth; level++) {
      call('mkdirat', AT_FDCWD, name, 0o755);
      call('chdir', name);
    }
  },

  /** Through a name of standard output that is a path. */
  printByPath: (path: string, text: string) => fs.appendFileSync(path, `${text}\n`),
};

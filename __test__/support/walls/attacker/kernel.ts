/** What a tenant may ask of the kernel that no web app needs. */
import { CFunction, type Pointer, toArrayBuffer } from 'bun:ffi';
import * as fs from 'node:fs';
import { AT_FDCWD, call, callNumber, halfWords, numberOf, withDescriptor, words } from './calls.ts';

const [CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC] = [0x20000, 0x4000000, 0x8000000];
const CLONE_ARGUMENTS_BYTES = 88;
const PERF_ATTRIBUTES_BYTES = 128;
const [PERF_TYPE_SOFTWARE, BPF_MAP_CREATE, BPF_MAP_TYPE_ARRAY] = [1, 0, 2];
const [PROT_ALL, MAP_PRIVATE_ANONYMOUS] = [7, 0x22];
const X32_BIT = 0x4000_0000;
const CAPABILITY_VERSION = 0x2008_0522;
const UFFD_USER_MODE_ONLY = 1;
const FAN_REPORT_FID = 0x200;
const OPEN_TREE_CLONE = 1;
const [IPC_PRIVATE, IPC_CREAT, IPC_RMID] = [0, 0o1000, 0];
const SYSLOG_READ_ALL = 3;
const [TIOCSTI, TIOCLINUX] = [0x5412, 0x541c];
const [OWN_SESSION_KEYRING, OWN_PROCESS_KEYRING] = [-3, -2];
/** `mov eax, 20; int 0x80; ret`: getpid by the calls of 32-bit programs. */
const GETPID_OF_32_BITS = Uint8Array.of(0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3);

/** `clone(CLONE_PARENT | SIGCHLD)`; in the new process `pause()` again and again. */
const SIBLING_OF_X64 = Uint8Array.of(
  ...[0xb8, 56, 0, 0, 0, 0xbf, 0x11, 0x80, 0, 0, 0x31, 0xf6, 0x31, 0xd2, 0x4d, 0x31, 0xd2],
  ...[0x4d, 0x31, 0xc0, 0x0f, 0x05, 0x85, 0xc0, 0x74, 1, 0xc3],
  ...[0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7],
);

/** Calls a function in machine code. */
function execute(code: Uint8Array): number {
  const address = call('mmap', 0, 4096, PROT_ALL, MAP_PRIVATE_ANONYMOUS, -1, 0) as Pointer;
  new Uint8Array(toArrayBuffer(address, 0, 4096)).set(code);
  return CFunction({ ptr: address, args: [], returns: 'i32' })();
}

const closing = (descriptor: number) => withDescriptor(descriptor, () => {});

/** Each has no effect, or one that is undone at once, where it is not refused. */
export const kernel = {
  mount(path: string) {
    call('mount', 'none', path, 'tmpfs', 0, 0);
    call('umount2', path, 0);
  },
  unmount: (path: string) => call('umount2', path, 0),
  openFileSystem: () => closing(call('fsopen', 'tmpfs', 0)),
  copyMount: () => closing(call('open_tree', AT_FDCWD, '.', OPEN_TREE_CLONE)),
  changeRoot: () => call('chroot', '/'),
  pivotRoot: () => call('pivot_root', '.', '.'),

  newMountNamespace: () => call('unshare', CLONE_NEWNS),
  newNameNamespace: () => call('unshare', CLONE_NEWUTS),
  newMessageNamespace: () => call('unshare', CLONE_NEWIPC),
  enterNamespace: (pid: number, name: string) =>
    withDescriptor(fs.openSync(`/proc/${pid}/ns/${name}`, 'r'), (descriptor) =>
      call('setns', descriptor, 0),
    ),
  cloneByStructure: () => call('clone3', new Uint8Array(CLONE_ARGUMENTS_BYTES), 1),

  loadProgramIntoKernel: () =>
    closing(
      call(
        'bpf',
        BPF_MAP_CREATE,
        halfWords(BPF_MAP_TYPE_ARRAY, 4, 4, 1, ...Array(28).fill(0)),
        128,
      ),
    ),
  makeRing: () => closing(call('io_uring_setup', 1, new Uint8Array(120))),
  handlePageFaults: () => closing(call('userfaultfd', UFFD_USER_MODE_ONLY)),
  watchFileSystem: () => closing(call('fanotify_init', FAN_REPORT_FID, 0)),
  measurePerformance(pid: number) {
    const attributes = Buffer.concat(
      [halfWords(PERF_TYPE_SOFTWARE, PERF_ATTRIBUTES_BYTES)],
      PERF_ATTRIBUTES_BYTES,
    );
    closing(call('perf_event_open', attributes, pid, -1, -1, 0));
  },

  findKeyring: () => call('keyctl', 0, OWN_SESSION_KEYRING, 1),
  addKey: () => call('add_key', 'user', 'mine', 'x', 1, OWN_PROCESS_KEYRING),
  requestKey: () => call('request_key', 'user', 'of nobody', 0, 0),

  loadModule: () => call('init_module', 0, 0, ''),
  loadModuleFile: () => call('finit_module', -1, '', 0),
  removeModule: () => call('delete_module', 'there-is-none', 0),
  loadKernel: () => call('kexec_load', 0, 1_000, 0, 0),
  restartMachine: () => call('reboot', 0, 0, 0, 0),
  addSwap: () => call('swapon', 'there-is-none', 0),
  removeSwap: () => call('swapoff', 'there-is-none'),
  renameMachine: () => {
    const name = fs.readFileSync('/proc/sys/kernel/hostname', 'utf8').trim();
    call('sethostname', name, name.length);
  },
  setClock: () => call('clock_settime', 0, words(0, -1)),
  stopAccounting: () => call('acct', 'there-is-none'),
  setQuota: () => call('quotactl', 0, 0, 0, 0),
  readKernelLog: () => call('syslog', SYSLOG_READ_ALL, new Uint8Array(64), 64),

  typeIntoTerminal: () => call('ioctl', 0, TIOCSTI, 'x'),
  selectInTerminal: () => call('ioctl', 0, TIOCLINUX, 'x'),

  /** To be done by a child: the kernel may end whoever tries. */
  callAsX32: () => String(callNumber(X32_BIT | numberOf('getpriority'), [0, 0])),
  callAs32Bits: () => String(execute(GETPID_OF_32_BITS)),

  /** A process on x64 that is no child of its own, but one of its keeper's. */
  startSibling: () => String(execute(SIBLING_OF_X64)),

  /** What processes find by a number. Each is removed again. */
  shareMemory() {
    const id = call('shmget', IPC_PRIVATE, 4096, IPC_CREAT | 0o600);
    call('shmctl', id, IPC_RMID, 0);
  },
  /** By a number of a neighbour's, which is guessed. */
  useSharedMemory: (id: number) => call('shmat', id, 0, 0),
  shareSemaphores: () => call('semctl', call('semget', IPC_PRIVATE, 1, 0o600), 0, IPC_RMID, 0),
  shareMessages: () => call('msgctl', call('msgget', IPC_PRIVATE, 0o600), IPC_RMID, 0),
  /** Queues that processes find by a name, which is no path. */
  shareQueue(name: string) {
    const flags = fs.constants.O_CREAT | fs.constants.O_RDWR;
    closing(call('mq_open', name, flags, 0o600, words(0, 1, 1, 0, 0, 0, 0, 0)));
    call('mq_unlink', name);
  },

  takeCapabilities: () =>
    call('capset', halfWords(CAPABILITY_VERSION, 0), halfWords(-1, -1, 0, -1, -1, 0)),
  status: () => fs.readFileSync('/proc/self/status', 'utf8'),
};

/** System calls by their names, whatever a library would make of them. */
import { dlopen, ptr, read } from 'bun:ffi';
import { constants } from 'node:os';

const libc = dlopen('libc.so.6', {
  syscall: { args: ['i64', 'i64', 'i64', 'i64', 'i64', 'i64', 'i64'], returns: 'i64' },
  __errno_location: { args: [], returns: 'ptr' },
}).symbols;

/** The numbers on x64 and on arm64. */
const NUMBERS = {
  accept: [43, 202],
  acct: [163, 89],
  add_key: [248, 217],
  bind: [49, 200],
  bpf: [321, 280],
  capset: [126, 91],
  chdir: [80, 49],
  chroot: [161, 51],
  clock_settime: [227, 112],
  clone3: [435, 435],
  close: [3, 57],
  connect: [42, 203],
  delete_module: [176, 106],
  dup: [32, 23],
  exit_group: [231, 94],
  fanotify_init: [300, 262],
  fcntl: [72, 25],
  file_setattr: [469, 469],
  finit_module: [313, 273],
  fsopen: [430, 430],
  fspick: [433, 433],
  get_robust_list: [274, 100],
  getpriority: [140, 141],
  inotify_add_watch: [254, 27],
  inotify_init1: [294, 26],
  init_module: [175, 105],
  io_uring_setup: [425, 425],
  ioctl: [16, 29],
  ioprio_set: [251, 30],
  kcmp: [312, 272],
  kexec_load: [246, 104],
  keyctl: [250, 219],
  kill: [62, 129],
  listen: [50, 201],
  memfd_create: [319, 279],
  mkdirat: [258, 34],
  mknodat: [259, 33],
  mmap: [9, 222],
  mount: [165, 40],
  mount_setattr: [442, 442],
  move_mount: [429, 429],
  mprotect: [10, 226],
  mq_open: [240, 180],
  mq_unlink: [241, 181],
  msgctl: [71, 187],
  msgget: [68, 186],
  name_to_handle_at: [303, 264],
  open_by_handle_at: [304, 265],
  open_tree: [428, 428],
  openat: [257, 56],
  perf_event_open: [298, 241],
  pidfd_getfd: [438, 438],
  pidfd_open: [434, 434],
  pidfd_send_signal: [424, 424],
  pipe2: [293, 59],
  pivot_root: [155, 41],
  prlimit64: [302, 261],
  prctl: [157, 167],
  process_madvise: [440, 440],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  ptrace: [101, 117],
  quotactl: [179, 60],
  reboot: [169, 142],
  request_key: [249, 218],
  rt_sigqueueinfo: [129, 138],
  sched_getaffinity: [204, 123],
  sched_setaffinity: [203, 122],
  sched_setattr: [314, 274],
  sched_setparam: [142, 118],
  sched_setscheduler: [144, 119],
  semctl: [66, 191],
  semget: [64, 190],
  sendmsg: [46, 211],
  sendto: [44, 206],
  setdomainname: [171, 162],
  setgroups: [116, 159],
  sethostname: [170, 161],
  setns: [308, 268],
  setpriority: [141, 140],
  setresuid: [117, 147],
  setsockopt: [54, 208],
  settimeofday: [164, 170],
  setxattr: [188, 5],
  shmat: [30, 196],
  shmctl: [31, 195],
  shmget: [29, 194],
  socket: [41, 198],
  swapoff: [168, 225],
  swapon: [167, 224],
  syslog: [103, 116],
  tgkill: [234, 131],
  tkill: [200, 130],
  truncate: [76, 45],
  umount2: [166, 39],
  unshare: [272, 97],
  userfaultfd: [323, 282],
  write: [1, 64],
} as const;

export type CallName = keyof typeof NUMBERS;
/** A number, bytes whose address is passed, or a text whose address is passed. */
export type Argument = number | bigint | Uint8Array | string;

const ERRNO_NAMES = new Map(
  Object.entries(constants.errno).map(([name, number]) => [number as number, name]),
);
// Those that `constants` does not have.
ERRNO_NAMES.set(15, 'ENOTBLK').set(94, 'ESOCKTNOSUPPORT').set(126, 'ENOKEY');
const errno = libc.__errno_location();

/** A system call that failed; `code` is `EPERM`, as those of `node:fs` have it. */
class CallError extends Error {
  readonly code: string;

  constructor(call: string, number: number) {
    const code = ERRNO_NAMES.get(number) ?? `errno ${number}`;
    super(`${call}: ${code}`);
    this.code = code;
  }
}

export const numberOf = (name: CallName) => NUMBERS[name][process.arch === 'arm64' ? 1 : 0];

/** @throws CallError */
export const call = (name: CallName, ...args: Argument[]) => callNumber(numberOf(name), args, name);

export function callNumber(number: number, args: Argument[], name = `call ${number}`): number {
  // The buffers are kept in a variable until the call has returned.
  const buffers = args.map((arg) => (typeof arg === 'string' ? Buffer.from(`${arg}\0`) : arg));
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = buffers.map((arg) =>
    arg instanceof Uint8Array ? ptr(arg) : arg,
  );
  const answer = libc.syscall(number, a, b, c, d, e, f);
  if (Number(answer) === -1) throw new CallError(name, read.i32(errno!, 0));
  return Number(answer);
}

/** Words of 64 bits in memory; bytes among them are stood for by their address. */
export function words(...values: (number | bigint | Uint8Array)[]): Uint8Array {
  const numbers = values.map((value) => BigInt(value instanceof Uint8Array ? ptr(value) : value));
  return new Uint8Array(BigUint64Array.from(numbers.map((n) => BigInt.asUintN(64, n))).buffer);
}

/** The same with 32 bits. */
export const halfWords = (...values: number[]) => new Uint8Array(Int32Array.from(values).buffer);

/** Calls the function with a descriptor, and closes this in any case. */
export function withDescriptor<T>(descriptor: number, use: (descriptor: number) => T): T {
  try {
    return use(descriptor);
  } finally {
    call('close', descriptor);
  }
}

export const AT_FDCWD = -100;
export { ptr };

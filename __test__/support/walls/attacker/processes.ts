/** What a tenant may try with the processes of others, and what shows that it has worked. */
import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { call, callNumber, halfWords, ptr, withDescriptor, words } from './calls.ts';

/** Ignored by programs that do not ask for it. */
const SIGURG = 23;
const SI_QUEUE = -1;
const SIGINFO_BYTES = 128;
const PTRACE_SEIZE = 0x4206;
const [F_SETFL, F_SETOWN, F_SETSIG, O_ASYNC, O_NONBLOCK] = [4, 8, 10, 0o20000, 0o4000];
const [F_SETOWN_EX, F_OWNER_TID] = [15, 0];
const PR_SET_CHILD_SUBREAPER = 36;
const [RLIMIT_NOFILE, MADV_COLD, IOPRIO_WHO_PROCESS, KCMP_FILE] = [7, 20, 1, 0];
const CPU_MASK_BYTES = 128;
const SCHEDULING_BYTES = 48;

const seen = { SIGURG: 0, SIGWINCH: 0 };
process.on('SIGURG', () => seen.SIGURG++);
process.on('SIGWINCH', () => seen.SIGWINCH++);

/** What is kept from being collected. */
const held: Uint8Array[] = [];

const withPidfd = <T>(pid: number, use: (pidfd: number) => T) =>
  withDescriptor(call('pidfd_open', pid, 0), use);

/** Makes a pipe readable whose reading end has an owner. */
function signalByDescriptor(own: (reader: number) => void) {
  const pipe = new Int32Array(2);
  call('pipe2', new Uint8Array(pipe.buffer), O_NONBLOCK);
  const [reader = 0, writer = 0] = pipe;
  withDescriptor(writer, () =>
    withDescriptor(reader, () => {
      own(reader);
      call('fcntl', reader, F_SETSIG, SIGURG);
      call('fcntl', reader, F_SETFL, O_NONBLOCK | O_ASYNC);
      call('write', writer, 'x', 1);
    }),
  );
}

/** One piece of memory, as the calls for the memory of others take it. */
const piece = (address: number | bigint | Uint8Array, length: number) => words(address, length);

export const processes = {
  signalsSeen: () => JSON.stringify(seen),
  environment: () => JSON.stringify(process.env),
  userAndGroup: () => `${process.getuid?.()} ${process.getgid?.()}`,
  /** The pid of a child, which stays. */
  startChild: () => String(Bun.spawn(['sleep', '1000'], { stdio: [null, null, null] }).pid),
  /** Keeps a text in memory and answers with its address, or keeps a file open. */
  holdInMemory(text: string) {
    const bytes = Buffer.from(text);
    held.push(bytes);
    return String(ptr(bytes));
  },
  /** Its orphans become its children, and not its keeper's. */
  adoptOrphans: () => call('prctl', PR_SET_CHILD_SUBREAPER, 1),

  holdOpen: (path: string) => String(openSync(path, 'r')),
  textAt: (text: string, index: number) => String(held[index]?.toString() === text),

  signal: (pid: number, signal = SIGURG) => call('kill', pid, signal),
  signalGroup: (pid: number) => call('kill', -pid, SIGURG),
  signalThread: (pid: number) => call('tgkill', pid, pid, SIGURG),
  signalThreadAlone: (pid: number) => call('tkill', pid, SIGURG),
  signalByPidfd: (pid: number) =>
    withPidfd(pid, (pidfd) => call('pidfd_send_signal', pidfd, SIGURG, 0, 0)),
  signalWithValue(pid: number) {
    const info = new Uint8Array(SIGINFO_BYTES);
    info.set(halfWords(SIGURG, 0, SI_QUEUE));
    call('rt_sigqueueinfo', pid, SIGURG, info);
  },
  /** The kernel sends it to the owner of a descriptor that becomes readable. */
  signalAsOwner: (pid: number) =>
    signalByDescriptor((reader) => void call('fcntl', reader, F_SETOWN, pid)),

  /** By the thread, or the group. */
  signalAsOwningThread: (pid: number) =>
    signalByDescriptor((reader) => {
      call('fcntl', reader, F_SETOWN_EX, halfWords(F_OWNER_TID, pid));
    }),
  signalAsOwningGroup: (pid: number) =>
    signalByDescriptor((reader) => {
      call('fcntl', reader, F_SETOWN, -pid);
    }),

  /** To be done by a child: what it traces is let go at its end. */
  trace: (pid: number) => call('ptrace', PTRACE_SEIZE, pid, 0, 0),

  readMemory(pid: number, address: string, length: number) {
    const into = Buffer.alloc(length);
    const pieces = [piece(into, length), 1, piece(BigInt(address), length), 1] as const;
    call('process_vm_readv', pid, ...pieces, 0);
    return into.toString();
  },
  overwriteMemory(pid: number, address: string, text: string) {
    const from = Buffer.from(text);
    const pieces = [piece(from, from.length), 1, piece(BigInt(address), from.length), 1] as const;
    call('process_vm_writev', pid, ...pieces, 0);
  },
  readMemoryFile(pid: number, address: string, length: number) {
    const file = openSync(`/proc/${pid}/mem`, 'r');
    const into = Buffer.alloc(length);
    withDescriptor(file, () => readSync(file, into, 0, length, Number(address)));
    return into.toString();
  },
  overwriteMemoryFile(pid: number, address: string, text: string) {
    const file = openSync(`/proc/${pid}/mem`, 'r+');
    withDescriptor(file, () => writeSync(file, Buffer.from(text), 0, text.length, Number(address)));
  },
  takeDescriptor: (pid: number, descriptor: number) =>
    withPidfd(pid, (pidfd) =>
      withDescriptor(call('pidfd_getfd', pidfd, descriptor, 0), (taken) =>
        readFileSync(`/proc/self/fd/${taken}`, 'utf8'),
      ),
    ),
  compareDescriptors: (pid: number) => call('kcmp', process.pid, pid, KCMP_FILE, 0, 0),
  readRobustList: (pid: number) =>
    call('get_robust_list', pid, new Uint8Array(8), new Uint8Array(8)),

  /** Each of these leaves everything as it is. */
  setLimits(pid: number) {
    const limits = new Uint8Array(16);
    call('prlimit64', pid, RLIMIT_NOFILE, 0, limits);
    call('prlimit64', pid, RLIMIT_NOFILE, limits, 0);
  },
  readLimits: (pid: number) => call('prlimit64', pid, RLIMIT_NOFILE, 0, new Uint8Array(16)),
  setPriority: (pid: number) => call('setpriority', 0, pid, 20 - call('getpriority', 0, pid)),
  setCores(pid: number) {
    const mask = new Uint8Array(CPU_MASK_BYTES);
    const length = call('sched_getaffinity', pid, CPU_MASK_BYTES, mask);
    call('sched_setaffinity', pid, length, mask);
  },
  setScheduler: (pid: number) => call('sched_setscheduler', pid, 0, halfWords(0)),
  setSchedulerParameters: (pid: number) => call('sched_setparam', pid, halfWords(0)),
  setSchedulerAttributes: (pid: number) =>
    call('sched_setattr', pid, Buffer.concat([halfWords(SCHEDULING_BYTES)], SCHEDULING_BYTES), 0),
  setDiskPriority: (pid: number) => call('ioprio_set', IOPRIO_WHO_PROCESS, pid, 0),
  callMemoryCold: (pid: number, address: string) =>
    withPidfd(pid, (pidfd) => {
      const page = BigInt(address) & ~0xfffn;
      call('process_madvise', pidfd, piece(page, 4096), 1, MADV_COLD, 0);
    }),

  /** Raises its own priority above all others. */
  raisePriority: () => call('setpriority', 0, 0, -20),
  becomeRealTime: () => call('sched_setscheduler', 0, 1, halfWords(1)),
  becomeUser: (uid: number) => call('setresuid', uid, uid, uid),
  run(command: string[]) {
    const { stdout, stderr, exitCode, signalCode } = Bun.spawnSync(command);
    if (exitCode !== 0) throw new Error(`${signalCode ?? exitCode}: ${stderr.toString().trim()}`);
    return stdout.toString().trim();
  },
  callNumber: (number: number) => String(callNumber(number, [])),
  closeAgain: (descriptor: number) => closeSync(descriptor),
};

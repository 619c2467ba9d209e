/** What a tenant may try to use up, and what it may leave behind. */
import { dlopen, type Pointer } from 'bun:ffi';
import * as fs from 'node:fs';
import { call, halfWords, withDescriptor } from './calls.ts';

const BLOCK_BYTES = 1 << 20;
const [PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS] = [3, 0x22];
const F_SETPIPE_SZ = 1031;
const [AF_UNIX, SOCK_STREAM_NONBLOCK, SOL_SOCKET, SO_SNDBUF] = [1, 0o4001, 1, 7];
const SOCKET_BUFFER_BYTES = 1 << 20;

/** What is kept from being collected. */
const held: unknown[] = [];
const watches: number[] = [];

/** Calls it until it fails or has been called so often; how often it went well, and the error. */
async function repeat(most: number, make: (index: number) => unknown) {
  let count = 0;
  let error = '';
  for (; count < most; count++) {
    try {
      held.push(await make(count));
    } catch (reason) {
      error = (reason as { code?: string }).code ?? String(reason);
      break;
    }
  }
  return { count, error };
}

/** Fills a pipe or socket that nobody reads. */
function fill(descriptor: number): void {
  const block = Buffer.alloc(BLOCK_BYTES, 1);
  try {
    for (;;) fs.writeSync(descriptor, block);
  } catch (error) {
    if ((error as { code?: string }).code !== 'EAGAIN') throw error;
  }
}

/** Opens and closes again what it has opened, so that the tenant goes on. */
async function openMany(most: number, open: () => number) {
  const opened: number[] = [];
  try {
    return JSON.stringify(await repeat(most, () => opened.push(open())));
  } finally {
    opened.forEach((descriptor) => call('close', descriptor));
  }
}

export const usage = {
  /** Of JavaScript's heap. */
  fillHeap: (bytes: number) =>
    repeat(bytes / BLOCK_BYTES, () => 'x'.repeat(BLOCK_BYTES - 1).split('')),

  fillMapping: (bytes: number) =>
    repeat(bytes / BLOCK_BYTES, () => {
      const at = call('mmap', 0, BLOCK_BYTES, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
      libc.memset(at as Pointer, 1, BLOCK_BYTES);
    }),

  /** A file that is in no directory, in memory. */
  fillMemoryFile: (bytes: number) => {
    const file = call('memfd_create', 'mine', 0);
    const block = Buffer.alloc(BLOCK_BYTES, 1);
    return repeat(bytes / BLOCK_BYTES, () => fs.writeSync(file, block));
  },

  fillPipes: (count: number) =>
    repeat(count, () => {
      const pipe = new Int32Array(2);
      call('pipe2', new Uint8Array(pipe.buffer), fs.constants.O_NONBLOCK);
      try {
        call('fcntl', pipe[1] ?? -1, F_SETPIPE_SZ, BLOCK_BYTES);
      } catch {
        // It may have had as many large ones as a user may have.
      }
      fill(pipe[1] ?? -1);
    }),

  fillSockets: (count: number) =>
    repeat(count, () => {
      const pair = new Int32Array(2);
      if (libc.socketpair(AF_UNIX, SOCK_STREAM_NONBLOCK, 0, new Uint8Array(pair.buffer)) !== 0) {
        throw Object.assign(new Error('no socket pair'), { code: 'no socket pair' });
      }
      for (const socket of pair) {
        call('setsockopt', socket, SOL_SOCKET, SO_SNDBUF, halfWords(SOCKET_BUFFER_BYTES), 4);
        fill(socket);
      }
    }),

  /** By writing a file and reading it again: the kernel keeps its pages for as long as it likes. */
  async fillPageCache(path: string, bytes: number) {
    const block = Buffer.alloc(BLOCK_BYTES, 1);
    const file = fs.openSync(path, 'w+');
    try {
      for (let at = 0; at < bytes; at += BLOCK_BYTES) fs.writeSync(file, block);
      for (let at = 0; at < bytes; at += BLOCK_BYTES) fs.readSync(file, block, 0, block.length, at);
    } finally {
      fs.closeSync(file);
      fs.rmSync(path, { force: true });
    }
  },

  async startProcesses(most: number) {
    const done = await repeat(most, () =>
      Bun.spawn(['sleep', '1000'], { stdio: [null, null, null] }),
    );
    return JSON.stringify(done);
  },

  /** Threads that wait for ever. */
  async startThreads(most: number) {
    const done = await repeat(most, () => {
      const error = libc.pthread_create(new Uint8Array(8), null, pause, null);
      if (error !== 0) throw Object.assign(new Error('no thread'), { code: `errno ${error}` });
    });
    return JSON.stringify(done);
  },

  openDescriptors: (most: number) => openMany(most, () => fs.openSync('/dev/null', 'r')),
  /** They stay open, until `closeWatches`. */
  openWatches: async (most: number) =>
    JSON.stringify(await repeat(most, () => watches.push(call('inotify_init1', 0)))),
  closeWatches: () => watches.splice(0).forEach((watch) => call('close', watch)),

  writeFile(path: string, bytes: number) {
    const block = Buffer.alloc(BLOCK_BYTES, 1);
    return withDescriptor(fs.openSync(path, 'w'), (file) => {
      for (let at = 0; at < bytes;)
        at += fs.writeSync(file, block, 0, Math.min(block.length, bytes - at));
    });
  },
  fileSize: (path: string) => String(fs.statSync(path).size),

  /** Processes that use all the CPU time that they get. */
  spin(count: number) {
    for (let index = 0; index < count; index++) {
      held.push(Bun.spawn(['sh', '-c', 'while :; do :; done'], { stdio: [null, null, null] }));
    }
  },

  /** Processes of which each starts its successor and ends. */
  startRunners() {
    const script = 'f() { (sleep 0; f) & }; f; f; f; f';
    Bun.spawnSync(['sh', '-c', script], { stdio: [null, null, null] });
  },

  /** Leaves its tree in every way there is; all that it starts is named `sleep`. */
  scatter() {
    const script = `
      trap '' TERM HUP
      sleep 1000 &
      setsid sleep 1000 &
      (setsid sh -c 'trap "" TERM HUP; sleep 1000 & exit 0' &)
      (cd / && env -i setsid sh -c '/bin/sleep 1000 & exit 0' &)
      (setsid setsid setsid sleep 1000 &)
    `;
    Bun.spawnSync(['sh', '-c', script], { stdio: [null, null, null] });
  },
};

const { symbols: libc } = dlopen('libc.so.6', {
  memset: { args: ['ptr', 'i32', 'u64'], returns: 'ptr' },
  pthread_create: { args: ['ptr', 'ptr', 'ptr', 'ptr'], returns: 'i32' },
  socketpair: { args: ['i32', 'i32', 'i32', 'ptr'], returns: 'i32' },
});
const pause = (
  dlopen('libc.so.6', { pause: { args: [], returns: 'i32' } }).symbols.pause as unknown as {
    ptr: Pointer;
  }
).ptr;

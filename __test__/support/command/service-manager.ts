// What a service manager does: a datagram socket that it is told on. Neither Bun nor Node has these.
import { dlopen, FFIType, ptr } from 'bun:ffi';
import { until } from '../processes/until.ts';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const MSG_DONTWAIT = 0x40;

const { symbols: libc } = dlopen('libc.so.6', {
  socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  bind: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
  recv: { args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i64 },
  close: { args: [FFIType.i32], returns: FFIType.i32 },
});

export class ServiceManager implements Disposable {
  readonly #fd: number;
  /** All that it has been told. */
  readonly told: string[] = [];

  constructor(path: string) {
    const address = Buffer.alloc(110);
    address.writeUInt16LE(AF_UNIX, 0);
    address.write(path, 2);
    this.#fd = libc.socket(AF_UNIX, SOCK_DGRAM, 0);
    if (libc.bind(this.#fd, ptr(address), 110) !== 0) throw new Error(`cannot bind ${path}`);
  }

  async hears(pattern: RegExp): Promise<string> {
    const bytes = Buffer.alloc(4096);
    return until(`${pattern}`, () => {
      const length = Number(libc.recv(this.#fd, ptr(bytes), bytes.length, MSG_DONTWAIT));
      if (length > 0) this.told.push(bytes.toString('utf8', 0, length));
      return this.told.find((state) => pattern.test(state));
    });
  }

  [Symbol.dispose](): void {
    libc.close(this.#fd);
  }
}

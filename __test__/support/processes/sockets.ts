/** Whether a port is used, or free again: nobody has a socket on it, and it can be bound without SO_REUSEADDR. */
import { dlopen } from 'bun:ffi';
import { readFileSync } from 'node:fs';
import { until } from './until.ts';

const AF_INET = 2;
const SOCK_STREAM_CLOEXEC = 1 | 0o2000000;
const TIME_WAIT = '06';

const libc = dlopen('libc.so.6', {
  socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
  bind: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  close: { args: ['i32'], returns: 'i32' },
}).symbols;

function canBind(port: number): boolean {
  const address = new Uint8Array(16);
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_INET, true);
  view.setUint16(2, port);
  view.setUint32(4, 0x7f000001);
  const socket = libc.socket(AF_INET, SOCK_STREAM_CLOEXEC, 0);
  try {
    return libc.bind(socket, address, address.length) === 0;
  } finally {
    libc.close(socket);
  }
}

/** The states of the sockets whose own port it is. */
function statesOn(port: number): string[] {
  const own = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = ['tcp', 'tcp6'].flatMap((file) =>
    readFileSync(`/proc/net/${file}`, 'utf8').split('\n').slice(1),
  );
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = '']) => local.endsWith(own))
    .map(([, , , state = '']) => state);
}

/** What a closed connection leaves behind in the kernel belongs to nobody and ends by itself. */
const isUnused = (port: number) => statesOn(port).every((state) => state === TIME_WAIT);

const isFree = (port: number) => isUnused(port) && (statesOn(port).length > 0 || canBind(port));

/** Whether nobody listens on a port, nor is connected to it: a runtime holds the last ports that were released. */
export const untilUnused = (port: number) => until(`port ${port} is unused`, () => isUnused(port));

export const untilFree = (port: number) => until(`port ${port} is free`, () => isFree(port));

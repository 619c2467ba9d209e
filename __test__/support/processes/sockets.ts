/** Whether a port is free: no socket is on it, and it can be bound without SO_REUSEADDR. */
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

/** Whether no process has a socket on the port. Closed connections in TIME_WAIT belong to none. */
const isUnused = (port: number) => statesOn(port).every((state) => state === TIME_WAIT);

const isFree = (port: number) => isUnused(port) && (statesOn(port).length > 0 || canBind(port));

/**
 * Resolves once no process listens on the port or is connected to it; a runtime may still hold it.
 */
export const untilUnused = (port: number) => until(`port ${port} is unused`, () => isUnused(port));

export const untilFree = (port: number) => until(`port ${port} is free`, () => isFree(port));

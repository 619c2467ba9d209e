/** What a tenant may try with sockets. */
import { openSync } from 'node:fs';
import { call, halfWords, withDescriptor, words } from './calls.ts';

export const [AF_UNIX, AF_INET, AF_INET6] = [1, 2, 10];
const [SOCK_STREAM, SOCK_DGRAM, SOCK_NONBLOCK] = [1, 2, 0o4000];
const [SOL_SOCKET, SO_REUSEADDR, SO_REUSEPORT] = [1, 2, 15];
const [IPPROTO_IP, IP_LOCAL_PORT_RANGE, IPPROTO_IPV6, IPV6_V6ONLY] = [0, 51, 41, 26];
const [IPPROTO_TCP, TCP_ULP] = [6, 31];
const SCM_RIGHTS = 1;
const MSG_FASTOPEN = 0x2000_0000;

/** Sockets that are to stay open. */
const kept: number[] = [];

/** An IPv4 or IPv6 address with a port. */
function internet(host: string, port: number): Uint8Array {
  const isV6 = host.includes(':');
  const address = Buffer.alloc(isV6 ? 28 : 16);
  address.writeUInt16LE(isV6 ? AF_INET6 : AF_INET, 0);
  address.writeUInt16BE(port, 2);
  if (!isV6) address.set(host.split('.').map(Number), 4);
  else if (host === '::1') address[23] = 1;
  return address;
}

/** The address of a unix socket; a name that begins with `@` is an abstract one. */
function unix(name: string): Uint8Array {
  const text = Buffer.from(name.startsWith('@') ? `\0${name.slice(1)}` : `${name}\0`);
  return Buffer.concat([Uint8Array.of(AF_UNIX, 0), text]);
}

const withSocket = <T>(family: number, type: number, use: (socket: number) => T) =>
  withDescriptor(call('socket', family, type, 0), use);

const familyOf = (host: string) => (host.includes(':') ? AF_INET6 : AF_INET);

function bindTo(socket: number, host: string, port: number): void {
  for (const option of [SO_REUSEADDR, SO_REUSEPORT]) {
    call('setsockopt', socket, SOL_SOCKET, option, halfWords(1), 4);
  }
  const address = internet(host, port);
  call('bind', socket, address, address.length);
}

export const sockets = {
  openSocket: (family: number, type: number, protocol: number) =>
    withDescriptor(call('socket', family, type, protocol), () => {}),

  /** The families of which a socket of any common type can be opened. */
  socketFamilies() {
    const canOpen = (family: number, type: number) => {
      try {
        withDescriptor(call('socket', family, type, 0), () => {});
        return true;
      } catch {
        return false;
      }
    };
    const families = Array.from({ length: 64 }, (_, family) => family);
    // Stream, datagram, raw, seqpacket and the obsolete packet type.
    return families.filter((f) => [1, 2, 3, 5, 10].some((type) => canOpen(f, type))).join(' ');
  },

  listenOn: (host: string, port: number) =>
    withSocket(familyOf(host), SOCK_STREAM, (socket) => {
      bindTo(socket, host, port);
      call('listen', socket, 1);
    }),

  /**
   * On a port of its choice by `listen` alone, without `bind`: the range that the kernel chooses
   * from has no other.
   */
  listenWithinRange: (family: number, port: number) =>
    withSocket(family, SOCK_STREAM, (socket) => {
      if (family === AF_INET6)
        call('setsockopt', socket, IPPROTO_IPV6, IPV6_V6ONLY, halfWords(1), 4);
      const range = halfWords((port << 16) | port);
      call('setsockopt', socket, IPPROTO_IP, IP_LOCAL_PORT_RANGE, range, 4);
      call('listen', socket, 1);
    }),

  /** The kernel chooses a port. */
  listenAnywhere: () => withSocket(AF_INET, SOCK_STREAM, (socket) => call('listen', socket, 1)),

  /** With an address of no family, which the kernel takes for one of IPv4. */
  listenWithoutFamily: (port: number) =>
    withSocket(AF_INET, SOCK_STREAM, (socket) => {
      const address = internet('0.0.0.0', port);
      address.fill(0, 0, 2);
      call('setsockopt', socket, SOL_SOCKET, SO_REUSEPORT, halfWords(1), 4);
      call('bind', socket, address, address.length);
      call('listen', socket, 1);
    }),

  /** Has a protocol of the kernel's take the connection over. */
  putAbove: (protocol: string) =>
    withSocket(AF_INET, SOCK_STREAM, (socket) =>
      call('setsockopt', socket, IPPROTO_TCP, TCP_ULP, protocol, protocol.length),
    ),

  bindDatagrams: (host: string, port: number) =>
    withSocket(familyOf(host), SOCK_DGRAM, (socket) => bindTo(socket, host, port)),

  sendDatagram: (host: string, port: number) =>
    withSocket(familyOf(host), SOCK_DGRAM, (socket) => {
      const address = internet(host, port);
      call('sendto', socket, 'x', 1, 0, address, address.length);
    }),

  connectTo: (host: string, port: number) =>
    withSocket(familyOf(host), SOCK_STREAM, (socket) => {
      const address = internet(host, port);
      call('connect', socket, address, address.length);
    }),

  /** Connects and sends with one call. */
  sendWithFastOpen: (host: string, port: number) =>
    withSocket(familyOf(host), SOCK_STREAM, (socket) => {
      const address = internet(host, port);
      call('sendto', socket, 'x', 1, MSG_FASTOPEN, address, address.length);
    }),

  /** Stays open; `@name` is an abstract one. */
  receiveAt(name: string) {
    for (const type of [SOCK_STREAM, SOCK_DGRAM]) {
      const socket = call('socket', AF_UNIX, type | SOCK_NONBLOCK, 0);
      const address = unix(type === SOCK_STREAM ? name : `${name}.dgram`);
      call('bind', socket, address, address.length);
      if (type === SOCK_STREAM) call('listen', socket, 8);
      kept.push(socket);
    }
  },

  connectToUnix: (name: string) =>
    withSocket(AF_UNIX, SOCK_STREAM, (socket) => {
      const address = unix(name);
      call('connect', socket, address, address.length);
    }),

  sendToUnix: (name: string) =>
    withSocket(AF_UNIX, SOCK_DGRAM, (socket) => {
      const address = unix(`${name}.dgram`);
      call('sendto', socket, 'x', 1, 0, address, address.length);
    }),

  /** Passes a descriptor of a file of its own. */
  passDescriptor: (name: string, file: string) =>
    withSocket(AF_UNIX, SOCK_DGRAM, (socket) =>
      withDescriptor(openSync(file, 'r'), (descriptor) => {
        const address = unix(`${name}.dgram`);
        const bytes = words(Buffer.from('x'), 1);
        const control = Buffer.concat([
          words(20),
          halfWords(SOL_SOCKET, SCM_RIGHTS, descriptor, 0),
        ]);
        call('sendmsg', socket, words(address, address.length, bytes, 1, control, 24, 0), 0);
      }),
    ),
};

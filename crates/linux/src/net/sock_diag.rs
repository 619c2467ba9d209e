//! The kernel's own list of sockets, asked for through netlink's `sock_diag`.

use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

/// A UDP socket that is connected has this state, too.
pub const TCP_ESTABLISHED: u8 = 1;
/// Of UDP: anybody may send to the socket.
pub const UDP_UNCONNECTED: u8 = 7;
pub const TCP_SYN_RECV: u8 = 3;
pub const TCP_LISTEN: u8 = 10;
/// Asks for every socket that fits, in as many messages as it takes.
pub const DUMP: u16 = 0x300;

/// Room for one answer of the kernel, which is shorter.
const ANSWER_BYTES: usize = 64 << 10;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const REQUEST_BYTES: usize = 72;
const HEADER_BYTES: usize = 16;
/// The size of an `inet_diag_msg`, which attributes follow.
const SOCKET_BYTES: usize = 72;
/// The attribute that tells whether a listening IPv6 socket takes IPv6 connections only.
const INET_DIAG_SKV6ONLY: u16 = 11;
/// The attribute with the number of the control group that the socket was made in.
const INET_DIAG_CGROUP_ID: u16 = 21;

/// The protocol of sockets, by its number.
#[derive(Clone, Copy)]
pub enum Protocol {
    Tcp = 6,
    Udp = 17,
}

/// Which sockets are asked for.
pub struct Question {
    pub protocol: Protocol,
    pub family: AddressFamily,
    pub flags: u16,
    /// One bit for each TCP state.
    pub states: u32,
    /// Without `DUMP`: the one socket that a packet to this address and port would reach. With it:
    /// all sockets of this port, at any address.
    pub bound_to: Option<(IpAddr, u16)>,
}

/// Opens a netlink socket for `sock_diag`. Errors: the kernel or a sandbox has none.
pub fn open(flags: SocketFlags) -> io::Result<OwnedFd> {
    let flags = flags | SocketFlags::CLOEXEC;
    Ok(socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(netlink::SOCK_DIAG))?)
}

/// Sends a question; the answer is received from the same socket.
pub fn ask(socket: &OwnedFd, question: &Question) -> io::Result<()> {
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(socket, &request(question), SendFlags::empty(), &kernel)?;
    Ok(())
}

/// Asks for the one socket that is this end of a connection.
pub fn ask_of_connection(
    socket: &OwnedFd,
    local: SocketAddr,
    remote: SocketAddr,
) -> io::Result<()> {
    let family = if local.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let bound_to = Some((local.ip(), local.port()));
    let question =
        Question { protocol: Protocol::Tcp, family, flags: 0, states: u32::MAX, bound_to };
    let mut bytes = request(&question);
    let mut put =
        |offset: usize, value: &[u8]| bytes[offset..offset + value.len()].copy_from_slice(value);
    put(HEADER_BYTES + 10, &remote.port().to_be_bytes());
    match remote.ip() {
        IpAddr::V4(address) => put(HEADER_BYTES + 28, &address.octets()),
        IpAddr::V6(address) => put(HEADER_BYTES + 28, &address.octets()),
    }
    sendto(socket, &bytes, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    Ok(())
}

/// Encodes a `nlmsghdr` and an `inet_diag_req_v2`.
fn request(question: &Question) -> [u8; REQUEST_BYTES] {
    let mut bytes = [0u8; REQUEST_BYTES];
    let mut put =
        |offset: usize, value: &[u8]| bytes[offset..offset + value.len()].copy_from_slice(value);
    put(0, &(REQUEST_BYTES as u32).to_ne_bytes());
    put(4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(6, &(NLM_F_REQUEST | question.flags).to_ne_bytes());
    put(HEADER_BYTES, &[question.family.as_raw() as u8, question.protocol as u8]);
    put(HEADER_BYTES + 4, &question.states.to_ne_bytes());
    if let Some((address, port)) = question.bound_to {
        put(HEADER_BYTES + 8, &port.to_be_bytes());
        match address {
            IpAddr::V4(address) => put(HEADER_BYTES + 12, &address.octets()),
            IpAddr::V6(address) => put(HEADER_BYTES + 12, &address.octets()),
        }
    }
    put(REQUEST_BYTES - 8, &[0xff; 8]); // no cookie
    bytes
}

const UNIX_REQUEST_BYTES: usize = HEADER_BYTES + 24;
/// The size of a `unix_diag_msg`, which attributes follow.
const UNIX_SOCKET_BYTES: usize = 16;
/// Asks for the other end of each socket, and the attribute that tells it.
const UDIAG_SHOW_PEER: u32 = 4;
const UNIX_DIAG_PEER: u16 = 2;

/// Asks for all connected unix sockets, as [`ask`] does for others.
pub fn ask_for_unix(socket: &OwnedFd) -> io::Result<()> {
    let mut bytes = [0u8; UNIX_REQUEST_BYTES];
    let mut put =
        |offset: usize, value: &[u8]| bytes[offset..offset + value.len()].copy_from_slice(value);
    put(0, &(UNIX_REQUEST_BYTES as u32).to_ne_bytes());
    put(4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(6, &(NLM_F_REQUEST | DUMP).to_ne_bytes());
    put(HEADER_BYTES, &[AddressFamily::UNIX.as_raw() as u8]);
    put(HEADER_BYTES + 4, &(1u32 << TCP_ESTABLISHED).to_ne_bytes());
    put(HEADER_BYTES + 12, &UDIAG_SHOW_PEER.to_ne_bytes());
    put(UNIX_REQUEST_BYTES - 8, &[0xff; 8]); // no cookie
    sendto(socket, &bytes, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    Ok(())
}

/// One end of a connection by a unix socket that keeps what is sent in order; datagrams are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixConnection {
    pub inode: u64,
    pub peer: u64,
}

/// One message of an answer.
pub struct Message<'a> {
    kind: u16,
    body: &'a [u8],
}

/// The fields of a socket that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    pub state: u8,
    pub local_port: u16,
    pub address: IpAddr,
    /// 0 if no process has the socket open, as with a connection that has not been accepted.
    pub inode: u64,
    /// The socket takes IPv6 connections only.
    pub is_ipv6_only: bool,
    /// The control group of version 2 that it was made in, by the number of its directory. `None`
    /// from kernels before 5.7, and from those without such groups.
    pub group: Option<u64>,
}

/// One end of a connection. IPv4-mapped IPv6 addresses are given as IPv4 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub inode: u64,
}

impl Message<'_> {
    /// Decodes an `inet_diag_msg`: family, state, timer, retransmits, local and remote port in
    /// network order, local and remote address, and so on, the inode last.
    pub fn socket(&self) -> Option<Socket> {
        let bytes = self.body.get(..SOCKET_BYTES).filter(|_| self.kind == SOCK_DIAG_BY_FAMILY)?;
        let address: [u8; 16] = bytes[8..24].try_into().ok()?;
        let is_ipv4 = u16::from(bytes[0]) == AddressFamily::INET.as_raw();
        let octets: [u8; 4] = address[..4].try_into().ok()?;
        Some(Socket {
            state: bytes[1],
            local_port: u16::from_be_bytes([bytes[4], bytes[5]]),
            address: if is_ipv4 {
                Ipv4Addr::from(octets).into()
            } else {
                Ipv6Addr::from(address).into()
            },
            inode: u32::from_ne_bytes(bytes[68..].try_into().ok()?).into(),
            is_ipv6_only: self
                .attribute(INET_DIAG_SKV6ONLY)
                .is_some_and(|value| value.first() == Some(&1)),
            group: self
                .attribute(INET_DIAG_CGROUP_ID)
                .and_then(|value| Some(u64::from_ne_bytes(*value.first_chunk()?))),
        })
    }

    /// Decodes both ends of a connection and the inode of the local end: after the ports (network
    /// order) come the two addresses in 16 bytes each, the interface, the cookie, four numbers,
    /// and the inode.
    pub fn connection(&self) -> Option<Connection> {
        let bytes = self.body.get(..72).filter(|_| self.kind == SOCK_DIAG_BY_FAMILY)?;
        let end = |port_at: usize, address_at: usize| {
            let port = u16::from_be_bytes([bytes[port_at], bytes[port_at + 1]]);
            let address: [u8; 16] = bytes[address_at..address_at + 16].try_into().ok()?;
            let address = match u16::from(bytes[0]) == AddressFamily::INET.as_raw() {
                true => IpAddr::from([address[0], address[1], address[2], address[3]]),
                false => IpAddr::from(address).to_canonical(),
            };
            Some(SocketAddr::new(address, port))
        };
        let inode = u32::from_ne_bytes(bytes[68..72].try_into().ok()?).into();
        Some(Connection { local: end(4, 8)?, remote: end(6, 24)?, inode })
    }

    /// How many connections a listening socket has that wait to be accepted.
    pub fn waiting(&self) -> Option<u32> {
        let bytes = self.body.get(..SOCKET_BYTES).filter(|_| self.kind == SOCK_DIAG_BY_FAMILY)?;
        Some(u32::from_ne_bytes(bytes[56..60].try_into().ok()?))
    }

    /// Decodes a `unix_diag_msg`: family, type, state, a byte of nothing, the inode, and the cookie.
    pub fn unix_connection(&self) -> Option<UnixConnection> {
        let kinds = [SocketType::STREAM, SocketType::SEQPACKET].map(|kind| kind.as_raw() as u8);
        let bytes = self.body.get(..8).filter(|_| self.kind == SOCK_DIAG_BY_FAMILY)?;
        let inode = u32::from_ne_bytes(bytes[4..].try_into().ok()?).into();
        let peer = attribute_in(self.body.get(UNIX_SOCKET_BYTES..)?, UNIX_DIAG_PEER)?;
        let peer = u32::from_ne_bytes(*peer.first_chunk()?).into();
        kinds.contains(&bytes[1]).then_some(UnixConnection { inode, peer })
    }

    fn attribute(&self, wanted: u16) -> Option<&[u8]> {
        attribute_in(self.body.get(SOCKET_BYTES..)?, wanted)
    }

    pub fn is_last(&self) -> bool {
        self.kind == NLMSG_DONE
    }

    pub fn is_error(&self) -> bool {
        self.kind == NLMSG_ERROR
    }
}

/// Finds an attribute. Each is a length (header included), a type and a value, and begins at a
/// multiple of four bytes.
fn attribute_in(mut rest: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
        let value = rest.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

/// Receives the whole answer to a question with `DUMP`, one message for each socket, from a socket
/// that blocks.
pub fn receive_dump(socket: &OwnedFd, mut take: impl FnMut(Message<'_>)) -> io::Result<()> {
    let mut answer = vec![0u8; ANSWER_BYTES];
    loop {
        let (length, whole) = recv(socket, &mut answer[..], RecvFlags::TRUNC)?;
        if whole > length {
            return Err(io::Error::other("an answer of the kernel was cut off"));
        }
        for message in messages(&answer[..length]) {
            if message.is_last() {
                return Ok(());
            }
            if message.is_error() {
                return Err(io::Error::other("the kernel refused to list its sockets"));
            }
            take(message);
        }
    }
}

/// Splits one received datagram into its messages.
pub fn messages(mut received: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let header = received.get(..HEADER_BYTES)?;
        let length = u32::from_ne_bytes(header[..4].try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(header[4..6].try_into().ok()?);
        let body = received.get(HEADER_BYTES..length)?;
        received = received.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, body })
    })
}

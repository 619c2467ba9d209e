//! Whether a port of the loopback address listens, asked of the kernel.
//!
//! One exact look-up through netlink's `sock_diag` takes 2–3 µs and does not disturb the server, so it can be made
//! every millisecond; `/proc/net/tcp` costs a thousand times as much. Where `sock_diag` is not to be had (some
//! sandboxes), [`Listening::probe`] returns `None` and the caller has to connect instead.

use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::sync::Mutex;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const IPPROTO_TCP: u8 = 6;
const TCP_LISTEN: u8 = 10;
const REQUEST_BYTES: usize = 72;
const HEADER_BYTES: usize = 16;

/// The socket to ask through; `None` where it is not supported.
pub struct Listening {
    socket: Option<Mutex<OwnedFd>>,
}

impl Listening {
    /// Opens the socket and tries it on a port that is known to listen: a kernel without the module answers like one
    /// where nobody listens.
    pub fn open() -> Listening {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(netlink::SOCK_DIAG),
        );
        let works = |socket: &OwnedFd| {
            let server = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
            ask(socket, server.local_addr().ok()?.port()).filter(|listens| *listens)
        };
        let socket = socket.ok().filter(|socket| works(socket).is_some());
        if socket.is_none() {
            tracing::info!("sock_diag is not available; readiness connects to the port instead");
        }
        Listening { socket: socket.map(Mutex::new) }
    }

    /// Whether anybody listens on this port of 127.0.0.1, on all addresses included; `None` if the kernel cannot be
    /// asked.
    pub fn probe(&self, port: u16) -> Option<bool> {
        let socket = self.socket.as_ref()?.lock().ok()?;
        ask(&socket, port)
    }
}

fn ask(socket: &OwnedFd, port: u16) -> Option<bool> {
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(socket, &request(port), SendFlags::empty(), &kernel).ok()?;
    // The kernel answers within sendto, so the answer is there.
    let mut answer = [0u8; 512];
    let (length, _) = recv(socket, &mut answer, RecvFlags::empty()).ok()?;
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    // inet_diag_msg begins with the family, then the state.
    Some(length > HEADER_BYTES + 1 && kind == SOCK_DIAG_BY_FAMILY && answer[HEADER_BYTES + 1] == TCP_LISTEN)
}

/// A `nlmsghdr` and an `inet_diag_req_v2` for the socket bound to 127.0.0.1 and `port`.
fn request(port: u16) -> [u8; REQUEST_BYTES] {
    let mut bytes = [0u8; REQUEST_BYTES];
    let mut put = |offset: usize, value: &[u8]| bytes[offset..offset + value.len()].copy_from_slice(value);
    put(0, &(REQUEST_BYTES as u32).to_ne_bytes());
    put(4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(6, &NLM_F_REQUEST.to_ne_bytes());
    put(HEADER_BYTES, &[AddressFamily::INET.as_raw() as u8, IPPROTO_TCP]);
    put(HEADER_BYTES + 4, &u32::MAX.to_ne_bytes()); // every state
    put(HEADER_BYTES + 8, &port.to_be_bytes());
    put(HEADER_BYTES + 12, &Ipv4Addr::LOCALHOST.octets());
    put(REQUEST_BYTES - 8, &[0xff; 8]); // no cookie
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_port_listens_from_listen_to_close() {
        let listening = Listening::open();
        let held = crate::os::ports::HeldPort::reserve().unwrap();
        assert_eq!(listening.probe(held.port()), Some(false), "held, but nobody listens");
        for address in ["127.0.0.1", "0.0.0.0", "::"] {
            let server = TcpListener::bind((address, held.port())).unwrap();
            assert_eq!(listening.probe(held.port()), Some(true), "{address}");
            drop(server);
            assert_eq!(listening.probe(held.port()), Some(false), "{address} closed");
        }
    }
}

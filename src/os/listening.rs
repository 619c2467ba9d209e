//! Whether a port of the loopback address listens, asked of the kernel.
//!
//! One exact look-up through netlink's `sock_diag` takes 2–3 µs and does not disturb the server, so it can be made
//! every millisecond; `/proc/net/tcp` costs a thousand times as much. Where `sock_diag` is not to be had (some
//! sandboxes), [`Listening::probe`] returns `None` and the caller has to connect instead.

use crate::os::sock_diag::{self, Question, TCP_LISTEN};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, recv};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::sync::Mutex;

/// The socket to ask through; `None` where it is not supported.
pub struct Listening {
    socket: Option<Mutex<OwnedFd>>,
}

impl Listening {
    /// Opens the socket and tries it on a port that is known to listen: a kernel without the module answers like one
    /// where nobody listens.
    pub fn open() -> Listening {
        let socket = sock_diag::open(SocketFlags::NONBLOCK);
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
    // In every state, bound to this port of 127.0.0.1.
    let question = Question {
        family: AddressFamily::INET,
        flags: 0,
        states: u32::MAX,
        bound_to: Some((Ipv4Addr::LOCALHOST, port)),
    };
    sock_diag::ask(socket, &question).ok()?;
    // The kernel answers within the call, so the answer is there.
    let mut answer = [0u8; 512];
    let (length, _) = recv(socket, &mut answer, RecvFlags::empty()).ok()?;
    let message = sock_diag::messages(answer.get(..length)?).next()?;
    Some(message.socket().is_some_and(|socket| socket.state == TCP_LISTEN))
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

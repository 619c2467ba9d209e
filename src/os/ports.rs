//! Ports that nobody else is given.
//!
//! A port is reserved by binding a socket to it, with `SO_REUSEADDR` and without listening, for as long as the tenant
//! lives. Servers that set `SO_REUSEADDR`, as Bun and Node do, bind over it; the kernel gives it to nobody who asks
//! for any free port. (Bind, close and spawn loses the port to somebody else once in a few hundred starts.)

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

/// A reserved port of the loopback address; free again when dropped.
#[derive(Debug)]
pub struct HeldPort {
    port: u16,
    _socket: OwnedFd,
}

impl HeldPort {
    /// Reserves a port that nobody uses. Errors: no descriptor or no port left.
    pub fn reserve() -> io::Result<HeldPort> {
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
        let address = SocketAddrV4::try_from(getsockname(&socket)?)?;
        Ok(HeldPort { port: address.port(), _socket: socket })
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_server_can_listen_on_a_held_port_and_nobody_else_gets_it() {
        let held = HeldPort::reserve().unwrap();
        for address in ["127.0.0.1", "0.0.0.0", "::"] {
            // std sets SO_REUSEADDR, as Bun and Node do.
            let server = TcpListener::bind((address, held.port()));
            assert!(server.is_ok(), "{address}: {server:?}");
        }
        let others: Vec<u16> = (0..200)
            .map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port())
            .collect();
        assert!(!others.contains(&held.port()));
    }

    #[test]
    fn two_held_ports_differ() {
        let held: Vec<HeldPort> = (0..100).map(|_| HeldPort::reserve().unwrap()).collect();
        let distinct: std::collections::HashSet<u16> = held.iter().map(HeldPort::port).collect();
        assert_eq!(distinct.len(), held.len());
    }
}

//! Which ports have an open connection, asked of the kernel: one list of all of them, through `sock_diag`, or where that
//! is not to be had from `/proc/net`.

use crate::os::proc_net;
use crate::os::sock_diag::{self, DUMP, Question, TCP_ESTABLISHED};
use rustix::net::{AddressFamily, SocketFlags};
use std::collections::HashSet;
use std::io;

/// The local ports of all established TCP connections. Takes as long as there are connections: not for a thread that
/// must not block.
pub fn ports() -> io::Result<HashSet<u16>> {
    asked().or_else(|error| {
        tracing::debug!(%error, "sock_diag gave no connections; reading /proc/net instead");
        read()
    })
}

fn asked() -> io::Result<HashSet<u16>> {
    let socket = sock_diag::open(SocketFlags::empty())?;
    let mut ports = HashSet::new();
    // A server on all addresses has IPv4 connections on an IPv6 socket.
    for family in [AddressFamily::INET, AddressFamily::INET6] {
        let question = Question { family, flags: DUMP, states: 1 << TCP_ESTABLISHED, bound_to: None };
        sock_diag::ask(&socket, &question)?;
        sock_diag::receive_dump(&socket, |socket| {
            ports.insert(socket.local_port);
        })?;
    }
    Ok(ports)
}

fn read() -> io::Result<HashSet<u16>> {
    let sockets = proc_net::tcp_sockets("self")?;
    let established = sockets.iter().filter(|socket| socket.state == TCP_ESTABLISHED);
    Ok(established.map(|socket| socket.local_port).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_port_has_a_connection_from_connect_to_close() {
        for look in [asked as fn() -> io::Result<HashSet<u16>>, read] {
            for address in ["127.0.0.1:0", "[::]:0"] {
                let server = TcpListener::bind(address).unwrap();
                let port = server.local_addr().unwrap().port();
                assert!(!look().unwrap().contains(&port), "{address} listens, and nobody has connected");
                let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
                let (accepted, _) = server.accept().unwrap();
                assert!(look().unwrap().contains(&port), "{address} has a connection");
                drop((client, accepted));
                assert!(!look().unwrap().contains(&port), "{address}: the connection is closed");
            }
        }
    }

    #[test]
    fn hundreds_of_connections_are_all_seen() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let connections: Vec<(TcpStream, TcpStream)> =
            (0..400).map(|_| (TcpStream::connect(address).unwrap(), server.accept().unwrap().0)).collect();
        let ports = ports().unwrap();
        for (client, _) in &connections {
            assert!(ports.contains(&client.local_addr().unwrap().port()));
        }
    }
}

//! Which tenants have an open connection. The kernel lists all connections at once, through
//! `sock_diag` or, where that is not available, in `/proc/net`.
//!
//! A connection within a tenant's tree (to its own workers, say) does not count. Both of its ends
//! are in the list, and the other end is a descriptor of the tree. Finding that out means reading
//! all descriptors of the tree, so it is done only for tenants without any other connection.
//! Connections of the host itself, such as a router's, are recognised from one look at the host's
//! descriptors.

use crate::net::listeners::{sockets_of, sockets_of_tree};
use crate::net::proc_net;
use crate::net::sock_diag::{self, Connection, DUMP, Protocol, Question, TCP_ESTABLISHED};
use crate::process::accounting::Root;
use rustix::net::{AddressFamily, SocketFlags};
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;

/// Whether each of these tenants, given as its port and the root of its tree, has a connection
/// from outside its tree. The time grows with the number of connections: not for a thread that
/// must not block.
pub fn of_tenants(tenants: &[(u16, Option<Root>)]) -> io::Result<Vec<bool>> {
    look(tenants, |_| true)
}

/// The same of one tenant, and of connections that it has taken in: others wait in the kernel, and no
/// process has their socket.
pub fn taken_in_by(tenant: (u16, Option<Root>)) -> io::Result<bool> {
    Ok(look(&[tenant], |end| end.inode != 0)?.contains(&true))
}

fn look(
    tenants: &[(u16, Option<Root>)],
    counts: impl Fn(&Connection) -> bool,
) -> io::Result<Vec<bool>> {
    let connections = asked().or_else(|error| {
        tracing::debug!(%error, "sock_diag gave no connections; reading /proc/net instead");
        proc_net::connections()
    })?;
    let inode_of: HashMap<(SocketAddr, SocketAddr), u64> =
        connections.iter().map(|end| ((end.local, end.remote), end.inode)).collect();
    let mut ends_at: HashMap<u16, Vec<&Connection>> = HashMap::new();
    let ends = connections.iter().filter(|end| counts(end));
    ends.for_each(|end| ends_at.entry(end.local.port()).or_default().push(end));
    let own = OnceCell::new();
    let is_connected = |(port, root): &(u16, Option<Root>)| {
        let Some(ends) = ends_at.get(port) else { return false };
        // The inodes of the other ends; `None` if one of them is on another machine.
        let others: Option<Vec<u64>> =
            ends.iter().map(|end| inode_of.get(&(end.remote, end.local)).copied()).collect();
        let (Some(others), Some(root)) = (others, root) else { return true };
        let own = own.get_or_init(|| {
            sockets_of(std::process::id()).unwrap_or_default().into_iter().collect::<HashSet<_>>()
        });
        if others.iter().any(|inode| own.contains(inode)) {
            return true;
        }
        let of_tree = sockets_of_tree(*root);
        !others.iter().all(|inode| of_tree.contains(inode))
    };
    Ok(tenants.iter().map(is_connected).collect())
}

fn asked() -> io::Result<Vec<Connection>> {
    let socket = sock_diag::open(SocketFlags::empty())?;
    let mut connections = Vec::new();
    // A server on all addresses holds IPv4 connections on an IPv6 socket.
    for family in [AddressFamily::INET, AddressFamily::INET6] {
        let question = Question {
            protocol: Protocol::Tcp,
            family,
            flags: DUMP,
            states: 1 << TCP_ESTABLISHED,
            bound_to: None,
        };
        sock_diag::ask(&socket, &question)?;
        sock_diag::receive_dump(&socket, |message| connections.extend(message.connection()))?;
    }
    Ok(connections)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    fn ports(look: fn() -> io::Result<Vec<Connection>>) -> HashSet<u16> {
        look().unwrap().iter().map(|end| end.local.port()).collect()
    }

    #[test]
    fn a_port_has_a_connection_from_connect_to_close() {
        for look in [asked as fn() -> io::Result<Vec<Connection>>, proc_net::connections] {
            for address in ["127.0.0.1:0", "[::]:0"] {
                let server = TcpListener::bind(address).unwrap();
                let port = server.local_addr().unwrap().port();
                assert!(
                    !ports(look).contains(&port),
                    "{address} listens, and nothing is connected"
                );
                let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
                let (accepted, _) = server.accept().unwrap();
                assert!(ports(look).contains(&port), "{address} has a connection");
                let (local, remote) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
                for (local, remote) in [(local, remote), (remote, local)] {
                    let is_end = |end: &Connection| {
                        (end.local, end.remote) == (local, remote) && end.inode > 0
                    };
                    assert!(look().unwrap().iter().any(is_end), "{address}: both ends are there");
                }
                drop((client, accepted));
                assert!(!ports(look).contains(&port), "{address}: the connection is closed");
            }
        }
    }

    #[test]
    fn a_connection_is_taken_in_when_it_is_accepted() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let tenant = (address.port(), None);
        let client = TcpStream::connect(address).unwrap();
        assert_eq!(of_tenants(&[tenant]).unwrap(), [true]);
        assert!(!taken_in_by(tenant).unwrap());
        let accepted = server.accept().unwrap();
        assert!(taken_in_by(tenant).unwrap());
        drop((client, accepted));
        assert!(!taken_in_by(tenant).unwrap());
    }

    #[test]
    fn hundreds_of_connections_are_all_seen() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let connections: Vec<(TcpStream, TcpStream)> = (0..400)
            .map(|_| (TcpStream::connect(address).unwrap(), server.accept().unwrap().0))
            .collect();
        let ports = ports(asked);
        for (client, _) in &connections {
            assert!(ports.contains(&client.local_addr().unwrap().port()));
        }
    }
}

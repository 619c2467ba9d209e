//! Whether a port of the loopback addresses is listened on, asked of the kernel.
//!
//! One exact look-up through netlink's `sock_diag` takes 2–3 µs and does not disturb the server,
//! so it can be made every millisecond; `/proc/net/tcp` costs a thousand times as much. Where
//! `sock_diag` is not available (some sandboxes, and kernels without its module),
//! [`Listening::address_of`] returns `None`, and [`read_address_of`] tells the same.

use crate::net::proc_net;
use crate::net::sock_diag::{self, DUMP, Protocol, Question, Socket, TCP_LISTEN};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, recv};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::sync::Mutex;

/// The addresses at which a tenant may be reached; the first that listens is used.
pub const LOOPBACK: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// The `sock_diag` socket to ask through, where the kernel supports it. Dropping it closes the
/// socket.
pub struct Listening {
    socket: Option<Mutex<OwnedFd>>,
}

impl Listening {
    /// Opens the socket and tries it on a port that is known to listen: a kernel without the
    /// module answers as if no port were listened on.
    pub fn open() -> Listening {
        let socket = sock_diag::open(SocketFlags::NONBLOCK);
        let works = |socket: &OwnedFd| {
            let server = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
            ask(socket, LOOPBACK[0], server.local_addr().ok()?.port()).filter(|listens| *listens)
        };
        let socket = socket.ok().filter(|socket| works(socket).is_some());
        if socket.is_none() {
            tracing::info!("sock_diag is not available; readiness reads /proc/net instead");
        }
        Listening { socket: socket.map(Mutex::new) }
    }

    /// The first address of [`LOOPBACK`] at which a socket listens on this port; a socket bound to
    /// all addresses counts. `Some(None)` if no socket listens, `None` if the kernel cannot be
    /// asked.
    pub fn address_of(&self, port: u16) -> Option<Option<IpAddr>> {
        let socket = self.socket.as_ref()?.lock().ok()?;
        for address in LOOPBACK {
            match ask(&socket, address, port) {
                Some(true) => return Some(Some(address)),
                Some(false) => {}
                // The kernel has no IPv6.
                None if address.is_ipv6() => {}
                None => return None,
            }
        }
        Some(None)
    }
}

/// The same, read from `/proc/net`: not for a thread that must not block. `None` if it cannot be
/// read.
pub fn read_address_of(port: u16) -> Option<Option<IpAddr>> {
    let listening = read(port).ok()?;
    let is_reached = |address: &IpAddr| {
        let mut sockets = listening.iter();
        sockets.any(|socket| plain(socket.address) == *address || is_for_all(socket, *address))
    };
    Some(LOOPBACK.into_iter().find(is_reached))
}

fn ask(socket: &OwnedFd, address: IpAddr, port: u16) -> Option<bool> {
    // Asks for a socket in any state that is bound to this port of this address.
    let question = Question {
        protocol: Protocol::Tcp,
        family: family_of(address),
        flags: 0,
        states: u32::MAX,
        bound_to: Some((address, port)),
    };
    sock_diag::ask(socket, &question).ok()?;
    // The kernel has answered within the call, so this receives without waiting.
    let mut answer = [0u8; 512];
    let (length, _) = recv(socket, &mut answer, RecvFlags::empty()).ok()?;
    let message = sock_diag::messages(answer.get(..length)?).next()?;
    Some(message.socket().is_some_and(|socket| socket.state == TCP_LISTEN))
}

fn family_of(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

/// The sockets that a connection to one address and port may reach. Several may share the port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    pub inodes: Vec<u64>,
    /// The control group that all of them were made in, see [`Socket::group`].
    pub group: Option<u64>,
}

/// All sockets that a connection to this address and port may reach: those that listen at the
/// address itself or, if there is none, those bound to all addresses.
pub fn reached_at(address: IpAddr, port: u16) -> io::Result<Reached> {
    let listening = listed(port).or_else(|error| {
        tracing::debug!(%error, "sock_diag gave no list; reading /proc/net instead");
        read(port)
    })?;
    let exact = Reached::of(&listening, |socket| plain(socket.address) == address);
    if !exact.inodes.is_empty() {
        return Ok(exact);
    }
    Ok(Reached::of(&listening, |socket| is_for_all(socket, address)))
}

/// Whether the socket is bound to all addresses, this one among them.
fn is_for_all(socket: &Socket, address: IpAddr) -> bool {
    let is_same_family = socket.address.is_ipv4() == address.is_ipv4();
    let is_for_both = socket.address.is_ipv6() && !socket.is_ipv6_only;
    plain(socket.address).is_unspecified() && (is_same_family || is_for_both)
}

impl Reached {
    fn of(sockets: &[Socket], fits: impl Fn(&Socket) -> bool) -> Reached {
        let fitting = || sockets.iter().filter(|socket| fits(socket));
        let mut inodes: Vec<u64> = fitting().map(|socket| socket.inode).collect();
        inodes.sort_unstable();
        inodes.dedup();
        let group = fitting().next().and_then(|socket| socket.group);
        Reached { inodes, group: group.filter(|_| fitting().all(|socket| socket.group == group)) }
    }
}

/// An IPv4-mapped IPv6 address as the IPv4 address.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn listed(port: u16) -> io::Result<Vec<Socket>> {
    let socket = sock_diag::open(SocketFlags::empty())?;
    let mut listening = Vec::new();
    for address in LOOPBACK {
        let question = Question {
            protocol: Protocol::Tcp,
            family: family_of(address),
            flags: DUMP,
            states: 1 << TCP_LISTEN,
            bound_to: Some((address, port)),
        };
        sock_diag::ask(&socket, &question)?;
        // Some kernels list more sockets than were asked for.
        let is_meant = |socket: &Socket| socket.local_port == port && socket.state == TCP_LISTEN;
        sock_diag::receive_dump(&socket, |message| {
            listening.extend(message.socket().filter(is_meant))
        })?;
    }
    Ok(listening)
}

/// Reads the sockets from `/proc/net`. Its tables do not tell whether a socket takes IPv6
/// connections only; it is assumed not to.
fn read(port: u16) -> io::Result<Vec<Socket>> {
    let sockets = proc_net::tcp_sockets("self")?.into_iter();
    let listening =
        sockets.filter(|socket| socket.local_port == port && socket.state == TCP_LISTEN);
    let socket = |socket: proc_net::Socket| Socket {
        state: socket.state,
        local_port: socket.local_port,
        address: socket.address,
        inode: socket.inode,
        is_ipv6_only: false,
        group: None,
    };
    Ok(listening.map(socket).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{SocketType, bind, listen, socket, sockopt};
    use std::fs;
    use std::net::{SocketAddr, TcpListener};
    use std::os::fd::AsRawFd;

    fn inode_of(listener: &TcpListener) -> u64 {
        let target = fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
        let target = target.to_str().unwrap();
        target.strip_prefix("socket:[").unwrap().strip_suffix(']').unwrap().parse().unwrap()
    }

    #[test]
    fn a_port_listens_from_listen_to_close() {
        let listening = Listening::open();
        let looks: [Look; 2] = [&|port| listening.address_of(port), &read_address_of];
        looks.into_iter().for_each(follow_a_port);
    }

    type Look<'a> = &'a dyn Fn(u16) -> Option<Option<IpAddr>>;

    fn follow_a_port(look: Look) {
        let held = crate::net::ports::HeldPort::reserve(1_000, |_| true).unwrap();
        assert_eq!(look(held.port()), Some(None), "held, but not listened on");
        for (address, place) in [
            ("127.0.0.1", LOOPBACK[0]),
            ("0.0.0.0", LOOPBACK[0]),
            ("::", LOOPBACK[0]),
            ("::1", LOOPBACK[1]),
        ] {
            let server = TcpListener::bind((address, held.port())).unwrap();
            assert_eq!(look(held.port()), Some(Some(place)), "{address}");
            drop(server);
            assert_eq!(look(held.port()), Some(None), "{address} closed");
        }
        let elsewhere = TcpListener::bind(("127.0.0.2", held.port())).unwrap();
        assert_eq!(look(held.port()), Some(None), "{elsewhere:?}");
    }

    #[test]
    fn the_more_specific_address_gets_the_connections() {
        for look in [listed as fn(u16) -> io::Result<Vec<Socket>>, read] {
            let everywhere = TcpListener::bind("0.0.0.0:0").unwrap();
            let port = everywhere.local_addr().unwrap().port();
            let reached = || reached_at(LOOPBACK[0], port).unwrap().inodes;
            assert_eq!(reached(), [inode_of(&everywhere)]);
            assert_eq!(reached_at(LOOPBACK[1], port).unwrap(), Reached::default(), "IPv4 only");
            let found = look(port).unwrap();
            let [socket] = found[..] else { panic!("{found:?}") };
            assert_eq!(
                (socket.inode, socket.address),
                (inode_of(&everywhere), "0.0.0.0".parse().unwrap())
            );
        }
        for address in ["[::]:0", "[::1]:0"] {
            let server = TcpListener::bind(address).unwrap();
            let port = server.local_addr().unwrap().port();
            assert_eq!(
                reached_at(LOOPBACK[1], port).unwrap().inodes,
                [inode_of(&server)],
                "{address}"
            );
        }
        let both = TcpListener::bind("[::]:0").unwrap();
        let port = both.local_addr().unwrap().port();
        assert_eq!(reached_at(LOOPBACK[0], port).unwrap().inodes, [inode_of(&both)]);
    }

    #[test]
    fn all_that_share_a_port_are_seen() {
        let share = |port: u16| {
            let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
            sockopt::set_socket_reuseport(&socket, true).unwrap();
            bind(&socket, &SocketAddr::new(LOOPBACK[0], port)).unwrap();
            listen(&socket, 8).unwrap();
            TcpListener::from(socket)
        };
        let first = share(0);
        let second = share(first.local_addr().unwrap().port());
        let mut expected = [inode_of(&first), inode_of(&second)];
        expected.sort_unstable();
        let port = first.local_addr().unwrap().port();
        assert_eq!(reached_at(LOOPBACK[0], port).unwrap().inodes, expected);
    }
}

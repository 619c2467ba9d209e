//! Ports that are reserved for one tenant.
//!
//! A port is reserved by binding a socket to it, without listening, for as long as the tenant
//! lives. Servers that set `SO_REUSEADDR`, as Bun and Node do, can bind to it all the same, and
//! the kernel does not choose it for sockets that ask for any free port. (Without the socket, by
//! binding, closing and spawning, another program takes the port once in a few hundred starts.)
//!
//! A port is reserved at every address of the machine, IPv6 included: a tenant that listens on all
//! addresses cannot bind to a port that is in use at one of them, be it by an outgoing connection
//! of another program.
//!
//! The ports are taken from the kernel's local port range, each once in a round, in an order that
//! is shuffled when the first is taken. Letting the kernel choose costs half a millisecond once
//! ten thousand are held, and gives the next tenant a port that was released a moment ago.
//!
//! A port whose server closed its connections cannot be reserved for a minute (`TIME_WAIT`), so at
//! hundreds of starts a second none would be left. The ports that were released last are therefore
//! kept reserved, and given out again where there is no other.

mod set;
mod stock;

pub use self::set::PortSet;
pub use self::stock::PortStock;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt,
};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A reserved port. Dropping it closes its socket, which frees the port.
#[derive(Debug)]
pub struct HeldPort {
    port: u16,
    socket: OwnedFd,
}

impl HeldPort {
    /// Reserves a port that is not in use and that fits. Errors: no descriptor, or no such port in
    /// this many tries (`AddrInUse`).
    pub fn reserve(tries: usize, fits: impl Fn(u16) -> bool) -> io::Result<HeldPort> {
        let (socket, everywhere) = open_socket()?;
        let port = bind_to_next_free(&socket, everywhere, tries, fits)?;
        // Set after the bind: before it, the bind would also succeed on a port that another host
        // process holds.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        Ok(HeldPort { port, socket })
    }

    /// Reserves a certain port that is not listened on: at 127.0.0.1 alone where the port is in
    /// use at another address. Errors: no descriptor, or the port is listened on.
    pub fn hold(port: u16) -> io::Result<HeldPort> {
        let (socket, everywhere) = open_socket()?;
        HeldPort::hold_at(everywhere, port, socket).or_else(|_| {
            HeldPort::hold_at(Ipv4Addr::LOCALHOST.into(), port, open(AddressFamily::INET)?)
        })
    }

    fn hold_at(address: IpAddr, port: u16, socket: OwnedFd) -> io::Result<HeldPort> {
        // Set before the bind: closed connections of the former server stay on the port for a
        // minute.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &SocketAddr::new(address, port))?;
        Ok(HeldPort { port, socket })
    }

    /// The port that a socket of an earlier host holds. An error: it is no such socket.
    pub fn of_socket(socket: OwnedFd) -> io::Result<HeldPort> {
        let address = SocketAddr::try_from(getsockname(&socket)?)?;
        match address.port() {
            0 => Err(io::ErrorKind::InvalidInput.into()),
            port => Ok(HeldPort { port, socket }),
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Another descriptor of the socket.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.socket.try_clone()
    }
}

fn open(family: AddressFamily) -> Result<OwnedFd, Errno> {
    socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)
}

/// A socket, and the address that means "all": an IPv4 one only where IPv6 is missing or not
/// allowed.
fn open_socket() -> io::Result<(OwnedFd, IpAddr)> {
    /// Whether IPv6 sockets are IPv6-only by default. Changing that costs a system call for each
    /// port.
    static IS_IPV6_ALONE: LazyLock<bool> = LazyLock::new(|| {
        std::fs::read_to_string("/proc/sys/net/ipv6/bindv6only")
            .map_or(true, |text| text.trim() != "0")
    });
    match open(AddressFamily::INET6) {
        Ok(socket) => {
            if *IS_IPV6_ALONE {
                sockopt::set_ipv6_v6only(&socket, false)?;
            }
            Ok((socket, Ipv6Addr::UNSPECIFIED.into()))
        }
        Err(_) => Ok((open(AddressFamily::INET)?, Ipv4Addr::UNSPECIFIED.into())),
    }
}

fn bind_to_next_free(
    socket: &OwnedFd,
    everywhere: IpAddr,
    tries: usize,
    fits: impl Fn(u16) -> bool,
) -> io::Result<u16> {
    static CHOICE: LazyLock<Vec<u16>> = LazyLock::new(|| shuffled(ports_to_choose_from()));
    static TURN: AtomicUsize = AtomicUsize::new(0);
    for _ in 0..tries.min(CHOICE.len()) {
        let port = CHOICE[TURN.fetch_add(1, Ordering::Relaxed) % CHOICE.len()];
        if !fits(port) {
            continue;
        }
        match bind(socket, &SocketAddr::new(everywhere, port)) {
            Ok(()) => return Ok(port),
            Err(Errno::ADDRINUSE | Errno::ACCESS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::ADDRINUSE.into())
}

/// Shuffled, so that two hosts that start together do not try the same ports in step, and other
/// programs cannot predict the next port.
fn shuffled(mut ports: Vec<u16>) -> Vec<u16> {
    let random = RandomState::new();
    ports.sort_by_cached_key(|port| random.hash_one(port));
    ports
}

/// The ports that the kernel itself would choose from.
fn ports_to_choose_from() -> Vec<u16> {
    let read =
        |name| std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap_or_default();
    let reserved = ranges(&read("ip_local_reserved_ports"));
    let is_reserved = |port: &u16| reserved.iter().any(|range| range.contains(port));
    local_port_range(&read("ip_local_port_range")).filter(|port| !is_reserved(port)).collect()
}

/// Parses the kernel's local port range; without one, the kernel's default.
pub fn local_port_range(text: &str) -> RangeInclusive<u16> {
    let mut bounds = text.split_ascii_whitespace().filter_map(|bound| bound.parse::<u16>().ok());
    match (bounds.next(), bounds.next()) {
        (Some(first), Some(last)) if 0 < first && first <= last => first..=last,
        _ => 32_768..=60_999,
    }
}

/// Parses the kernel's lists of ports: `8080,9148-9150`.
pub fn ranges(text: &str) -> Vec<RangeInclusive<u16>> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::sync::Mutex;

    fn hold(count: usize) -> Vec<HeldPort> {
        (0..count).map(|_| reserve()).collect()
    }

    fn reserve() -> HeldPort {
        HeldPort::reserve(1_000, |_| true).unwrap()
    }

    fn port_of(listener: &TcpListener) -> u16 {
        listener.local_addr().unwrap().port()
    }

    #[test]
    fn a_server_can_listen_on_a_held_port() {
        let held = reserve();
        for address in ["127.0.0.1", "0.0.0.0", "::1", "::"] {
            // std sets SO_REUSEADDR, as Bun and Node do.
            let server = TcpListener::bind((address, held.port()));
            assert!(server.is_ok(), "{address}: {server:?}");
        }
    }

    #[test]
    fn a_port_in_use_at_any_address_is_not_given_away() {
        for address in ["127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::"] {
            let other = TcpListener::bind((address, 0)).unwrap();
            let (socket, everywhere) = open_socket().unwrap();
            let in_use = bind(&socket, &SocketAddr::new(everywhere, port_of(&other)));
            assert_eq!(in_use, Err(Errno::ADDRINUSE), "{address}");
        }
    }

    #[test]
    fn only_so_many_ports_are_tried_and_only_those_that_fit() {
        let tried = Mutex::new(Vec::new());
        let none = HeldPort::reserve(7, |port| {
            tried.lock().unwrap().push(port);
            false
        });
        assert_eq!(none.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(tried.lock().unwrap().len(), 7);
        let held = HeldPort::reserve(1_000, |port| port % 2 == 0).unwrap();
        assert_eq!(held.port() % 2, 0);
    }

    #[test]
    fn ports_are_tried_in_an_order_of_each_hosts_own_and_each_once() {
        let range: Vec<u16> = (50_000..50_100).collect();
        let [mut one, other] = [shuffled(range.clone()), shuffled(range.clone())];
        assert_ne!(one, other);
        one.sort_unstable();
        assert_eq!(one, range);
    }

    #[test]
    fn the_kernel_chooses_a_held_port_at_no_address() {
        let held = hold(200);
        for address in ["127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::"] {
            let others: Vec<TcpListener> =
                (0..200).map(|_| TcpListener::bind((address, 0)).unwrap()).collect();
            let ports: Vec<u16> = others.iter().map(port_of).collect();
            assert!(held.iter().all(|held| !ports.contains(&held.port())), "{address}");
        }
    }

    #[test]
    fn reserved_ports_are_read_as_the_kernel_prints_them() {
        assert_eq!(ranges("8080,9148-9150\n"), [8080..=8080, 9148..=9150]);
        assert_eq!(ranges("\n"), []);
        assert_eq!(local_port_range("50000\t50009\n"), 50_000..=50_009);
        assert_eq!(local_port_range(""), 32_768..=60_999);
    }

    #[test]
    fn a_port_can_be_held_again_after_its_server_and_its_connections_are_gone() {
        let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        assert!(HeldPort::hold(port).is_err(), "it is listened on");
        let elsewhere = TcpListener::bind(("127.0.0.2", port)).unwrap();
        let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        drop(server.accept().unwrap());
        drop((server, client));
        let held = HeldPort::hold(port).unwrap();
        assert_eq!(held.port(), port);
        drop((held, elsewhere));
        let held = HeldPort::hold(port).unwrap();
        assert_eq!(held.port(), port);
        assert!(TcpListener::bind(("127.0.0.1", port)).is_ok(), "its server can come back");
    }

    #[test]
    fn a_port_stays_held_by_a_copy_of_its_socket_which_says_which_it_is() {
        let held = reserve();
        let (port, copy) = (held.port(), held.descriptor().unwrap());
        drop(held);
        let held = HeldPort::of_socket(copy).unwrap();
        assert_eq!(held.port(), port);
        let (other, everywhere) = open_socket().unwrap();
        assert_eq!(bind(&other, &SocketAddr::new(everywhere, port)), Err(Errno::ADDRINUSE));
        assert!(HeldPort::of_socket(open_socket().unwrap().0).is_err(), "it is not bound");
    }

    #[test]
    fn two_held_ports_differ() {
        let held = hold(200);
        let distinct: std::collections::HashSet<u16> = held.iter().map(HeldPort::port).collect();
        assert_eq!(distinct.len(), held.len());
    }
}

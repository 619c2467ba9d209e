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

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// A reserved port. Dropping it closes its socket, which frees the port.
#[derive(Debug)]
pub struct HeldPort {
    port: u16,
    _socket: OwnedFd,
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
        Ok(HeldPort { port, _socket: socket })
    }

    /// Reserves a certain port that is not listened on: at 127.0.0.1 alone where the port is in
    /// use at another address. Errors: no descriptor, or the port is listened on.
    pub fn hold(port: u16) -> io::Result<HeldPort> {
        let (socket, everywhere) = open_socket()?;
        HeldPort::hold_at(everywhere, port, socket)
            .or_else(|_| HeldPort::hold_at(Ipv4Addr::LOCALHOST.into(), port, open(AddressFamily::INET)?))
    }

    fn hold_at(address: IpAddr, port: u16, socket: OwnedFd) -> io::Result<HeldPort> {
        // Set before the bind: closed connections of the former server stay on the port for a
        // minute.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &SocketAddr::new(address, port))?;
        Ok(HeldPort { port, _socket: socket })
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

/// A set of port numbers.
pub struct PortSet(Box<[u64; 1024]>);

impl Default for PortSet {
    fn default() -> Self {
        PortSet(Box::new([0; 1024]))
    }
}

impl PortSet {
    pub fn insert(&mut self, port: u16) {
        self.0[usize::from(port / 64)] |= 1 << (port % 64);
    }

    pub fn remove(&mut self, port: u16) {
        self.0[usize::from(port / 64)] &= !(1 << (port % 64));
    }

    pub fn contains(&self, port: u16) -> bool {
        self.0[usize::from(port / 64)] & 1 << (port % 64) != 0
    }
}

/// Ports reserved in advance, so that a start need not wait for the three system calls. Dropping
/// the stock frees all of them.
#[derive(Default)]
pub struct PortStock {
    stock: Mutex<Stock>,
}

#[derive(Default)]
struct Stock {
    /// The ports in stock; taken from the end.
    ports: Vec<HeldPort>,
    /// How many ports were asked for since the last fill, and between the two fills before it.
    taken: usize,
    taken_before: usize,
    /// A caller was told to fill the stock, and has not done so yet.
    filling: bool,
    /// Released ports, oldest in front. A fill closes those beyond [`KEPT_RELEASED`].
    released: VecDeque<HeldPort>,
}

/// The least number of ports in stock: enough for a burst of starts until more are reserved, few
/// enough to keep.
const STOCK: usize = 32;
/// The most ports in stock: twice as many as JavaScript takes at once (`BATCH_STARTS` in
/// `uplink.rs`). While JavaScript handles one batch of starts, the engine's thread reserves the
/// ports of the next.
const MOST_IN_STOCK: usize = 128;

/// The most released ports that stay reserved.
const KEPT_RELEASED: usize = 64;
/// Tries to reserve one port for the stock.
const FILL_TRIES: usize = 64;

impl Stock {
    /// How many ports the stock should have: twice as many as were asked for lately.
    fn wanted(&self) -> usize {
        (2 * self.taken.max(self.taken_before)).clamp(STOCK, MOST_IN_STOCK)
    }

    fn note_filled(&mut self) {
        self.taken_before = mem::take(&mut self.taken);
        self.filling = false;
    }
}

impl PortStock {
    /// A port that fits, if there is one, and whether the caller should have the stock filled.
    pub fn take(&self, fits: impl Fn(u16) -> bool) -> (Option<HeldPort>, bool) {
        let mut stock = self.lock();
        let position = stock.ports.iter().rposition(|held| fits(held.port()));
        let port = position.map(|position| stock.ports.remove(position));
        stock.taken += 1;
        let is_low = stock.ports.len() < stock.wanted() / 2;
        (port, is_low && !mem::replace(&mut stock.filling, true))
    }

    /// Releases a port, which stays reserved for now. Returns whether the caller should have the
    /// stock filled: a fill closes surplus ports, and closing one takes as long as reserving one.
    pub fn release(&self, port: HeldPort) -> bool {
        let mut stock = self.lock();
        stock.released.push_back(port);
        stock.released.len() >= KEPT_RELEASED + STOCK && !mem::replace(&mut stock.filling, true)
    }

    /// The port that was released first among those that fit.
    pub fn take_released(&self, fits: impl Fn(u16) -> bool) -> Option<HeldPort> {
        let count = self.lock().released.len();
        for _ in 0..count {
            let held = self.lock().released.pop_front()?;
            // Called without the lock, since `fits` may take another one.
            if fits(held.port()) {
                return Some(held);
            }
            self.lock().released.push_back(held);
        }
        None
    }

    /// Puts back a port that no tenant has used; closes it if the stock is full.
    pub fn put(&self, port: HeldPort) {
        let mut stock = self.lock();
        if stock.ports.len() < MOST_IN_STOCK {
            stock.ports.push(port);
        }
    }

    pub fn fill(&self) {
        loop {
            let mut stock = self.lock();
            let too_many = stock.released.len().saturating_sub(KEPT_RELEASED);
            let closing: Vec<HeldPort> = stock.released.drain(..too_many).collect();
            if !closing.is_empty() {
                drop(stock);
                drop(closing);
                continue;
            }
            if stock.ports.len() >= stock.wanted() {
                break stock.note_filled();
            }
            // Without the lock: a start that takes a port meanwhile must not wait for the kernel.
            drop(stock);
            let Ok(port) = HeldPort::reserve(FILL_TRIES, |_| true) else { break self.lock().note_filled() };
            self.lock().ports.insert(0, port);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
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
        std::fs::read_to_string("/proc/sys/net/ipv6/bindv6only").map_or(true, |text| text.trim() != "0")
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
    let read = |name| std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap_or_default();
    let reserved = ranges(&read("ip_local_reserved_ports"));
    let is_reserved = |port: &u16| reserved.iter().any(|range| range.contains(port));
    local_port_range(&read("ip_local_port_range")).filter(|port| !is_reserved(port)).collect()
}

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
    fn a_stock_is_filled_for_as_many_starts_again_as_there_were() {
        const BATCH: usize = 64;
        let stock = PortStock::default();
        let take = |count: usize| (0..count).filter_map(|_| stock.take(|_| true).0).collect::<Vec<_>>();
        let (none, is_low) = stock.take(|_| true);
        assert!(none.is_none() && is_low, "empty at first");
        assert!(!stock.take(|_| true).1, "it is asked for once");
        stock.fill();
        assert_eq!(take(BATCH).len(), STOCK, "the first batch of a crowd was not to be foreseen");
        stock.fill();
        for _ in 0..3 {
            assert_eq!(take(BATCH).len(), BATCH, "the next ones were");
            stock.fill();
        }
        assert_eq!(stock.lock().ports.len(), MOST_IN_STOCK);
        drop(take(MOST_IN_STOCK / 2));
        for _ in 0..3 {
            stock.lock().ports.clear();
            stock.fill();
        }
        assert_eq!(stock.lock().ports.len(), STOCK, "and when they are few again, few are kept");
    }

    #[test]
    fn a_port_of_the_stock_fits_or_stays() {
        let stock = PortStock::default();
        stock.fill();
        let last = stock.lock().ports.last().unwrap().port();
        let (port, _) = stock.take(|port| port != last);
        assert_ne!(port.unwrap().port(), last);
        assert_eq!(stock.take(|_| true).0.unwrap().port(), last);
    }

    #[test]
    fn the_last_ports_that_were_released_are_held_and_given_out_again() {
        let stock = PortStock::default();
        let ports = hold(KEPT_RELEASED + STOCK);
        let numbers: Vec<u16> = ports.iter().map(HeldPort::port).collect();
        let asks = ports.into_iter().map(|port| stock.release(port));
        assert_eq!(asks.filter(|should_fill| *should_fill).count(), 1, "it is asked for once");
        stock.fill();
        assert_eq!(stock.lock().released.len(), KEPT_RELEASED);
        let oldest = &numbers[STOCK..];
        assert_eq!(stock.take_released(|port| port != oldest[0]).unwrap().port(), oldest[1]);
        assert_eq!(stock.take_released(|_| true).unwrap().port(), oldest[2]);
        assert!(stock.take_released(|_| false).is_none());
    }

    #[test]
    fn two_held_ports_differ() {
        let held = hold(200);
        let distinct: std::collections::HashSet<u16> = held.iter().map(HeldPort::port).collect();
        assert_eq!(distinct.len(), held.len());
    }
}

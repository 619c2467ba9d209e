//! The readiness request: one HTTP GET, made by reqwest through a relay of ours.
//!
//! reqwest would read all that a tenant sends: any number of interim answers, and then a head that
//! it may refuse as too large. So it gets a socket of ours instead of the tenant's connection.
//! What it writes there is relayed to the tenant. Of the tenant's answer only as many bytes are
//! read as tell its protocol; the rest is not awaited.
//!
//! A connection that the client closes first blocks its source port for a minute. At hundreds of
//! starts a second that would use up all ports, so all of these connections come from one reserved
//! port.

use crate::net::answer_kind::{AnswerKind, ENOUGH_BYTES};
use crate::net::ports::HeldPort;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net as blocking;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream, UnixListener, UnixStream};

/// How much of the request is passed on at once. Nearly all are shorter.
const REQUEST_BYTES: usize = 1024;
/// How many source addresses are tried for one connection. The same source and destination cannot
/// be connected again for a minute, so each request begins with the next address.
const SOURCES: u32 = 4;
const SOURCE_ADDRESSES: u32 = 250;
/// Tries to reserve the source port; without one, the kernel chooses a port for each connection.
const SOURCE_TRIES: usize = 64;
/// How much of an answer is read and dropped after its first bytes: 64 KiB in all, which takes
/// microseconds.
const CLEARED_AT_ONCE_BYTES: usize = 4 << 10;
const MOST_CLEARED: usize = 16;
/// How long a server may take to answer a greeting in another protocol.
const GREETING_TIMEOUT: Duration = Duration::from_millis(500);

/// The beginning of a TLS 1.2 handshake: a ClientHello with four cipher suites, a random number of
/// zeros and no extensions.
const TLS_GREETING: [u8; 56] = {
    let mut hello = [0; 56];
    let head = [0x16, 3, 1, 0, 51, 1, 0, 0, 47, 3, 3];
    let tail = [0, 0, 8, 0xc0, 0x2f, 0xc0, 0x30, 0, 0x9c, 0, 0x2f, 1, 0];
    let mut index = 0;
    while index < head.len() {
        hello[index] = head[index];
        index += 1;
    }
    index = 0;
    while index < tail.len() {
        hello[56 - tail.len() + index] = tail[index];
        index += 1;
    }
    hello
};
/// The preface of HTTP/2, and empty settings.
const HTTP2_GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Makes requests; shared by all starts. Dropping it frees the source port.
#[derive(Default)]
pub struct Requests {
    /// The source port of all connections.
    source: Mutex<Option<HeldPort>>,
}

impl Requests {
    /// Asks `GET` of this path, for the `number`th time, and waits as long as the connection holds. Returns
    /// the protocol of the answer. Errors: the connection was refused, or ended before the
    /// protocol was known.
    pub async fn ask(&self, server: SocketAddr, path: &str, number: u32) -> io::Result<AnswerKind> {
        let connection = self.connect(server, number).await?;
        let (relay, name) = relay()?;
        // No proxy from the host's environment, no redirect followed, no connection kept.
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .unix_socket(format!("\0{name}"))
            .build()
            .map_err(io::Error::other)?;
        let request = client.get(format!("http://{server}{path}")).send();
        let passing = async {
            let request = accept(&relay).await?;
            // Closed, so that no other process can connect to it.
            drop(relay);
            pass(&request, &connection).await
        };
        tokio::select! {
            kind = passing => kind,
            // No answer is relayed, so the request ends only if it cannot be made.
            answer = request => Err(io::Error::other(answer.map_or_else(|error| error, |_| unreachable!("nothing was passed on")))),
        }
    }

    /// The protocol of a server that does not answer HTTP/1: TLS, HTTP/2, or `None` for any other.
    pub async fn identify(&self, server: SocketAddr, number: u32) -> Option<AnswerKind> {
        for greeting in [&TLS_GREETING[..], HTTP2_GREETING] {
            let greeted = async {
                let connection = self.connect(server, number).await?;
                write_all(&connection, greeting).await?;
                answer_kind(&connection).await
            };
            match tokio::time::timeout(GREETING_TIMEOUT, greeted).await {
                Ok(Ok(known @ (AnswerKind::Tls | AnswerKind::Http2))) => return Some(known),
                other => tracing::debug!(%server, ?other, "greeting in another protocol"),
            }
        }
        None
    }

    /// Connects, for the `number`th time.
    pub(super) async fn connect(&self, server: SocketAddr, number: u32) -> io::Result<TcpStream> {
        for index in 0..SOURCES {
            let Some(source) = self.source_for(server.ip(), number.wrapping_add(index)) else {
                break;
            };
            let socket = socket_for(server)?;
            socket.set_reuseaddr(true)?;
            let connected = match socket.bind(source) {
                Ok(()) => socket.connect(server).await,
                Err(error) => Err(error),
            };
            match connected {
                Err(error) if is_about_source(&error) => {}
                connected => return connected,
            }
        }
        // From a port of the kernel's choice.
        socket_for(server)?.connect(server).await
    }

    fn source_for(&self, server: IpAddr, number: u32) -> Option<SocketAddr> {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        if source.is_none() {
            *source = HeldPort::reserve(SOURCE_TRIES, |_| true).ok();
        }
        let host = 1 + (number % SOURCE_ADDRESSES) as u8;
        let address = match server {
            IpAddr::V4(_) => Ipv4Addr::new(127, 0, 0, host).into(),
            IpAddr::V6(address) => address.into(),
        };
        Some(SocketAddr::new(address, source.as_ref()?.port()))
    }
}

fn socket_for(server: SocketAddr) -> io::Result<TcpSocket> {
    if server.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }
}

/// Whether the error is about the source of the connection, rather than about the server.
fn is_about_source(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable)
}

/// The socket that reqwest connects to, and its name. It is an abstract socket, which leaves no
/// file behind.
fn relay() -> io::Result<(UnixListener, String)> {
    // Each new hasher has a random key, so the name cannot be guessed.
    let name =
        format!("absolutejs-runtime-{:016x}", RandomState::new().hash_one(std::process::id()));
    let relay =
        blocking::UnixListener::bind_addr(&blocking::SocketAddr::from_abstract_name(&name)?)?;
    relay.set_nonblocking(true)?;
    Ok((UnixListener::from_std(relay)?, name))
}

/// Accepts reqwest's connection, and none of another process.
async fn accept(relay: &UnixListener) -> io::Result<UnixStream> {
    loop {
        let (connection, _) = relay.accept().await?;
        if connection.peer_cred()?.pid() == Some(std::process::id().cast_signed()) {
            return Ok(connection);
        }
    }
}

/// Relays the request until the protocol of the answer is known.
async fn pass(request: &UnixStream, server: &TcpStream) -> io::Result<AnswerKind> {
    let passing_on = async {
        let mut bytes = [0; REQUEST_BYTES];
        loop {
            request.readable().await?;
            match request.try_read(&mut bytes) {
                Ok(0) => std::future::pending().await,
                Ok(length) => write_all(server, &bytes[..length]).await?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err::<AnswerKind, io::Error>(error),
            }
        }
    };
    tokio::select! {
        biased;
        kind = answer_kind(server) => kind,
        failed = passing_on => failed,
    }
}

async fn write_all(server: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        server.writable().await?;
        match server.try_write(bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Tells the protocol of what the server sends. Reads at most `ENOUGH_BYTES`.
async fn answer_kind(server: &TcpStream) -> io::Result<AnswerKind> {
    let (mut bytes, mut length) = ([0; ENOUGH_BYTES], 0);
    loop {
        server.readable().await?;
        match server.try_read(&mut bytes[length..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        match AnswerKind::of(&bytes[..length]) {
            AnswerKind::Undecided => {}
            decided => {
                clear(server);
                return Ok(decided);
            }
        }
    }
}

/// Reads and drops the rest of what has arrived, within bounds: closing a connection with unread
/// bytes resets it, which some servers report as an error.
fn clear(server: &TcpStream) {
    let mut bytes = [0; CLEARED_AT_ONCE_BYTES];
    for _ in 0..MOST_CLEARED {
        match server.try_read(&mut bytes) {
            Ok(length) if length > 0 => {}
            _ => break,
        }
    }
}

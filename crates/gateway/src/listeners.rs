//! Where clients connect: TCP ports, unix sockets, and sockets that came from elsewhere.

use crate::settings::Listen;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// How many connections may wait to be accepted. The kernel takes less if it is told to
/// (`net.core.somaxconn`).
const BACKLOG: i32 = 4_096;

/// Where a gateway listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    /// `http://127.0.0.1:3000`, or `unix:/run/gateway.sock`.
    pub url: String,
    /// The address, of a TCP socket.
    pub hostname: Option<String>,
    /// The port, of a TCP socket.
    pub port: Option<u16>,
    /// The path, of a unix socket.
    pub path: Option<String>,
}

/// Why a gateway does not start.
#[derive(Debug)]
pub enum StartError {
    /// It cannot listen there.
    Listen {
        /// Where.
        at: String,
        /// Why.
        error: io::Error,
    },
    /// A certificate cannot be used.
    Tls(crate::tls::TlsError),
    /// There is no thread for it.
    Thread(io::Error),
    /// What it is to stand in front of is not there; the text says why.
    NoTenants(String),
}

impl StartError {
    /// The system's name for the cause, such as `EADDRINUSE`.
    pub fn code(&self) -> Option<&'static str> {
        let (StartError::Listen { error, .. } | StartError::Thread(error)) = self else {
            return None;
        };
        match error.kind() {
            io::ErrorKind::AddrInUse => Some("EADDRINUSE"),
            io::ErrorKind::AddrNotAvailable => Some("EADDRNOTAVAIL"),
            io::ErrorKind::PermissionDenied => Some("EACCES"),
            io::ErrorKind::NotFound => Some("ENOENT"),
            io::ErrorKind::InvalidInput => Some("EINVAL"),
            _ => None,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Listen { at, error } => write!(formatter, "cannot listen at {at}: {error}"),
            StartError::Tls(error) => error.fmt(formatter),
            StartError::NoTenants(reason) => formatter.write_str(reason),
            StartError::Thread(error) => write!(formatter, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// A socket that listens.
#[derive(Debug)]
pub(crate) struct Listener {
    pub socket: ListenerSocket,
    /// The unix socket's file, which is removed when the listener is dropped.
    file: Option<PathBuf>,
    /// Another gateway goes on with the socket: its file stays.
    pub stays: Arc<AtomicBool>,
}

#[derive(Debug)]
pub(crate) enum ListenerSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(file) = self.file.as_ref().filter(|_| !self.stays.load(Relaxed)) {
            let _ = std::fs::remove_file(file);
        }
    }
}

impl Listener {
    /// Begins to listen.
    pub fn open(listen: Listen) -> Result<Listener, StartError> {
        let at = match &listen {
            Listen::Tcp { hostname, port } => format!("{hostname}:{port}"),
            Listen::Unix(path) => path.display().to_string(),
            Listen::Descriptor(descriptor) | Listen::Inherited(descriptor) => {
                format!("{descriptor:?}")
            }
        };
        let opened = match listen {
            Listen::Tcp { hostname, port } => tcp(&hostname, port),
            Listen::Unix(path) => unix(path),
            Listen::Descriptor(descriptor) => inherited(Socket::from(descriptor)),
            Listen::Inherited(descriptor) => {
                let file = path_of(descriptor.as_fd());
                inherited(Socket::from(descriptor)).map(|listener| listener.with_file(file))
            }
        };
        opened.map_err(|error| StartError::Listen { at, error })
    }

    fn new(socket: ListenerSocket) -> Listener {
        Listener { socket, file: None, stays: Arc::default() }
    }

    fn with_file(mut self, file: Option<PathBuf>) -> Listener {
        self.file = file;
        self
    }

    /// Its socket.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.socket {
            ListenerSocket::Tcp(socket) => socket.as_fd(),
            ListenerSocket::Unix(socket) => socket.as_fd(),
        }
    }

    /// Where it listens.
    pub fn listening(&self, is_tls: bool) -> Listening {
        let scheme = if is_tls { "https" } else { "http" };
        match &self.socket {
            ListenerSocket::Tcp(socket) => {
                let address = socket.local_addr().ok();
                Listening {
                    url: address.map(|at| format!("{scheme}://{at}")).unwrap_or_default(),
                    hostname: address.map(|at| at.ip().to_string()),
                    port: address.map(|at| at.port()),
                    path: None,
                }
            }
            ListenerSocket::Unix(socket) => {
                let address = socket.local_addr().ok();
                let path = address.as_ref().and_then(|at| at.as_pathname());
                let path = path.map(|path| path.display().to_string());
                Listening {
                    url: format!("unix:{}", path.as_deref().unwrap_or("")),
                    hostname: None,
                    port: None,
                    path,
                }
            }
        }
    }
}

/// Where a socket of a gateway before this one has to listen, to take a place of its.
#[derive(Clone, Debug)]
pub enum Place {
    /// At one of these addresses; port 0: any.
    Tcp(Vec<SocketAddr>),
    /// At this path.
    Unix(PathBuf),
}

impl Place {
    /// The place; `None` where no other socket can take it. A name may have to be resolved.
    pub fn of(listen: &Listen) -> Option<Place> {
        match listen {
            Listen::Tcp { hostname, port } => Some(Place::Tcp(addresses(hostname, *port).ok()?)),
            Listen::Unix(path) => Some(Place::Unix(path.clone())),
            Listen::Descriptor(_) | Listen::Inherited(_) => None,
        }
    }

    /// Whether the socket listens there.
    pub fn is_of(&self, socket: BorrowedFd<'_>) -> bool {
        match self {
            Place::Tcp(addresses) => {
                let at = SockRef::from(&socket).local_addr().ok().and_then(|at| at.as_socket());
                let is_there = |at: SocketAddr, one: &SocketAddr| {
                    one.ip() == at.ip() && (one.port() == 0 || one.port() == at.port())
                };
                at.is_some_and(|at| addresses.iter().any(|one| is_there(at, one)))
            }
            Place::Unix(path) => path_of(socket).is_some_and(|found| found == *path),
        }
    }
}

/// The path of a unix socket.
fn path_of(socket: BorrowedFd<'_>) -> Option<PathBuf> {
    let address = SockRef::from(&socket).local_addr().ok()?;
    address.as_pathname().map(Path::to_path_buf)
}

fn addresses(hostname: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let bare = hostname.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let hostname = bare.unwrap_or(hostname);
    match hostname.parse::<IpAddr>() {
        Ok(address) => Ok(vec![(address, port).into()]),
        Err(_) => Ok((hostname, port).to_socket_addrs()?.collect()),
    }
}

fn tcp(hostname: &str, port: u16) -> io::Result<Listener> {
    let addresses = addresses(hostname, port)?;
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match bound(address) {
            Ok(socket) => {
                return Ok(Listener::new(ListenerSocket::Tcp(socket)));
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn bound(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A port of which old connections are still in their last minute can be listened at again.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn unix(path: PathBuf) -> io::Result<Listener> {
    let open = || -> io::Result<UnixListener> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(&path)?)?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    let socket = match open() {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left_over(&path) => {
            std::fs::remove_file(&path)?;
            open()
        }
        opened => opened,
    }?;
    // An abstract name has no file.
    let file = Some(path).filter(|path| !path.as_os_str().is_empty());
    Ok(Listener::new(ListenerSocket::Unix(socket)).with_file(file))
}

/// The file is a socket at which no process listens: one that was killed has left it.
fn is_left_over(path: &Path) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let refused = io::ErrorKind::ConnectionRefused;
    is_socket && UnixStream::connect(path).is_err_and(|error| error.kind() == refused)
}

fn inherited(socket: Socket) -> io::Result<Listener> {
    if !socket.is_listener()? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the socket does not listen"));
    }
    socket.set_nonblocking(true)?;
    let socket = match socket.domain()? {
        Domain::UNIX => ListenerSocket::Unix(socket.into()),
        _ => ListenerSocket::Tcp(socket.into()),
    };
    Ok(Listener::new(socket))
}

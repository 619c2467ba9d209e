//! Where clients connect: TCP ports, unix sockets, and sockets that came from elsewhere.

use crate::settings::Listen;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

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
}

#[derive(Debug)]
pub(crate) enum ListenerSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
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
            Listen::Descriptor(descriptor) => format!("{descriptor:?}"),
        };
        let opened = match listen {
            Listen::Tcp { hostname, port } => tcp(&hostname, port),
            Listen::Unix(path) => unix(path),
            Listen::Descriptor(descriptor) => inherited(Socket::from(descriptor)),
        };
        opened.map_err(|error| StartError::Listen { at, error })
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

fn tcp(hostname: &str, port: u16) -> io::Result<Listener> {
    let bare = hostname.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let hostname = bare.unwrap_or(hostname);
    let addresses: Vec<SocketAddr> = match hostname.parse::<IpAddr>() {
        Ok(address) => vec![(address, port).into()],
        Err(_) => (hostname, port).to_socket_addrs()?.collect(),
    };
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match bound(address) {
            Ok(socket) => {
                return Ok(Listener { socket: ListenerSocket::Tcp(socket), file: None });
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
    Ok(Listener { socket: ListenerSocket::Unix(socket), file })
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
    Ok(Listener { socket, file: None })
}

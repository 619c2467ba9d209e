//! A client's connection, whatever it came by.

use crate::guarded::Leaving;
use socket2::{SockRef, TcpKeepalive};
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

/// After so long without a word from it a client's machine is asked whether it is still there.
const VANISHED: Duration = Duration::from_secs(60);

/// Parts of so many bytes in all are joined before they are written.
const JOINED_BYTES: usize = 1 << 10;

/// A socket. The connection and the requests on it share it, so that a request can see that its
/// client leaves.
#[derive(Clone, Debug)]
pub(crate) enum Socket {
    Tcp(Arc<TcpStream>),
    Unix(Arc<UnixStream>),
}

/// How much of an answer the kernel holds that the client has no room for yet. Without a bound it is
/// megabytes, of which a third has to go before the socket can be written again: a client that takes
/// less than that in its time would look like one that takes nothing.
#[cfg(target_os = "linux")]
const MOST_UNSENT_BYTES: u32 = 128 << 10;

/// A socket on its way from the thread that accepted it to the one that serves it.
#[derive(Debug)]
pub(crate) enum Accepted {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Accepted {
    /// Registers it with this thread's runtime.
    pub fn into_socket(self) -> io::Result<Socket> {
        match self {
            Accepted::Tcp(stream) => {
                let stream = TcpStream::from_std(stream)?;
                // Answers are written whole, and small ones should not wait for the client's
                // acknowledgement of the last.
                stream.set_nodelay(true)?;
                // A client that has vanished, such as a laptop that was closed, is noticed though
                // its WebSocket has nothing to say.
                let keep_alive =
                    TcpKeepalive::new().with_time(VANISHED).with_interval(VANISHED / 4);
                let socket = SockRef::from(&stream);
                socket.set_tcp_keepalive(&keep_alive)?;
                #[cfg(target_os = "linux")]
                socket.set_tcp_notsent_lowat(MOST_UNSENT_BYTES)?;
                Ok(Socket::Tcp(Arc::new(stream)))
            }
            Accepted::Unix(stream) => Ok(Socket::Unix(Arc::new(UnixStream::from_std(stream)?))),
        }
    }
}

/// Does the same with either kind of socket.
macro_rules! either {
    ($socket:expr, $stream:ident => $does:expr) => {
        match $socket {
            Socket::Tcp($stream) => $does,
            Socket::Unix($stream) => $does,
        }
    };
}

impl Socket {
    /// The address at the other end. A unix socket's clients are on this machine.
    pub fn peer(&self) -> IpAddr {
        match self {
            Socket::Tcp(stream) => {
                let address = stream.peer_addr().map(|address| address.ip().to_canonical());
                address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
            }
            Socket::Unix(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }

    /// The port that the client connected to.
    pub fn port(&self) -> Option<u16> {
        match self {
            Socket::Tcp(stream) => stream.local_addr().ok().map(|address| address.port()),
            Socket::Unix(_) => None,
        }
    }

    /// Resolves when there is something to read, or the client has left. For the task that reads:
    /// there is one place for a waker, which takes less than a wait of its own.
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|context| either!(self, stream => stream.poll_read_ready(context))).await
    }

    pub fn try_read(&self, room: &mut [u8]) -> io::Result<usize> {
        either!(self, stream => stream.try_read(room))
    }

    /// Resolves when the client has left, though bytes of it may be unread. Without an end if that
    /// cannot be seen.
    pub async fn left(&self) {
        if self.watch().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Ready when the client has left, and nothing of it is unread.
    fn poll_left(&self, context: &mut Context<'_>) -> Poll<()> {
        either!(self, stream => loop {
            if ready!(stream.poll_read_ready(context)).is_err() {
                return Poll::Ready(());
            }
            let peek = || SockRef::from(&**stream).peek(&mut [MaybeUninit::uninit()]);
            match stream.try_io(Interest::READABLE, peek) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(1..) => return Poll::Pending,
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        })
    }

    /// Watches a second descriptor of the socket: what is unread hides the end behind it from the
    /// first, but each thing that happens to the socket is told once to each.
    async fn watch(&self) -> io::Result<()> {
        let descriptor: OwnedFd = either!(self, stream => stream.as_fd().try_clone_to_owned()?);
        let second = match self {
            Socket::Tcp(_) => Accepted::Tcp(descriptor.into()),
            Socket::Unix(_) => Accepted::Unix(descriptor.into()),
        };
        either!(second.into_socket()?, stream => loop {
            if stream.ready(Interest::READABLE).await?.is_read_closed() {
                return Ok(());
            }
            let nothing = || Err(io::Error::from(io::ErrorKind::WouldBlock));
            let _: io::Result<()> = stream.try_io(Interest::READABLE, nothing);
        })
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(&*self, stream => loop {
            ready!(stream.poll_read_ready(context))?;
            let wanted = room.remaining();
            match stream.try_read_buf(room) {
                Ok(count) => {
                    // Less than there was room for: that was all. To say so spares the next look,
                    // a system call for each request. Events come in on this thread alone, so
                    // that none has come since.
                    if count > 0 && count < wanted {
                        let nothing = || Err(io::Error::from(io::ErrorKind::WouldBlock));
                        let _: io::Result<()> = stream.try_io(Interest::READABLE, nothing);
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        })
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // Nearly always there is room, and the task need not be noted for when there is.
        either!(&*self, stream => loop {
            match stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
            ready!(stream.poll_write_ready(context))?;
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // The kernel takes one part in less time than several, and most answers are small.
        if let [part] = parts {
            return self.poll_write(context, part);
        }
        let mut room = [0; JOINED_BYTES];
        if let Some(joined) = join(parts, &mut room) {
            return self.poll_write(context, joined);
        }
        either!(&*self, stream => loop {
            ready!(stream.poll_write_ready(context))?;
            match stream.try_write_vectored(parts) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = either!(&*self, stream => SockRef::from(&**stream)
            .shutdown(std::net::Shutdown::Write));
        match socket {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }
}

/// The parts in one piece; `None` if there is not enough room.
fn join<'a>(parts: &[io::IoSlice<'_>], room: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut end = 0;
    for part in parts {
        room.get_mut(end..end + part.len())?.copy_from_slice(part);
        end += part.len();
    }
    room.get(..end)
}

/// A connection, encrypted or not.
pub(crate) enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Stream {
    pub fn socket(&self) -> &Socket {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl Leaving for Stream {
    /// With TLS the client's farewell has to be read: nothing else tells it from more of a request.
    fn is_seen(&self) -> bool {
        matches!(self, Stream::Plain(_))
    }

    fn poll_left(&self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Stream::Plain(socket) => socket.poll_left(context),
            Stream::Tls(_) => Poll::Pending,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, room),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, room),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_have_room_are_joined() {
        let parts = ["ab", "", "cde"].map(|part| io::IoSlice::new(part.as_bytes()));
        assert_eq!(join(&parts, &mut [0; 5]), Some(&b"abcde"[..]));
        assert_eq!(join(&parts, &mut [0; 6]), Some(&b"abcde"[..]));
        assert_eq!(join(&parts, &mut [0; 4]), None);
    }
}

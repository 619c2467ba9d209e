//! The first bytes of a connection that is to be encrypted. A client that speaks HTTP in clear is
//! found out by the first of them, and gets words in place of an alert that it cannot read.

use crate::stream::Socket;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

/// Why there is no handshake.
pub(super) enum Unopened {
    /// The client speaks in clear.
    Clear(Socket),
    Failed(io::Error),
}

/// Waits for the beginning of a handshake.
pub(super) async fn opening(socket: Socket) -> Result<StartHandshake<Socket>, Unopened> {
    let looked_at = LookedAt { socket, first: None };
    let mut acceptor = LazyConfigAcceptor::new(Default::default(), looked_at);
    match (&mut acceptor).await {
        Ok(StartHandshake { accepted, io, .. }) => {
            Ok(StartHandshake::from_parts(accepted, io.socket))
        }
        Err(error) => Err(match acceptor.take_io() {
            Some(looked_at) if looked_at.is_clear() => Unopened::Clear(looked_at.socket),
            _ => Unopened::Failed(error),
        }),
    }
}

/// A socket whose first byte is noted as it is read, for which the kernel is asked nothing more.
struct LookedAt {
    socket: Socket,
    first: Option<u8>,
}

impl LookedAt {
    /// A record of TLS begins with its type, which is no letter; a method of HTTP is of letters.
    fn is_clear(&self) -> bool {
        self.first.is_some_and(|first| first.is_ascii_alphabetic())
    }
}

impl AsyncRead for LookedAt {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = room.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(context, room))?;
        if self.first.is_none() {
            self.first = room.filled().get(before).copied();
            if self.is_clear() {
                // Before the library answers with an alert.
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LookedAt {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

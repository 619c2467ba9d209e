//! A socket to a tenant, or to the gateway of another host, encrypted or not.

use crate::peer;
use bytes::BytesMut;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::unconstrained;
use tokio_rustls::client::TlsStream;

/// One task may send a request while another one reads its answer.
#[derive(Debug)]
pub(super) enum Line {
    Plain(TcpStream),
    /// Only to other hosts.
    Tls(Box<Mutex<TlsStream<TcpStream>>>),
}

impl Line {
    pub fn encrypted(stream: TlsStream<TcpStream>) -> Line {
        Line::Tls(Box::new(Mutex::new(stream)))
    }

    /// Writes what is taken at once of these parts.
    pub fn poll_send(
        &self,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Line::Plain(stream) => loop {
                // Nearly always there is room, and the task need not be noted for when there is. The
                // kernel takes one part in less time than several.
                let written = match parts {
                    [part] => stream.try_write(part),
                    parts => stream.try_write_vectored(parts),
                };
                match written {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        ready!(stream.poll_write_ready(context))?;
                    }
                    written => return Poll::Ready(written),
                }
            },
            Line::Tls(stream) => Pin::new(&mut *locked(stream)).poll_write_vectored(context, parts),
        }
    }

    /// Ready when the kernel has taken all that was written.
    pub fn poll_flush_sent(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Line::Plain(_) => Poll::Ready(Ok(())),
            Line::Tls(stream) => Pin::new(&mut *locked(stream)).poll_flush(context),
        }
    }

    /// Reads up to so many bytes, or more if there is room for them. None: the other end has closed.
    pub fn poll_receive(
        &self,
        context: &mut Context<'_>,
        received: &mut BytesMut,
        bytes: usize,
    ) -> Poll<io::Result<usize>> {
        let stream = match self {
            Line::Plain(stream) => stream,
            Line::Tls(stream) => {
                received.reserve(bytes);
                return pin!(locked(stream).read_buf(received)).poll(context);
            }
        };
        loop {
            ready!(stream.poll_read_ready(context))?;
            // Here, and not sooner: a head that is passed on is in it until the answer is written,
            // and who waits needs no room.
            received.reserve(bytes);
            let count = match stream.try_read_buf(received) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                count => count?,
            };
            if count > 0 && received.len() < received.capacity() {
                // That was all. To say so spares the next look, a system call for each request.
                // Events come in on this thread alone, so that none has come since.
                let nothing = || Err(io::Error::from(io::ErrorKind::WouldBlock));
                let _: io::Result<()> = stream.try_io(Interest::READABLE, nothing);
            }
            return Poll::Ready(Ok(count));
        }
    }

    /// For how long nothing may be taken of what was sent.
    pub fn bear(&self, patience: Duration) {
        // Of a socket that has failed the next write tells.
        let _ = match self {
            Line::Plain(stream) => peer::bear(stream, patience),
            Line::Tls(stream) => peer::bear(locked(stream).get_ref().0, patience),
        };
    }

    /// Nothing has come, nor has the other end closed, as far as that is known.
    pub fn is_silent(&self) -> bool {
        match self {
            // Without an event since the last look this is no system call.
            Line::Plain(stream) => {
                let read = stream.try_read(&mut [0]);
                read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
            Line::Tls(stream) => {
                let (mut stream, mut room) = (locked(stream), [0]);
                // A task whose budget is used up would be told that there is nothing.
                let read = pin!(unconstrained(stream.read(&mut room)));
                read.poll(&mut Context::from_waker(Waker::noop())).is_pending()
            }
        }
    }
}

fn locked(stream: &Mutex<TlsStream<TcpStream>>) -> MutexGuard<'_, TlsStream<TcpStream>> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does the same with either kind of line.
macro_rules! either {
    ($line:expr, $stream:ident => $does:expr) => {
        match $line {
            Line::Plain($stream) => $does,
            Line::Tls(stream) => {
                let $stream = stream.get_mut().unwrap_or_else(PoisonError::into_inner);
                $does
            }
        }
    };
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(&mut *self, stream => Pin::new(stream).poll_read(context, room))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(context, &[IoSlice::new(bytes)])
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush_sent(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut *self, stream => Pin::new(stream).poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{Identity, MutualPem, encryption};
    use crate::settings::CertifiedPem;
    use rcgen::generate_simple_self_signed;
    use std::future::poll_fn;
    use std::sync::Arc;
    use tokio::net::TcpListener;
    use tokio_rustls::{TlsAcceptor, server};

    async fn encrypted() -> (Line, server::TlsStream<TcpStream>) {
        let own = generate_simple_self_signed(["a".to_owned()]).expect("a certificate");
        let (cert, key) = (own.cert.pem(), own.signing_key.serialize_pem());
        let ca = cert.clone();
        let pem = MutualPem { own: CertifiedPem { cert, key, names: Vec::new() }, ca };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("an address")).await;
        let (other, _) = listener.accept().await.expect("a connection");
        let acceptor = TlsAcceptor::from(Arc::new(encryption::server(&pem).expect("a server")));
        let encryption = Identity::read(&pem).and_then(|own| own.for_host("a")).expect("a name");
        let (line, other) =
            tokio::join!(encryption.begin(stream.expect("a connection")), acceptor.accept(other));
        (Line::encrypted(line.expect("a handshake")), other.expect("a handshake"))
    }

    #[tokio::test]
    async fn what_was_written_is_sent_when_it_is_flushed() {
        let (line, mut other) = encrypted().await;
        let part = vec![7; 100_000];
        let mut written = 0;
        poll_fn(|context| {
            while let Poll::Ready(count) = line.poll_send(context, &[IoSlice::new(&part)]) {
                written += count.expect("to write");
            }
            assert!(line.poll_flush_sent(context).is_pending(), "the kernel has no room");
            Poll::Ready(())
        })
        .await;
        let reads = async {
            let mut all = vec![0; written];
            other.read_exact(&mut all).await.expect("all of it");
        };
        let (flushed, ()) = tokio::join!(poll_fn(|context| line.poll_flush_sent(context)), reads);
        flushed.expect("to be sent");
    }

    #[tokio::test]
    async fn an_encrypted_line_is_silent_until_something_comes() {
        let (line, mut other) = encrypted().await;
        assert!(line.is_silent());
        tokio::io::AsyncWriteExt::write_all(&mut other, b"a").await.expect("to write");
        while line.is_silent() {
            tokio::task::yield_now().await;
        }
        let (line, other) = encrypted().await;
        drop(other);
        while line.is_silent() {
            tokio::task::yield_now().await;
        }
    }
}

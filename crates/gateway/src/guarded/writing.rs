//! What is written to a client: a client that takes nothing of it for too long is given up.

use super::{Guarded, Inner, Leaving};
use crate::clock;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

impl<S> Inner<S> {
    /// An error when the client has taken nothing for too long.
    fn poll_stall<T>(
        &mut self,
        poll: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.stalled = None;
            return poll;
        }
        let patience = self.patience.stall;
        let deadline = *self.stalled.get_or_insert_with(|| clock::now() + patience);
        ready!(self.stall_sleep.poll(deadline, context));
        Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut)))
    }
}

impl<S: AsyncRead + AsyncWrite + Leaving + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(Ok(0)) };
        let poll = Pin::new(&mut inner.stream).poll_write(context, bytes);
        inner.poll_stall(poll, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.stream.is_write_vectored())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(Ok(0)) };
        let poll = Pin::new(&mut inner.stream).poll_write_vectored(context, parts);
        inner.poll_stall(poll, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(Ok(())) };
        let poll = Pin::new(&mut inner.stream).poll_flush(context);
        let poll = inner.poll_stall(poll, context);
        // The library flushes whenever it was polled, also while a tenant is waited for.
        if inner.is_answering() && inner.stream.poll_left(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        // The library flushes after an answer, and may not read before the client sends something.
        // When its time is over the next read says so.
        if poll.is_ready() && inner.end.is_none() && inner.poll_patience(context).is_ready() {
            context.waker().wake_by_ref();
        }
        poll
    }

    /// Passes the end of a tunnel on. A connection of HTTP is ended when it has come back.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Some(inner) if inner.shared.has_other_protocol() => {
                let poll = Pin::new(&mut inner.stream).poll_shutdown(context);
                inner.poll_stall(poll, context)
            }
            _ => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Patience;
    use super::*;
    use crate::stream::{Accepted, Stream};
    use crate::strict::{HeadLimits, Inspector};
    use bytes::BytesMut;
    use std::future::poll_fn;
    use std::task::Waker;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn a_client_that_takes_something_has_all_of_its_time_again() {
        let long = Duration::from_secs(600);
        let patience = Patience { head: long, idle: long, stall: long };
        let inspector = Inspector::http1(HeadLimits { bytes: 1_000, fields: 10 });
        let (mut guarded, _returned) = Guarded::new((), inspector, patience, BytesMut::new());
        let inner = guarded.inner.as_mut().expect("not dropped");
        let mut context = Context::from_waker(Waker::noop());
        assert!(inner.poll_stall::<()>(Poll::Pending, &mut context).is_pending());
        assert!(inner.stalled.is_some());
        assert!(inner.poll_stall(Poll::Ready(Ok(1)), &mut context).is_ready());
        assert_eq!(inner.stalled, None);
    }
    #[tokio::test]
    async fn a_client_that_leaves_before_it_has_its_answer_ends_its_stream() {
        let long = Duration::from_secs(600);
        let patience = Patience { head: long, idle: long, stall: long };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut client = TcpStream::connect(address).await.expect("a connection");
        let (accepted, _) = listener.accept().await.expect("a connection");
        let accepted = Accepted::Tcp(accepted.into_std().expect("a socket"));
        let stream = Stream::Plain(accepted.into_socket().expect("a socket"));
        let inspector = Inspector::http1(HeadLimits { bytes: 1_000, fields: 10 });
        let (mut guarded, _returned) = Guarded::new(stream, inspector, patience, BytesMut::new());
        assert!(guarded.sees_leaving());
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        client.write_all(request).await.expect("to write");
        guarded.read_exact(&mut [0; 27]).await.expect("a request");
        let shared = guarded.shared();
        shared.begins();
        let noop = || Context::from_waker(Waker::noop());
        let mut flushed = Pin::new(&mut guarded).poll_flush(&mut noop());
        assert!(matches!(flushed, Poll::Ready(Ok(()))), "{flushed:?}");
        // What is sent before the answer is left unread.
        client.write_all(request).await.expect("to write");
        let socket = guarded.inner.as_ref().expect("not dropped").stream.socket().clone();
        socket.readable().await.expect("a request");
        flushed = Pin::new(&mut guarded).poll_flush(&mut noop());
        assert!(matches!(flushed, Poll::Ready(Ok(()))), "{flushed:?}");
        shared.ends();
        guarded.read_exact(&mut [0; 27]).await.expect("another request");
        shared.begins();
        let left = poll_fn(|context| match Pin::new(&mut guarded).poll_flush(context) {
            Poll::Ready(Ok(())) => Poll::Pending,
            left => left,
        });
        let (left, ()) = tokio::join!(left, async { drop(client) });
        assert_eq!(left.map_err(|error| error.kind()), Err(io::ErrorKind::ConnectionAborted));
    }
}

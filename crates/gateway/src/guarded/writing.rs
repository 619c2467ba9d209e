//! What is written to a client: a client that takes nothing of it for too long is given up.

use super::{Guarded, Inner};
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

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
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
    use crate::strict::{HeadLimits, Inspector};
    use bytes::BytesMut;
    use std::task::Waker;
    use std::time::Duration;

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
}

//! A socket to a tenant, and what goes over it.

use super::bell::Bell;
use super::line::Line;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much a tenant may send before the head of its answer is whole. The library bounds one head,
/// but not how many interim ones (`100 Continue`) come before it: without an end they would keep a
/// thread of the gateway busy for as long as the tenant sends them.
const BEFORE_HEAD_BYTES_MAX: u64 = 1 << 20;

/// What has gone over a connection since the last request on it began.
#[derive(Debug, Default)]
pub(super) struct Progress {
    has_sent: AtomicBool,
    received_bytes: AtomicU64,
    /// The head of the answer has come.
    is_headed: AtomicBool,
}

impl Progress {
    /// Another request begins.
    pub fn begin(&self) {
        self.has_sent.store(false, Relaxed);
        self.received_bytes.store(0, Relaxed);
        self.is_headed.store(false, Relaxed);
    }

    fn has_too_much_before_the_head(&self) -> bool {
        self.received_bytes.load(Relaxed) > BEFORE_HEAD_BYTES_MAX && !self.is_headed.load(Relaxed)
    }

    /// The head of the answer has come.
    pub fn has_head(&self) {
        self.is_headed.store(true, Relaxed);
    }

    /// The kernel has taken at least a byte of the request.
    pub fn has_sent(&self) -> bool {
        self.has_sent.load(Relaxed)
    }

    /// At least a byte of an answer has come.
    pub fn has_received(&self) -> bool {
        self.received_bytes.load(Relaxed) > 0
    }
}

/// A socket that notes its progress.
#[derive(Debug)]
pub(super) struct Watched {
    line: Line,
    /// The one that the connection is polled with.
    bell: Arc<Bell>,
    /// The bell's.
    reader: Waker,
    progress: Arc<Progress>,
}

impl Watched {
    /// Watches a socket of a connection that is polled with this bell alone.
    pub fn new(line: Line, bell: Arc<Bell>, progress: Arc<Progress>) -> Watched {
        Watched { line, reader: bell.reader(), bell, progress }
    }

    /// The socket alone.
    pub fn into_line(self) -> Line {
        self.line
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.progress.has_too_much_before_the_head() {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        // The library looks several times for an answer that has not come.
        if self.bell.awaits_read() {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        // A task whose budget is used up gets nothing either, and is woken while it is told so.
        let this = &mut *self;
        this.bell.reads();
        let mut context = Context::from_waker(&this.reader);
        let read = ready!(Pin::new(&mut this.line).poll_read(&mut context, buffer));
        this.bell.has_read();
        read?;
        let count = (buffer.filled().len() - before) as u64;
        // Only this connection's own task writes it.
        let so_far = self.progress.received_bytes.load(Relaxed);
        self.progress.received_bytes.store(so_far + count, Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.line).poll_write(context, bytes))?;
        self.progress.has_sent.store(true, Relaxed);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.line.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // The kernel takes one part, a head without a body, in less time than several.
        if let [part] = parts {
            return self.poll_write(context, part);
        }
        let count = ready!(Pin::new(&mut self.line).poll_write_vectored(context, parts))?;
        self.progress.has_sent.store(true, Relaxed);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::task::Waker;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    fn poll(watched: &mut Watched, waker: &Waker) -> Poll<usize> {
        let mut room = [0; 8];
        let mut room = ReadBuf::new(&mut room);
        let poll = Pin::new(watched).poll_read(&mut Context::from_waker(waker), &mut room);
        poll.map(|read| read.map_or(0, |()| room.filled().len()))
    }

    /// Its end, which has been sent "ab", and the other one.
    async fn watched(bell: &Arc<Bell>) -> (Watched, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stream = TcpStream::connect(address).await.expect("a connection");
        let (mut other, _) = listener.accept().await.expect("a connection");
        other.write_all(b"ab").await.expect("to write");
        stream.readable().await.expect("to be read");
        (Watched::new(Line::Plain(stream), bell.clone(), Arc::default()), other)
    }

    #[tokio::test]
    async fn what_comes_after_a_look_that_found_nothing_is_read() {
        let bell = Arc::<Bell>::default();
        let waker = Waker::from(bell.clone());
        let (mut watched, mut other) = watched(&bell).await;
        for _ in 0..3 {
            assert_eq!(poll(&mut watched, &waker), Poll::Ready(2));
            assert!(poll(&mut watched, &waker).is_pending());
            assert!(bell.awaits_read());
            other.write_all(b"ab").await.expect("to write");
            while !bell.has_rung() {
                tokio::task::yield_now().await;
            }
            bell.reset();
        }
    }

    #[tokio::test]
    async fn a_task_without_budget_looks_again() {
        let bell = Arc::<Bell>::default();
        let waker = Waker::from(bell.clone());
        let (mut watched, _other) = watched(&bell).await;
        poll_fn(|context| {
            while let Poll::Ready(spent) = tokio::task::coop::poll_proceed(context) {
                spent.made_progress();
            }
            assert!(poll(&mut watched, &waker).is_pending());
            Poll::Ready(())
        })
        .await;
        while !bell.has_rung() {
            tokio::task::yield_now().await;
        }
        assert_eq!(poll(&mut watched, &waker), Poll::Ready(2));
    }
}

//! The stream of a client's connection, of which the HTTP library sees only what the inspector has
//! passed on. It ends when a client is too slow, and when nothing is asked of it for a while.
//!
//! The bytes are inspected in the library's own buffer. Only those that cannot be passed on yet,
//! such as the first part of a head, are kept here.

use crate::clock;
use crate::refusal::{Refusal, Why};
use crate::strict::{Inspector, Verdict};
use bytes::{Buf, BytesMut};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::Sleep;

/// How much of another protocol is kept before the tenant agrees to it.
const EARLY_BYTES: usize = 16 << 10;

/// How long the parts of a connection's life may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// Without a request, before the stream is given back: an idle connection then needs none of
    /// the library's buffers.
    pub idle: Duration,
    /// While the client takes nothing of what is written to it.
    pub stall: Duration,
}

/// What the stream and the requests on it tell each other.
#[derive(Debug, Default)]
pub struct Shared {
    refusal: Mutex<Option<Refusal>>,
    /// The refusal was answered as the answer to a request whose body it was found in.
    is_answered: AtomicBool,
    other_protocol: AtomicBool,
    in_flight: AtomicU32,
    begun: AtomicU64,
    /// Is woken when a request is over.
    awaits_end: Mutex<Option<Waker>>,
}

impl Shared {
    /// Why the connection ends, if what the client sent was refused. The caller answers it.
    pub fn take_refusal(&self) -> Option<Refusal> {
        let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if refusal.is_some() {
            self.is_answered.store(true, Ordering::Relaxed);
        }
        refusal
    }

    /// The tenant has agreed to another protocol.
    pub fn allow_other_protocol(&self) {
        self.other_protocol.store(true, Ordering::Release);
    }

    pub(crate) fn begins(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ends(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        let waiting = self.awaits_end.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    fn await_end(&self, waker: &Waker) {
        let mut waiting = self.awaits_end.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting = Some(waker.clone());
    }

    /// How many requests have begun on the connection.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0
    }
}

/// What is left when the library is done with a stream.
pub(crate) struct Returned<S> {
    pub stream: S,
    pub inspector: Inspector,
    /// Why it ended, if that is still to be said.
    pub refusal: Option<Refusal>,
    /// It was idle, and may go on.
    pub is_idle: bool,
}

/// A client's stream.
pub(crate) struct Guarded<S> {
    /// `None` only while it is dropped.
    inner: Option<Inner<S>>,
    back: Option<oneshot::Sender<Returned<S>>>,
}

struct Inner<S> {
    stream: S,
    inspector: Inspector,
    shared: Arc<Shared>,
    patience: Patience,
    /// How many heads were passed on before the library had the stream.
    heads_before: u64,
    /// What was received, and is not passed on.
    received: BytesMut,
    /// How much of that may be.
    passed: usize,
    end: Option<End>,
    waits_for: Option<(Awaited, Instant)>,
    sleep: Alarm,
    stalled: Option<Instant>,
    stall_sleep: Alarm,
}

/// Why nothing more is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Refused,
    Idle,
}

/// What the client is to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// Another request.
    Request,
    /// The rest of a head.
    Head,
}

impl<S> Guarded<S> {
    /// Guards a stream, of which some bytes were received. It comes back when the library, or the
    /// tunnel that the library made of it, is done.
    pub fn new(
        stream: S,
        inspector: Inspector,
        patience: Patience,
        received: BytesMut,
    ) -> (Guarded<S>, oneshot::Receiver<Returned<S>>) {
        let (back, returned) = oneshot::channel();
        let inner = Inner {
            stream,
            heads_before: inspector.heads(),
            inspector,
            shared: Arc::default(),
            patience,
            received,
            passed: 0,
            end: None,
            waits_for: None,
            sleep: Alarm::default(),
            stalled: None,
            stall_sleep: Alarm::default(),
        };
        (Guarded { inner: Some(inner), back: Some(back) }, returned)
    }

    pub fn shared(&self) -> Arc<Shared> {
        self.inner.as_ref().map(|inner| inner.shared.clone()).unwrap_or_default()
    }
}

impl<S> Drop for Guarded<S> {
    fn drop(&mut self) {
        let (Some(inner), Some(back)) = (self.inner.take(), self.back.take()) else { return };
        let is_answered = inner.shared.is_answered.load(Ordering::Relaxed);
        let refusal = inner.shared.refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Nobody waits for it when the connection is cut off.
        let _ = back.send(Returned {
            stream: inner.stream,
            inspector: inner.inspector,
            refusal: refusal.filter(|_| !is_answered),
            is_idle: inner.end == Some(End::Idle),
        });
    }
}

impl<S: AsyncRead + Unpin> Inner<S> {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.shared.other_protocol.load(Ordering::Acquire) {
            self.inspector.allow_other_protocol();
        }
        loop {
            if self.end.is_some() || room.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            if self.passed > 0 {
                let count = self.passed.min(room.remaining());
                room.put_slice(&self.received[..count]);
                self.received.advance(count);
                self.passed -= count;
                if self.received.is_empty() {
                    self.received = BytesMut::new();
                }
                return Poll::Ready(Ok(()));
            }
            if !self.received.is_empty() {
                match self.inspector.inspect(&self.received) {
                    Verdict::Pass(count) => {
                        self.passed = count;
                        continue;
                    }
                    Verdict::Refuse(refusal) => return self.refuse(refusal, context),
                    // What comes before the tenant agrees to another protocol waits in the socket.
                    Verdict::Wait
                        if self.inspector.awaits_agreement()
                            && self.received.len() >= EARLY_BYTES =>
                    {
                        return Poll::Pending;
                    }
                    Verdict::Wait => {}
                }
            }
            let before = room.filled().len();
            if Pin::new(&mut self.stream).poll_read(context, room)?.is_pending() {
                ready!(self.poll_patience(context));
                continue;
            }
            let new = &room.filled()[before..];
            if new.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let passed = match self.received.is_empty() {
                true => self.inspector.inspect(new),
                false => Verdict::Wait,
            };
            match passed {
                Verdict::Pass(count) if count == new.len() => {
                    self.waits_for = None;
                    return Poll::Ready(Ok(()));
                }
                Verdict::Pass(count) => {
                    self.waits_for = None;
                    self.received.extend_from_slice(&new[count..]);
                    room.set_filled(before + count);
                    return Poll::Ready(Ok(()));
                }
                // What is refused may have to be inspected again when its turn comes.
                Verdict::Refuse(_) | Verdict::Wait => {
                    self.received.extend_from_slice(new);
                    room.set_filled(before);
                }
            }
        }
    }

    /// Ends what is passed on. A request before the one that is refused gets its answer first: to
    /// the library an end in the midst of it would be its client's leaving.
    fn refuse(&mut self, refusal: Refusal, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.inspector.is_between_requests() && self.is_busy() {
            self.shared.await_end(context.waker());
            return Poll::Pending;
        }
        *self.shared.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
        self.end = Some(End::Refused);
        Poll::Ready(Ok(()))
    }

    /// Is ready when the client has taken too long for what it is to send.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let awaited = match () {
            // Bodies are timed by those who read them.
            () if !self.inspector.is_between_requests() || self.is_busy() => None,
            () if self.received.is_empty() => Some(Awaited::Request),
            () => Some(Awaited::Head),
        };
        let Some(awaited) = awaited else {
            self.waits_for = None;
            return Poll::Pending;
        };
        let deadline = match self.waits_for {
            Some((known, deadline)) if known == awaited => deadline,
            _ => {
                let patience = match awaited {
                    Awaited::Request => self.patience.idle,
                    Awaited::Head => self.patience.head,
                };
                let deadline = clock::now() + patience;
                self.waits_for = Some((awaited, deadline));
                deadline
            }
        };
        ready!(self.sleep.poll(deadline, context));
        self.end = Some(match awaited {
            Awaited::Request => End::Idle,
            Awaited::Head => {
                let refusal = Refusal::new(408, Why::TooSlow);
                *self.shared.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
                End::Refused
            }
        });
        Poll::Ready(())
    }
}

impl<S> Inner<S> {
    /// A request has no whole answer yet. The library reads on before it has one begun.
    fn is_busy(&self) -> bool {
        let passed = self.inspector.heads() - self.heads_before;
        passed > self.shared.begun() || self.shared.is_busy()
    }

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

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Some(inner) => inner.poll_read(context, room),
            None => Poll::Ready(Ok(())),
        }
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
            Some(inner) if inner.shared.other_protocol.load(Ordering::Acquire) => {
                let poll = Pin::new(&mut inner.stream).poll_shutdown(context);
                inner.poll_stall(poll, context)
            }
            _ => Poll::Ready(Ok(())),
        }
    }
}

/// A timer that is set anew only when it has gone off too early: most of its deadlines are moved
/// on, request by request, long before they are reached.
#[derive(Default)]
pub(crate) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    pub fn poll(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let deadline = tokio::time::Instant::from_std(deadline);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(context));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strict::HeadLimits;
    use std::task::Waker;

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

//! The stream of a client's connection, of which the HTTP library sees only what the inspector has
//! passed on. It ends when a client is too slow, when it leaves before it has its answer, and when
//! nothing is asked of it for a while.
//!
//! The bytes are inspected in the library's own buffer. Only those that cannot be passed on yet,
//! such as the first part of a head, are kept here.

mod shared;
mod writing;

use crate::alarm::Alarm;
use crate::clock;
use crate::refusal::{Refusal, Why};
use crate::strict::{Inspector, Verdict};
use bytes::{Buf, BytesMut};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::oneshot;

pub use shared::Shared;

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

/// What is left when the library is done with a stream.
pub(crate) struct Returned<S> {
    pub stream: S,
    pub inspector: Inspector,
    /// Why it ended, if that is still to be said.
    pub refusal: Option<Refusal>,
    /// It was idle, and may go on.
    pub is_idle: bool,
}

/// A stream of which may be seen that its client has left, though nothing is read of it.
pub(crate) trait Leaving {
    /// Whether it is seen.
    fn is_seen(&self) -> bool;
    /// Ready when the client has left. Without a wake while something is unread, behind which the
    /// end is not seen.
    fn poll_left(&self, context: &mut Context<'_>) -> Poll<()>;
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

impl<S: Leaving> Guarded<S> {
    /// Whether it fails by itself when the client leaves before it has its answer. Otherwise the
    /// library has to read meanwhile.
    pub fn sees_leaving(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.stream.is_seen())
    }
}

impl<S> Drop for Guarded<S> {
    fn drop(&mut self) {
        let (Some(inner), Some(back)) = (self.inner.take(), self.back.take()) else { return };
        let refusal = inner.shared.untold_refusal();
        // Nobody waits for it when the connection is cut off.
        let _ = back.send(Returned {
            stream: inner.stream,
            inspector: inner.inspector,
            refusal,
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
        if self.shared.has_other_protocol() {
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
        self.shared.refuse(refusal);
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
                self.shared.refuse(refusal);
                End::Refused
            }
        });
        Poll::Ready(())
    }
}

impl<S> Inner<S> {
    /// All of a request is passed on, and its answer is to come.
    fn is_answering(&self) -> bool {
        // Until its tenant agrees to another protocol: then its end is passed on.
        let awaits_agreement =
            self.inspector.awaits_agreement() && !self.shared.has_other_protocol();
        let is_whole = self.inspector.is_between_requests() || awaits_agreement;
        is_whole && self.received.is_empty() && self.is_busy()
    }

    /// A request has no whole answer yet. The library reads on before it has one begun.
    fn is_busy(&self) -> bool {
        let passed = self.inspector.heads() - self.heads_before;
        passed > self.shared.begun() || self.shared.is_busy()
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

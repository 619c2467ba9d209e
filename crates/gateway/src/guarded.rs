//! The stream of a client's connection, of which the HTTP library sees only what the inspector has
//! passed on.

use crate::answer;
use crate::refusal::Refusal;
use crate::strict::{HeadLimits, Inspector, Verdict};
use bytes::{Buf, Bytes, BytesMut};
use hyper::rt::{Read, ReadBufCursor, Write};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is read at a time.
const READ_BYTES: usize = 8 << 10;

/// What the stream and the requests on it tell each other.
#[derive(Debug, Default)]
pub struct Shared {
    refusal: Mutex<Option<Refusal>>,
    /// The refusal was answered as the answer to a request whose body it was found in.
    is_answered: AtomicBool,
    other_protocol: AtomicBool,
}

impl Shared {
    /// Why the connection ends, if what the client sent was refused. Whoever takes it answers it.
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
}

/// A client's stream.
pub struct Guarded<S> {
    stream: S,
    inspector: Inspector,
    shared: Arc<Shared>,
    received: BytesMut,
    /// How much of what was received is passed on.
    passed: usize,
    /// What is left to write of the answer to what was refused.
    farewell: Option<Bytes>,
}

impl<S> Guarded<S> {
    pub fn new(stream: S, limits: HeadLimits, received: BytesMut) -> Guarded<S> {
        let (inspector, shared) = (Inspector::new(limits), Arc::default());
        Guarded { stream, inspector, shared, received, passed: 0, farewell: None }
    }

    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }
}

impl<S: AsyncRead + Unpin> Read for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut room: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.passed > 0 {
                let count = this.passed.min(room.remaining());
                room.put_slice(&this.received[..count]);
                this.received.advance(count);
                this.passed -= count;
                return Poll::Ready(Ok(()));
            }
            if this.farewell.is_some() {
                return Poll::Ready(Ok(()));
            }
            if this.shared.other_protocol.load(Ordering::Acquire) {
                this.inspector.allow_other_protocol();
            }
            match this.inspector.inspect(&this.received) {
                Verdict::Pass(count) => {
                    this.passed = count;
                    continue;
                }
                Verdict::Refuse(refusal) => {
                    this.farewell = Some(answer::bare(&refusal));
                    *this.shared.refusal.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some(refusal);
                    return Poll::Ready(Ok(()));
                }
                Verdict::Wait => {}
            }
            this.received.reserve(READ_BYTES);
            let mut spare = ReadBuf::uninit(this.received.spare_capacity_mut());
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut spare))?;
            match spare.filled().len() {
                0 => return Poll::Ready(Ok(())),
                count => this.received = grown(std::mem::take(&mut this.received), count),
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Write for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Says why the connection ends, unless a request's answer has said so.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.shared.is_answered.load(Ordering::Relaxed) {
            while let Some(left) = this.farewell.as_mut().filter(|left| left.has_remaining()) {
                let count = ready!(Pin::new(&mut this.stream).poll_write(context, left))?;
                left.advance(count);
            }
        }
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}

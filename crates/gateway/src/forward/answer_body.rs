//! The body of an answer on its way to the client.

use super::upstream::Upstream;
use super::upstreams::Upstreams;
use crate::record::Record;
use crate::streams;
use crate::tenants::InUse;
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;

/// Small parts that are there at once are joined, up to so many bytes: for the client each would be
/// a chunk of its own, and a call of the system for every few of them.
const JOINED_BYTES: usize = 16 << 10;

/// Why a body broke off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// What a poll of a body gives.
pub(super) type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

/// The body of every answer that the gateway gives. A tenant's keeps it in use until it is dropped;
/// dropping it before its end ends the exchange with the tenant.
pub struct AnswerBody(Kind);

enum Kind {
    Full(Option<Bytes>),
    Tenant(Pin<Box<dyn Body<Data = Bytes, Error = BodyError> + Send>>),
}

impl AnswerBody {
    /// A body that is here already.
    pub fn full(bytes: Bytes) -> AnswerBody {
        AnswerBody(Kind::Full(Some(bytes).filter(|bytes| !bytes.is_empty())))
    }

    /// No body.
    pub fn empty() -> AnswerBody {
        AnswerBody(Kind::Full(None))
    }

    pub(super) fn of<T: InUse>(body: TenantBody<T>) -> AnswerBody {
        AnswerBody(Kind::Tenant(Box::pin(body)))
    }
}

impl fmt::Debug for AnswerBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AnswerBody").finish_non_exhaustive()
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        match &mut self.0 {
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Tenant(body) => {
                let frame = body.as_mut().poll_frame(context);
                streams::was_asked(frame.is_ready());
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Tenant(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Kind::Tenant(body) => body.size_hint(),
        }
    }
}

/// What else an answer's body keeps, and what follows its end.
pub(super) enum By<T> {
    /// The request is over.
    Connection {
        /// Where the connection goes then, if it may be used again.
        keep: Arc<Upstreams>,
        /// Keeps the tenant in use.
        in_use: T,
    },
    /// A task sends the rest of the request. It is told when the answer has ended, and ends at once
    /// if it hears of no end. If it ends before, the request broke off.
    Task { ended: Option<oneshot::Sender<()>>, in_use: Arc<T> },
}

impl<T> By<T> {
    fn in_use(&self) -> &T {
        match self {
            By::Connection { in_use, .. } => in_use,
            By::Task { in_use, .. } => in_use,
        }
    }
}

/// The body of a tenant's answer.
pub(super) struct TenantBody<T> {
    /// `None` once it was let go.
    upstream: Option<Box<Upstream>>,
    record: Arc<Record>,
    by: By<T>,
    /// Resolves when the host that it comes from is gone: of that no connection need tell.
    is_lost: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// A part that was taken, and is not passed on yet.
    next: Option<Frame<Bytes>>,
    has_failed: bool,
    /// A failure that is not told yet.
    failure: Option<BodyError>,
    /// What came before the failure was passed on.
    is_failure_due: bool,
}

impl<T: InUse> TenantBody<T> {
    pub fn new(upstream: Box<Upstream>, record: Arc<Record>, by: By<T>) -> TenantBody<T> {
        let in_use = by.in_use();
        let is_lost = in_use.peer().map(|_| Box::pin(in_use.revoked()) as _);
        TenantBody {
            upstream: Some(upstream),
            record,
            by,
            is_lost,
            next: None,
            has_failed: false,
            failure: None,
            is_failure_due: false,
        }
    }

    fn fail(&mut self, error: BodyError) -> Polled {
        self.has_failed = true;
        self.failure = Some(error);
        Poll::Pending
    }

    /// The next part that the tenant has sent.
    fn poll_part(&mut self, context: &mut Context<'_>) -> Polled {
        if let By::Task { ended: Some(ended), .. } = &mut self.by
            && ended.poll_closed(context).is_ready()
        {
            return self.fail("the request broke off".into());
        }
        let Some(upstream) = &mut self.upstream else { return Poll::Ready(None) };
        match upstream.poll_frame(context) {
            Poll::Ready(Some(Err(error))) => self.fail(error),
            Poll::Pending if self.poll_lost(context).is_ready() => {
                self.fail("the tenant's host is gone".into())
            }
            frame => {
                if let Poll::Ready(Some(Ok(frame))) = &frame
                    && let Some(data) = frame.data_ref()
                {
                    self.record.count_out(data.len() as u64);
                }
                frame
            }
        }
    }

    fn poll_lost(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.is_lost.as_mut().map_or(Poll::Pending, |lost| lost.as_mut().poll(context))
    }

    /// The next part, with those joined to it that are there already.
    fn poll_parts(&mut self, context: &mut Context<'_>) -> Polled {
        if let Some(next) = self.next.take() {
            return Poll::Ready(Some(Ok(next)));
        }
        let first = match ready!(self.poll_part(context)) {
            Some(Ok(frame)) => frame.into_data(),
            end => return Poll::Ready(end),
        };
        let frame = first.map(|first| Frame::data(self.join(first, context)));
        Poll::Ready(Some(Ok(frame.unwrap_or_else(|trailers| trailers))))
    }

    fn join(&mut self, first: Bytes, context: &mut Context<'_>) -> Bytes {
        let mut joined: Option<BytesMut> = None;
        loop {
            let length = joined.as_ref().map_or(first.len(), BytesMut::len);
            if length >= JOINED_BYTES || self.is_end_stream() {
                break;
            }
            let Poll::Ready(Some(Ok(frame))) = self.poll_part(context) else { break };
            match frame.data_ref() {
                Some(data) if length + data.len() <= JOINED_BYTES => {
                    joined
                        .get_or_insert_with(|| BytesMut::from(&first[..]))
                        .extend_from_slice(data);
                }
                _ => {
                    self.next = Some(frame);
                    break;
                }
            }
        }
        joined.map_or(first, BytesMut::freeze)
    }
}

impl<T> TenantBody<T> {
    /// All of it was taken.
    fn is_over(&self) -> bool {
        self.upstream.as_ref().is_none_or(|upstream| upstream.body().is_over())
    }
}

// Nothing in it is pinned.
impl<T> Unpin for TenantBody<T> {}

impl<T: InUse> Body for TenantBody<T> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        if this.failure.is_none() || this.next.is_some() {
            let parts = this.poll_parts(context);
            if parts.is_ready() && !this.by.in_use().may_answer() {
                this.has_failed = true;
                this.next = None;
                return Poll::Ready(Some(Err("the host may not answer for its tenants".into())));
            }
            if parts.is_ready() || this.failure.is_none() {
                return parts;
            }
        }
        // The client gets what came before the failure first: the library writes that once this has
        // said `Pending`.
        if !std::mem::replace(&mut this.is_failure_due, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(this.failure.take().map(Err))
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none() && !self.has_failed && self.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.upstream.as_ref().and_then(|upstream| upstream.body().length());
        let next = self.next.as_ref().and_then(Frame::data_ref).map_or(0, Bytes::len);
        rest.map_or(SizeHint::default(), |rest| SizeHint::with_exact(rest + next as u64))
    }
}

impl<T> Drop for TenantBody<T> {
    fn drop(&mut self) {
        if self.has_failed || !self.is_over() {
            return;
        }
        match &mut self.by {
            By::Connection { keep, .. } => {
                if let Some(upstream) = self.upstream.take() {
                    keep.put(upstream);
                }
            }
            By::Task { ended, .. } => {
                // The task may be over.
                let _ = ended.take().map(|ended| ended.send(()));
            }
        }
    }
}

//! The body of an answer on its way to the client.

use super::upstreams::{Upstream, Upstreams};
use crate::record::Record;
use crate::streams;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

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

    pub(super) fn of<T: Send + Sync + 'static>(body: TenantBody<T>) -> AnswerBody {
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

/// What an answer's body comes by.
pub(super) enum By<T> {
    /// The connection, which is driven by who takes the body.
    Connection {
        upstream: Box<Upstream>,
        /// Where it goes when the exchange has ended, unless it may not be used again.
        keep: Option<Arc<Upstreams>>,
        /// Keeps the tenant in use.
        _in_use: T,
    },
    /// A task that drives the connection, as the request's body has not ended yet. It is told when
    /// the answer has, and ends at once if it hears of no end.
    Task { ended: Option<oneshot::Sender<()>>, _in_use: Arc<T> },
}

/// The body of a tenant's answer.
pub(super) struct TenantBody<T> {
    incoming: Incoming,
    record: Arc<Record>,
    /// `None` once it was let go.
    by: Option<By<T>>,
    is_ended: bool,
    has_failed: bool,
    /// A failure that is not told yet.
    failure: Option<BodyError>,
}

impl<T> TenantBody<T> {
    pub fn new(incoming: Incoming, record: Arc<Record>, by: By<T>) -> TenantBody<T> {
        let (is_ended, has_failed, failure) = (false, false, None);
        TenantBody { incoming, record, by: Some(by), is_ended, has_failed, failure }
    }

    fn poll_incoming(&mut self, context: &mut Context<'_>) -> Polled {
        // What is taken makes room, of which the body tells the connection, and that its task. The
        // connection is polled before the body is found empty again, so that this is needless.
        let muted = match &self.by {
            Some(By::Connection { upstream, .. }) => Some(upstream.mute()),
            _ => None,
        };
        let frame = Pin::new(&mut self.incoming).poll_frame(context);
        drop(muted);
        frame.map(|frame| match frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.record.count_out(data.len() as u64);
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => Some(Err(error.into())),
            None => {
                self.is_ended = true;
                None
            }
        })
    }

    /// Tells a failure, at the next poll: the client gets what came before it first.
    fn fail(&mut self, context: &mut Context<'_>, error: BodyError) -> Polled {
        self.has_failed = true;
        self.failure = Some(error);
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

// Nothing in it is pinned.
impl<T> Unpin for TenantBody<T> {}

impl<T> Body for TenantBody<T> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        if let Some(error) = this.failure.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let mut frame = this.poll_incoming(context);
        // That has told the connection that the next part is wanted.
        if frame.is_pending()
            && let Some(By::Connection { upstream, .. }) = &mut this.by
        {
            let is_over = upstream.poll(context).is_ready();
            frame = this.poll_incoming(context);
            if frame.is_pending() && is_over {
                // A body ends only by its own end.
                return this.fail(context, "the tenant's connection is over".into());
            }
        }
        match frame {
            Poll::Ready(Some(Err(error))) => this.fail(context, error),
            frame => frame,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_ended || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl<T> Drop for TenantBody<T> {
    fn drop(&mut self) {
        let is_whole = !self.has_failed && (self.is_ended || self.incoming.is_end_stream());
        match self.by.take() {
            Some(By::Connection { upstream, keep: Some(upstreams), .. }) if is_whole => {
                upstreams.put(upstream);
            }
            Some(By::Task { ended: Some(ended), .. }) if is_whole => {
                // The task may be over.
                ended.send(()).ok();
            }
            _ => {}
        }
    }
}

//! The body of a request on its way to the tenant: counted, bounded, and with an end to waiting.

use super::{BodyError, ForwardSettings};
use crate::guarded;
use crate::record::Record;
use crate::refusal::{Refusal, Why};
use crate::strict::is_forbidden_trailer;
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// A body that makes no progress is looked at this many times before it is given up: so no clock is
/// read for a frame, and no timer set anew.
const STRIKES_MAX: u32 = 4;
/// Parts that are kept at most: each may hold a whole buffer of the HTTP library's.
const PARTS_MAX: usize = 16;

/// A request's body, which the tries to send it share.
#[derive(Clone, Debug)]
pub(super) struct Source(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    incoming: Incoming,
    record: Arc<Record>,
    /// Bytes that may still come.
    left: Option<u64>,
    /// The trailers that its head tells of.
    announced: Vec<HeaderName>,
    /// How much of it is kept until the answer begins.
    keeps_bytes: usize,
    /// What was taken of it and could be sent once more.
    taken: Taken,
    is_ended: bool,
    failure: Option<Refusal>,
    guard: Option<Arc<guarded::Shared>>,
    idle: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    strikes: u32,
}

#[derive(Debug)]
enum Taken {
    Nothing,
    /// Only this, which the current try has got, or has not yet.
    First(Bytes, bool),
    /// These, of which the current try has got so many.
    Parts(Vec<Bytes>, usize),
    More,
}

impl Taken {
    /// What there is of it that the current try has not got.
    fn next(&mut self) -> Option<Bytes> {
        match self {
            Taken::First(part, is_given) => {
                (!std::mem::replace(is_given, true)).then(|| part.clone())
            }
            Taken::Parts(parts, given) => {
                let part = parts.get(*given).cloned();
                *given += usize::from(part.is_some());
                part
            }
            Taken::Nothing | Taken::More => None,
        }
    }

    /// Another try begins.
    fn rewind(&mut self) {
        match self {
            Taken::First(_, is_given) => *is_given = false,
            Taken::Parts(_, given) => *given = 0,
            Taken::Nothing | Taken::More => {}
        }
    }

    /// With one more part, which the current try gets. Kept are so many bytes, and the first part in
    /// any case.
    fn with(self, part: &Bytes, keeps_bytes: usize) -> Taken {
        let mut parts = match self {
            Taken::Nothing => return Taken::First(part.clone(), true),
            Taken::More => return Taken::More,
            Taken::First(first, _) => vec![first],
            Taken::Parts(parts, _) => parts,
        };
        let bytes: usize = parts.iter().map(Bytes::len).sum();
        if parts.len() == PARTS_MAX || bytes + part.len() > keeps_bytes {
            return Taken::More;
        }
        parts.push(part.clone());
        let given = parts.len();
        Taken::Parts(parts, given)
    }
}

impl Source {
    /// Takes a request's body, unless it says itself that it is too large.
    pub fn new(
        incoming: Incoming,
        announced: Vec<HeaderName>,
        settings: &ForwardSettings,
        record: &Arc<Record>,
        guard: Option<Arc<guarded::Shared>>,
    ) -> Result<Source, Refusal> {
        let left = settings.body_bytes;
        if left.is_some_and(|left| incoming.size_hint().lower() > left) {
            return Err(Refusal::new(413, Why::BodyTooLarge));
        }
        Ok(Source(Arc::new(Mutex::new(State {
            incoming,
            record: record.clone(),
            left,
            announced,
            keeps_bytes: 0,
            taken: Taken::Nothing,
            is_ended: false,
            failure: None,
            guard,
            idle: settings.body_idle,
            timer: None,
            strikes: 0,
        }))))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body from its beginning, for a try on a connection. So much of it is kept for another.
    pub fn again(&self, keeps_bytes: usize) -> Source {
        let mut state = self.state();
        state.keeps_bytes = keeps_bytes;
        state.taken.rewind();
        self.clone()
    }

    /// The next part. It is asked for when something of the request was sent: until then all of it
    /// can be sent on another connection.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, BodyError>> {
        self.state().poll(context)
    }

    /// It can be sent from its beginning.
    pub fn is_whole(&self) -> bool {
        !matches!(self.state().taken, Taken::More)
    }

    /// All of it was taken.
    pub fn is_ended(&self) -> bool {
        let state = self.state();
        state.is_ended || state.incoming.is_end_stream()
    }

    /// Why it broke off, if it did.
    pub fn failure(&self) -> Option<Refusal> {
        self.state().failure.clone()
    }

    /// Takes what is left of it and drops that.
    pub async fn drain(&self) {
        self.state().taken = Taken::More;
        std::future::poll_fn(|context| {
            let mut state = self.state();
            while !state.is_ended && ready!(state.poll(context)).is_ok_and(|frame| frame.is_some())
            {
            }
            Poll::Ready(())
        })
        .await;
    }
}

impl State {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, BodyError>> {
        if let Some(failure) = &self.failure {
            return Poll::Ready(Err(failure.to_string().into()));
        }
        if let Some(bytes) = self.taken.next() {
            return Poll::Ready(Ok(Some(Frame::data(bytes))));
        }
        if self.is_ended {
            return Poll::Ready(Ok(None));
        }
        match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                self.strikes = 0;
                self.take(frame).map(Some)
            }
            Poll::Ready(Some(Err(_))) => {
                let refused = self.guard.as_ref().and_then(|guard| guard.take_refusal());
                self.fail(refused.unwrap_or(Refusal::new(400, Why::BodyCut)))
            }
            Poll::Ready(None) => {
                self.is_ended = true;
                Ok(None)
            }
            Poll::Pending => {
                ready!(self.poll_strikes(context));
                self.fail(Refusal::new(408, Why::TooSlow))
            }
        }
        .into()
    }

    fn take(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                self.taken = Taken::More;
                let trailers = frame.into_trailers().unwrap_or_default();
                return self.take_trailers(trailers).map(Frame::trailers);
            }
        };
        let count = data.len() as u64;
        self.record.count_in(count);
        match self.left.map(|left| left.checked_sub(count)) {
            Some(None) => return self.fail(Refusal::new(413, Why::BodyTooLarge)),
            Some(left) => self.left = left,
            None => {}
        }
        let taken = std::mem::replace(&mut self.taken, Taken::More);
        self.taken = taken.with(&data, self.keeps_bytes);
        Ok(Frame::data(data))
    }

    /// Those that were announced: a tenant need not expect others.
    fn take_trailers(&mut self, mut trailers: HeaderMap) -> Result<HeaderMap, BodyError> {
        // Those of HTTP/1 were inspected before.
        if trailers.keys().any(|name| is_forbidden_trailer(name.as_str().as_bytes())) {
            return self.fail(Refusal::new(400, Why::Trailer));
        }
        let names: Vec<HeaderName> = trailers.keys().cloned().collect();
        for name in names.iter().filter(|name| !self.announced.contains(name)) {
            trailers.remove(name);
        }
        Ok(trailers)
    }

    fn fail<T>(&mut self, refusal: Refusal) -> Result<T, BodyError> {
        let error = refusal.to_string().into();
        self.failure = Some(refusal);
        Err(error)
    }

    /// Ready when the client has sent nothing for as long as it may.
    fn poll_strikes(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let period = self.idle / STRIKES_MAX;
        loop {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(period)));
            ready!(timer.as_mut().poll(context));
            // From now on, and not from when it fired: the tenant may have wanted nothing since.
            self.timer = None;
            self.strikes += 1;
            if self.strikes > STRIKES_MAX {
                return Poll::Ready(());
            }
        }
    }
}

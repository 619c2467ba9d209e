//! Who is answered where. A call comes from JavaScript, and is answered by a record in the uplink;
//! or from a thread in Rust, and is answered by waking the future that waits for it. The pool sees
//! a number in either case.

use crate::Driver;
use crate::core::Core;
use crate::directory::InUse;
use crate::machine::Machine;
use pool::{CallId, Input, Key, Outcome, Refusal};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// The first number of a call in Rust. JavaScript counts its own up from 1, and its numbers are
/// exact below 2⁵³.
const FIRST_IN_RUST: CallId = 1 << 63;

/// What comes of a call in Rust for a tenant.
pub type Answer = Result<InUse, Refusal>;

/// The calls in Rust that are not answered yet. Behind the driver's lock.
#[derive(Default)]
pub(crate) struct Callers {
    opened: u64,
    waiting: HashMap<CallId, Waiting>,
}

/// A call in Rust.
pub(crate) struct Waiting {
    pub key: Key,
    answer: oneshot::Sender<Answer>,
}

impl Waiting {
    /// One that has gone away meanwhile does not hear it, and what it would have used is no longer
    /// in use.
    pub fn answer(self, answer: Answer) {
        let _ = self.answer.send(answer);
    }
}

impl Callers {
    /// Whether a thread in Rust has made the call, and not JavaScript.
    pub fn are_in_rust(call: CallId) -> bool {
        call >= FIRST_IN_RUST
    }

    fn open(&mut self, key: Key) -> (CallId, oneshot::Receiver<Answer>) {
        let call = FIRST_IN_RUST + self.opened;
        self.opened += 1;
        let (answer, answered) = oneshot::channel();
        self.waiting.insert(call, Waiting { key, answer });
        (call, answered)
    }

    /// Takes a call out, to be answered.
    pub fn take(&mut self, call: CallId) -> Option<Waiting> {
        self.waiting.remove(&call)
    }

    /// Puts a call back that is not to be answered yet.
    pub fn keep(&mut self, call: CallId, waiting: Waiting) {
        self.waiting.insert(call, waiting);
    }
}

/// A call for a tenant, which resolves to the tenant, in use already. Dropping it before that
/// aborts the call: a start that nothing else waits for is called off.
#[must_use = "a call that is dropped is aborted"]
pub struct Ensure<M: Machine> {
    driver: Arc<Driver<M>>,
    state: State,
}

enum State {
    /// The answer was there at once.
    Found(Option<InUse>),
    Waiting {
        key: Key,
        call: CallId,
        answered: oneshot::Receiver<Answer>,
    },
    Answered,
}

impl<M: Machine> Driver<M> {
    /// The key's tenant, for a thread in Rust. One that is ready is found in the directory, without
    /// the lock; otherwise it is started, as for a caller in JavaScript, and beside those. May be
    /// called on any thread and awaited in any runtime.
    pub fn ensure(self: &Arc<Self>, key: &str) -> Ensure<M> {
        let state = match self.directory.acquire(key) {
            Some(tenant) => State::Found(Some(tenant)),
            None => self.call(Key::from(key)),
        };
        Ensure { driver: self.clone(), state }
    }

    fn call(self: &Arc<Self>, key: Key) -> State {
        let mut core = self.lock();
        let (call, answered) = core.callers.open(key.clone());
        self.feed_locked(&mut core, Input::Ensure { key: key.clone(), call });
        drop(core);
        self.uplink.ring();
        State::Waiting { key, call, answered }
    }

    /// Answers a call in Rust. A tenant is in use from here on, unless the step that hands it out
    /// stops it as well: then the call asks for the next one.
    pub(crate) fn settle_in_rust(&self, core: &mut Core<M>, call: CallId, outcome: Outcome) -> Option<Input> {
        let waiting = core.callers.take(call)?;
        let run = match outcome {
            Outcome::Tenant(run) => run,
            Outcome::Refused(refusal) => {
                waiting.answer(Err(refusal));
                return None;
            }
            Outcome::Done => unreachable!("what Rust asks for is a tenant"),
        };
        let tenant = core.runs.get(&run).and_then(|handle| handle.tenant.as_ref());
        match tenant.and_then(|tenant| tenant.take_into_use()) {
            Some(in_use) => {
                waiting.answer(Ok(in_use));
                None
            }
            None => {
                let key = waiting.key.clone();
                core.callers.keep(call, waiting);
                Some(Input::Ensure { key, call })
            }
        }
    }

    fn abort_in_rust(self: &Arc<Self>, key: Key, call: CallId) {
        let mut core = self.lock();
        let waiting = core.callers.take(call);
        if waiting.is_some() {
            self.feed_locked(&mut core, Input::Abort { key, call });
        }
        drop(core);
        self.uplink.ring();
    }
}

impl<M: Machine> Future for Ensure<M> {
    type Output = Answer;

    /// After the answer it is not to be polled again.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let answer = match &mut self.state {
            State::Found(tenant) => Ok(tenant.take().expect("polled after its answer")),
            State::Waiting { answered, .. } => match Pin::new(answered).poll(context) {
                Poll::Pending => return Poll::Pending,
                // No call is forgotten while the driver lives, and this holds it.
                Poll::Ready(answer) => answer.unwrap_or(Err(Refusal::Disposed)),
            },
            State::Answered => panic!("polled after its answer"),
        };
        self.state = State::Answered;
        Poll::Ready(answer)
    }
}

impl<M: Machine> Drop for Ensure<M> {
    fn drop(&mut self) {
        if let State::Waiting { key, call, .. } = std::mem::replace(&mut self.state, State::Answered) {
            self.driver.abort_in_rust(key, call);
        }
    }
}

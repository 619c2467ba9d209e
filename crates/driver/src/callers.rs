//! How calls are answered. A call of JavaScript is answered by a record in the uplink, and a call
//! of a thread in Rust by waking its future. The pool sees a number in either case.

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

/// The answer to a call in Rust: the tenant, in use already, or why there is none.
pub type Answer = Result<InUse, Refusal>;

/// The answer to a call in Rust that waits for something to be done.
pub type Ended = Result<(), Refusal>;

/// The calls in Rust without an answer. Behind the driver's lock.
#[derive(Default)]
pub(crate) struct Callers {
    opened: u64,
    waiting: HashMap<CallId, Waiting>,
    /// Those that wait for something to be done, and do not take a tenant into use.
    ends: HashMap<CallId, oneshot::Sender<Ended>>,
}

/// A call in Rust.
pub(crate) struct Waiting {
    pub key: Key,
    answer: oneshot::Sender<Answer>,
}

impl Waiting {
    /// Wakes the caller's future. If it was dropped meanwhile, the answer is dropped too, which
    /// ends the use of its tenant.
    pub fn answer(self, answer: Answer) {
        let _ = self.answer.send(answer);
    }
}

impl Callers {
    /// Whether a thread in Rust has made the call, and not JavaScript.
    pub fn is_from_rust(call: CallId) -> bool {
        call >= FIRST_IN_RUST
    }

    fn open(&mut self, key: Key) -> (CallId, oneshot::Receiver<Answer>) {
        let call = self.next_call();
        let (answer, answered) = oneshot::channel();
        self.waiting.insert(call, Waiting { key, answer });
        (call, answered)
    }

    /// Opens a call that waits for something to be done.
    pub fn open_end(&mut self) -> (CallId, oneshot::Receiver<Ended>) {
        let call = self.next_call();
        let (answer, answered) = oneshot::channel();
        self.ends.insert(call, answer);
        (call, answered)
    }

    fn next_call(&mut self) -> CallId {
        let call = FIRST_IN_RUST + self.opened;
        self.opened += 1;
        call
    }

    /// Takes a call out, to be answered.
    pub fn take(&mut self, call: CallId) -> Option<Waiting> {
        self.waiting.remove(&call)
    }

    /// Puts a call back that cannot be answered yet.
    pub fn keep(&mut self, call: CallId, waiting: Waiting) {
        self.waiting.insert(call, waiting);
    }
}

/// A call for a tenant. It resolves to the tenant, in use already, or to a refusal.
///
/// Dropping it before that aborts the call: a start that no other call waits for is called off.
/// When the driver is disposed of or abandoned, it resolves to [`Refusal::Disposed`].
#[must_use = "a call that is dropped is aborted"]
pub struct Ensure<M: Machine> {
    driver: Arc<Driver<M>>,
    state: State,
}

enum State {
    /// The directory had the tenant.
    Found(Option<InUse>),
    Waiting {
        key: Key,
        call: CallId,
        answered: oneshot::Receiver<Answer>,
    },
    Answered,
}

impl<M: Machine> Driver<M> {
    /// The key's tenant, for a thread in Rust. A ready tenant comes from the directory, without
    /// the driver's lock; otherwise it is started, and the start is shared with callers in
    /// JavaScript. May be called on any thread and awaited in any async runtime.
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

    /// Answers a call in Rust. Its tenant is in use from here on. If the same step of the pool has
    /// claimed the tenant for a stop, the call is fed again and waits for the next start; if its key is
    /// held, it is put aside.
    pub(crate) fn settle_in_rust(
        &self,
        core: &mut Core<M>,
        call: CallId,
        outcome: Outcome,
    ) -> Option<Input> {
        if let Some(ended) = core.callers.ends.remove(&call) {
            // Whoever asked for it may not wait.
            let _ = ended.send(match outcome {
                Outcome::Refused(refusal) => Err(refusal),
                _ => Ok(()),
            });
            return None;
        }
        let waiting = core.callers.take(call)?;
        let run = match outcome {
            Outcome::Tenant(run) => run,
            Outcome::Refused(refusal) => {
                waiting.answer(Err(refusal));
                return None;
            }
            Outcome::Done => unreachable!("it waits for a tenant"),
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
                core.hold_call(Input::Ensure { key, call })
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

    /// Panics if it is polled again after its answer.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let answer = match &mut self.state {
            State::Found(tenant) => Ok(tenant.take().expect("polled after its answer")),
            State::Waiting { answered, .. } => match Pin::new(answered).poll(context) {
                Poll::Pending => return Poll::Pending,
                // The sender is kept until the answer while the driver lives, which this future
                // holds: an error cannot happen.
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
        if let State::Waiting { key, call, .. } =
            std::mem::replace(&mut self.state, State::Answered)
        {
            self.driver.abort_in_rust(key, call);
        }
    }
}

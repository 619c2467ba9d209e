//! The end of a runtime: `dispose`, its answer, and what is let go of after it.

use crate::Driver;
use crate::core::Core;
use crate::engine_use::EngineUse;
use crate::machine::{Engine, Machine};
use crate::uplink::Record;
use pool::{CallId, Input};
use std::mem;
use std::sync::Arc;
use std::thread::JoinHandle;

impl<M: Machine> Driver<M> {
    pub fn dispose(self: &Arc<Self>, call: CallId) {
        let mut core = self.lock();
        core.dispose_calls.insert(call);
        self.feed_locked(&mut core, Input::Dispose { call });
    }

    /// JavaScript is gone (a terminated worker, say): everything ends soon, and nobody is told.
    pub fn abandon(self: &Arc<Self>) {
        self.uplink.close();
        let mut core = self.lock();
        core.abandoned = true;
        core.let_go_of_foreign();
        self.feed_locked(&mut core, Input::Abandon);
    }

    /// Lets go of everything after `dispose` was answered.
    pub fn close(self: &Arc<Self>) {
        self.uplink.close();
        let mut core = self.lock();
        core.let_go_of_foreign();
        core.ports.close();
        self.leave_engine(&mut core, None);
        let thread = match &mut core.engine {
            EngineUse::Over(thread) => thread.take(),
            // Nobody waits for an end that has only begun.
            _ => None,
        };
        // Not under the lock: the thread has given it back, but others may want it.
        drop(core);
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }

    /// Gives the engine back, and answers the call when nothing is left that was ours to end: for
    /// the last user no warden, no task and no descriptor.
    pub(super) fn leave_engine(self: &Arc<Self>, core: &mut Core<M>, call: Option<CallId>) {
        core.root_claim = None;
        core.engine = match mem::take(&mut core.engine) {
            EngineUse::InUse { engine, timer } => {
                timer.abort();
                let driver = self.clone();
                match engine.give_back(move || driver.engine_has_ended()) {
                    Some(thread) => EngineUse::Ending { calls: call.into_iter().collect(), thread },
                    None => self.answer_disposed(call, None),
                }
            }
            EngineUse::Ending { mut calls, thread } => {
                calls.extend(call);
                EngineUse::Ending { calls, thread }
            }
            EngineUse::NotYet => self.answer_disposed(call, None),
            EngineUse::Over(thread) => self.answer_disposed(call, thread),
        };
    }

    /// Called by its thread, as the last thing it does.
    fn engine_has_ended(&self) {
        let mut core = self.lock();
        if let EngineUse::Ending { calls, thread } = mem::take(&mut core.engine) {
            core.engine = self.answer_disposed(calls, Some(thread));
        }
        drop(core);
        self.uplink.ring();
    }

    fn answer_disposed(
        &self,
        calls: impl IntoIterator<Item = CallId>,
        thread: Option<JoinHandle<()>>,
    ) -> EngineUse<M::Engine> {
        calls.into_iter().for_each(|call| self.uplink.push(Record::Disposed { call }));
        EngineUse::Over(thread)
    }
}

//! The end of a runtime: `dispose`, its answer, and what is released after it.

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
    /// Stops all processes. The call is answered when the engine has been given back, and has
    /// ended if this runtime was its last user.
    pub fn dispose(self: &Arc<Self>, call: CallId) {
        let mut core = self.lock();
        core.dispose_calls.insert(call);
        self.feed_locked(&mut core, Input::Dispose { call });
        self.end_holds(&mut core);
    }

    /// Ends the runtime without JavaScript, as when its worker was terminated: all processes are
    /// stopped, and no record is queued any more.
    pub fn abandon(self: &Arc<Self>) {
        let mut core = self.lock();
        core.runs.values().filter_map(|run| run.surviving.as_ref()).for_each(|surviving| {
            surviving.record.tells_no_more();
        });
        self.uplink.close();
        core.abandoned = true;
        core.release_foreign();
        if core.survival.is_some() {
            self.abandon_to_next(&mut core);
        } else {
            self.feed_locked(&mut core, Input::Abandon);
        }
        self.end_holds(&mut core);
    }

    /// Releases everything after `dispose` was answered: ports, foreign processes, the engine and
    /// its thread.
    pub fn close(self: &Arc<Self>) {
        self.uplink.close();
        let mut core = self.lock();
        core.release_foreign();
        core.ports.close();
        self.release_engine(&mut core, None);
        let thread = match &mut core.engine {
            EngineUse::Over(thread) => thread.take(),
            // An engine that has only begun to end is not waited for: `close` must not block.
            _ => None,
        };
        // Not under the lock: the thread has released it, but calls of other threads may need it.
        drop(core);
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }

    /// Gives the engine back, and answers the call: at once if other runtimes use the engine, or
    /// else when it has ended and no warden, task or descriptor of it is left.
    pub(super) fn release_engine(self: &Arc<Self>, core: &mut Core<M>, call: Option<CallId>) {
        core.root_claim = None;
        if let Some(survival) = &mut core.survival {
            survival.listeners.clear();
        }
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

    /// Called by the engine's thread, as its last call before it exits.
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

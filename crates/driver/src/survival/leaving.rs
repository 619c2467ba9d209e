//! This host leaves, and its tenants stay: they are let go one by one, then the warden is told. Its
//! gateways finish what they have, and use the directory as before.

use super::{DetachReason, Leave, Recovering};
use crate::Driver;
use crate::core::Core;
use crate::machine::{Engine, Machine};
use crate::uplink::Record;
use pool::{CallId, Input, Outcome, RunId};
use std::sync::Arc;

impl Leave {
    fn soon(reason: DetachReason) -> Leave {
        Leave::Soon { reason, has_begun: false, calls: Vec::new() }
    }
}

impl<M: Machine> Driver<M> {
    /// This host leaves. The call is answered when it has.
    pub fn detach(self: &Arc<Self>, call: CallId) {
        let mut core = self.lock();
        self.leave(&mut core, DetachReason::Asked, Some(call));
        drop(core);
        self.uplink.ring();
    }

    /// Whether this host leaves, or has.
    pub fn is_leaving(&self) -> bool {
        self.lock().survival.as_ref().is_some_and(|own| !matches!(own.leave, Leave::No))
    }

    /// JavaScript has gone, and with it this host or its part of it: tenants wait for the next one.
    pub(crate) fn abandon_to_next(self: &Arc<Self>, core: &mut Core<M>) {
        if let Some(survival) = &mut core.survival {
            if let Recovering::Unknown { held, .. } = &mut survival.recovering {
                // All who made calls have gone.
                held.clear();
                survival.recovering = Recovering::Known(Ok(()));
            }
            if let Leave::No = survival.leave {
                survival.leave = Leave::soon(DetachReason::Asked);
            }
        }
        self.feed_locked(core, Input::Detach { call: None });
    }

    /// Calls back when this host begins to leave, under the driver's lock: at once if it has.
    pub fn when_leaving(&self, gateway: impl FnOnce() + Send + 'static) {
        let mut core = self.lock();
        match core.survival.as_mut() {
            Some(survival) if matches!(survival.leave, Leave::No) => {
                survival.gateways.push(Box::new(gateway));
            }
            Some(_) => gateway(),
            None => {}
        }
    }

    pub(super) fn leave(
        self: &Arc<Self>,
        core: &mut Core<M>,
        reason: DetachReason,
        call: Option<CallId>,
    ) {
        let Some(survival) = &mut core.survival else { return };
        if let Leave::No = survival.leave {
            survival.leave = Leave::soon(reason);
        }
        self.feed_locked(core, Input::Detach { call });
    }

    /// The record of the event that this host leaves. Its gateways stop accepting.
    pub(crate) fn leaving(&self, core: &mut Core<M>) -> Option<Record> {
        let survival = core.survival.as_mut()?;
        std::mem::take(&mut survival.gateways).into_iter().for_each(|gateway| gateway());
        match &mut survival.leave {
            Leave::Soon { reason, has_begun, .. } => {
                *has_begun = true;
                Some(Record::Detach { reason: *reason })
            }
            Leave::No | Leave::Done => None,
        }
    }

    /// Carries out `Action::LetGo`: the run's output is read no more, and it is left as it is. Its
    /// entry in the directory stays, for what the gateways of this host have under way.
    pub(crate) fn let_go(self: &Arc<Self>, core: &mut Core<M>, run: RunId) -> Option<Input> {
        let lease = core.leases.lease(run);
        if let Some(sleeping) = &mut core.sleeping {
            sleeping.forget(run);
        }
        let handle = core.runs.get_mut(&run)?;
        handle.stop_probing();
        let surviving = handle.surviving.as_ref()?;
        if let Some(lease) = lease {
            surviving.record.touched(lease.touched_at_ms());
        }
        surviving.let_go.notify_one();
        core.survival.as_mut()?.leaving.insert(run);
        None
    }

    /// Nothing of a run that was let go is read any more.
    pub(crate) fn has_left(self: &Arc<Self>, run: RunId) {
        let mut core = self.lock();
        // Its port stays held by the warden.
        let handle = core.runs.remove(&run);
        if let Some(port) = handle.as_ref().and_then(|handle| handle.assigned_port) {
            core.ports.unassign(port);
        }
        drop(handle);
        if let Some(survival) = &mut core.survival {
            survival.leaving.remove(&run);
        }
        self.leave_if_done(&mut core);
        drop(core);
        self.uplink.ring();
    }

    /// The tree of a run that was let go has ended before it was left, and all that it has written
    /// is told. The warden keeps its end, which the next host tells. Returns whether it was let go.
    pub(crate) fn ended_late(self: &Arc<Self>, run: RunId) -> bool {
        let core = self.lock();
        if !core.survival.as_ref().is_some_and(|own| own.leaving.contains(&run)) {
            return false;
        }
        let surviving = core.runs.get(&run).and_then(|handle| handle.surviving.as_ref());
        if let Some(Err(error)) = surviving.map(|surviving| surviving.record.leave(&[])) {
            tracing::error!(%error, "the next host counts lines as lost that were told");
        }
        drop(core);
        self.has_left(run);
        true
    }

    /// Keeps the answer to a call of `detach` until this host has left. Returns whether it is one.
    pub(crate) fn settle_leaving(
        &self,
        core: &mut Core<M>,
        call: CallId,
        outcome: &Outcome,
    ) -> bool {
        match core.survival.as_mut().map(|survival| &mut survival.leave) {
            Some(Leave::Soon { calls, .. }) if *outcome == Outcome::Done => {
                calls.push(call);
                true
            }
            _ => false,
        }
    }

    /// Tells the warden that this host has left, if nothing is left that it alone can do: no
    /// process to end, no line to leave, no exit that JavaScript has not read.
    pub(crate) fn leave_if_done(self: &Arc<Self>, core: &mut Core<M>) {
        let Some(survival) = &mut core.survival else { return };
        let is_left = core.pool.is_empty() && survival.leaving.is_empty();
        if !is_left || !(survival.untold_ends.is_empty() || core.abandoned) {
            return;
        }
        if !matches!(survival.leave, Leave::Soon { has_begun: true, .. }) {
            // Of a host that was being disposed when JavaScript went nothing is left to the next.
            if core.abandoned {
                self.release_engine(core, None);
            }
            return;
        }
        let Leave::Soon { calls, .. } = std::mem::replace(&mut survival.leave, Leave::Done) else {
            return;
        };
        // They stay with the warden.
        survival.listeners.clear();
        // The next host is not to be told of this one.
        core.root_claim = None;
        if let Some(engine) = core.engine.engine() {
            engine.detach();
        }
        let done = |call| Record::Settle { call, outcome: Outcome::Done, output: None };
        calls.into_iter().for_each(|call| self.uplink.push(done(call)));
        if core.abandoned {
            self.release_engine(core, None);
        }
    }
}

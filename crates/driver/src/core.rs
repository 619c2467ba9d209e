//! What is behind the driver's lock, and the one way in: a step of the pool, and all that comes of
//! it.

use crate::Driver;
use crate::callers::Callers;
use crate::engine_use::EngineUse;
use crate::foreign::Watched;
use crate::leases::LeaseTable;
use crate::machine::Machine;
use crate::port_book::PortBook;
use crate::recipe::Host;
use crate::run_handle::RunHandle;
use crate::uplink::Record;
use linux::process::accounting::Sampler;
use linux::process::root_claim::RootClaim;
use pool::{Action, CallId, Fact, Failure, Input, Pool, RunId, RunMap};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

pub(crate) struct Core<M: Machine> {
    pub pool: Pool,
    pub leases: LeaseTable,
    pub callers: Callers,
    /// In boxes, as in the pool.
    pub runs: RunMap<Box<RunHandle<M::Port>>>,
    pub ports: PortBook<M::Port>,
    /// What only JavaScript knows of the host.
    pub host: Host,
    pub engine: EngineUse<M::Engine>,
    /// Held while the engine is used, if no other runtime had the root first.
    pub root_claim: Option<RootClaim>,
    /// The deadline that the timer sleeps until.
    pub armed_ms: Option<u64>,
    /// A tree, as below: nearly always empty, and to look into one that is costs nothing.
    pub dispose_calls: BTreeSet<CallId>,
    /// Processes of somebody else, by the ticket that their end is the answer to. Nobody watches
    /// for it any more when the runtime is closed.
    pub foreign: HashMap<u64, Watched>,
    pub abandoned: bool,
    /// Times in which the host did not run that the pool knows of.
    pub absences: u64,
    /// `None` while it takes a sample.
    pub sampler: Option<Sampler>,
    /// Runs that are to be sampled alone; `None` while nobody does.
    pub to_sample: Option<Vec<RunId>>,
}

impl<M: Machine> Driver<M> {
    pub(crate) fn feed_locked(self: &Arc<Self>, core: &mut Core<M>, input: Input) {
        let mut next = Some(input);
        // What follows from a step comes before what follows from those before it, in its order.
        let mut following = Vec::new();
        while let Some(input) = next {
            let first = following.len();
            for action in core.pool.handle(self.now(), input, &mut core.leases) {
                following.extend(self.carry_out(core, action));
            }
            following[first..].reverse();
            next = following.pop();
        }
        self.board.show(core.pool.figures());
        let next_ms = core.pool.next_deadline();
        if next_ms.is_some_and(|next_ms| core.armed_ms.is_none_or(|armed_ms| next_ms < armed_ms)) {
            self.deadline_moved.notify_one();
        }
        if core.abandoned && core.pool.is_empty() {
            self.leave_engine(core, None);
        }
    }

    /// What follows at once, if anything does, is a fact about the same run.
    pub(crate) fn carry_out(self: &Arc<Self>, core: &mut Core<M>, action: Action) -> Option<Input> {
        tracing::trace!(?action);
        match action {
            Action::Start { run, key, cold, .. } => self.start(core, run, key, cold),
            Action::StartCold { run } => {
                let engine = core.engine.engine()?.clone();
                self.start_cold(core, &engine, run)
            }
            Action::Adopt { run, key, call, process } => self.adopt(core, run, key, call, process),
            Action::AskIdle { run, idle_ms } => self.tell(Record::AskIdle { run, idle_ms }),
            Action::Checkpoint { run } => self.tell(Record::Checkpoint { run }),
            Action::FindImage { run, key } => self.tell(Record::FindImage { run, key }),
            Action::RestoreImage { run, key, is_ours } => {
                self.tell(Record::RestoreImage { run, key, port: 0, started_at_ms: 0, is_ours })
            }
            Action::AwaitImage { run, key } => self.tell(Record::AwaitImage { run, key }),
            Action::DropImage { key } => self.tell(Record::DropImage { key }),
            Action::LookForConnections => self.look_for_connections(core),
            Action::Probe { run } => self.probe(core, run),
            Action::Stop { run, stage } => self.stop(core, run, stage),
            Action::Clear { run } => self.clear(core, run),
            Action::Observe => self.observe(core),
            Action::Sample { run } => self.sample(core, run),
            Action::Emit(event) => self.emit(core, event),
            Action::Settle { call, outcome } => self.settle(core, call, outcome),
            Action::Release { run, keeps_port } => self.release(core, run, keeps_port),
        }
    }

    pub(crate) fn tell(&self, record: Record) -> Option<Input> {
        self.uplink.push(record);
        None
    }
}

pub(crate) fn not_started(run: RunId, reason: String) -> Option<Input> {
    Some(Input::Fact(run, Fact::StartFailed(Failure::NotStarted { reason })))
}

/// A start that nobody wants any more never began.
pub(crate) fn called_off() -> Fact {
    Fact::StartFailed(Failure::CalledOff)
}

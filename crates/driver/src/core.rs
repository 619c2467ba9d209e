//! The state behind the driver's lock, and the one function that changes it: a step of the pool,
//! followed by the actions that it returns.

use crate::Driver;
use crate::callers::Callers;
use crate::engine_use::EngineUse;
use crate::foreign::Watched;
use crate::holds::Holds;
use crate::leases::LeaseTable;
use crate::machine::Machine;
use crate::port_book::PortBook;
use crate::recipe::Host;
use crate::run_handle::RunHandle;
use crate::sleep::Sleeping;
use crate::survival::Survival;
use crate::tenant_facts::TenantFact;
use crate::uplink::Record;
use linux::process::accounting::Sampler;
use linux::process::root_claim::RootClaim;
use pool::{Action, CallId, Fact, Failure, Input, Pool, RunId, RunMap};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// The state behind the driver's lock.
pub(crate) struct Core<M: Machine> {
    pub pool: Pool,
    pub leases: LeaseTable,
    pub callers: Callers,
    /// Keys whose callers wait.
    pub holds: Holds,
    /// Who hears what becomes of tenants.
    pub hears_of_tenants: Option<UnboundedSender<TenantFact>>,
    /// Boxed: a map that grows moves its entries, and has room for twice as many.
    pub runs: RunMap<Box<RunHandle<M::Port>>>,
    pub ports: PortBook<M::Port>,
    /// What JavaScript has handed down of the host.
    pub host: Host,
    pub engine: EngineUse<M::Engine>,
    /// Held while the engine is in use.
    pub root_claim: Option<RootClaim>,
    /// The deadline that the timer sleeps until, in milliseconds on the steady clock.
    pub armed_ms: Option<u64>,
    /// Runs whose settings JavaScript is asking the user's functions for. A `BTreeSet`: nearly
    /// always empty.
    pub asked: BTreeSet<RunId>,
    /// Calls of `dispose` without an answer. A `BTreeSet`: nearly always empty, and then a look-up
    /// hashes nothing.
    pub dispose_calls: BTreeSet<CallId>,
    /// Processes that the runtime did not start, by the ticket that their exit answers. Closing
    /// the runtime ends the watch.
    pub foreign: HashMap<u64, Watched>,
    /// JavaScript is gone: the engine is given back once the pool is empty.
    pub abandoned: bool,
    /// How many absences (times in which the host did not run) the pool has been told of.
    pub absences: u64,
    /// `None` while a sample is being taken.
    pub sampler: Option<Sampler>,
    /// That of looks which the pool is not told of; `None` while one is being taken.
    pub looking_sampler: Option<Sampler>,
    /// Runs that have become ready and wait for their first sample; `None` while no task takes
    /// them.
    pub to_sample: Option<Vec<RunId>>,
    /// `None`: tenants do not outlive their host.
    pub survival: Option<Box<Survival>>,
    /// `None`: tenants do not sleep.
    pub sleeping: Option<Box<Sleeping>>,
}

impl<M: Machine> Driver<M> {
    /// Takes one step of the pool and carries out its actions, and the steps that follow from
    /// those.
    pub(crate) fn feed_locked(self: &Arc<Self>, core: &mut Core<M>, input: Input) {
        if let Some(input) = core.hold_call(input) {
            self.step(core, input);
        }
    }

    /// The same, of an input that nothing is to hold up.
    pub(crate) fn step(self: &Arc<Self>, core: &mut Core<M>, input: Input) {
        let mut next = Some(input);
        // A stack of inputs that the actions have led to: those of the latest step are fed first,
        // in the order of its actions.
        let mut following = Vec::new();
        while let Some(input) = next {
            let first = following.len();
            for action in core.pool.handle(self.now(), input, &mut core.leases) {
                following.extend(self.carry_out(core, action));
            }
            following[first..].reverse();
            next = following.pop().or_else(|| called_off_while_asked(core));
        }
        self.board.show(core.pool.figures());
        let next_ms = core.pool.next_deadline();
        if next_ms.is_some_and(|next_ms| core.armed_ms.is_none_or(|armed_ms| next_ms < armed_ms)) {
            self.deadline_moved.notify_one();
        }
        if core.survival.is_some() {
            self.leave_if_done(core);
        } else if core.abandoned && core.pool.is_empty() {
            self.release_engine(core, None);
        }
    }

    /// Carries out one action. Returns the input that follows at once, if there is one: a fact
    /// about the same run.
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
            Action::LookAtActivity { run } => self.look_at_activity(core, run),
            Action::AskSleep { run, idle_ms } => self.tell(Record::AskSleep { run, idle_ms }),
            Action::Rest { run, depth } => self.rest(core, run, depth),
            Action::Rouse { run, is_to_answer } => self.rouse(core, run, is_to_answer),
            Action::WatchBacklogs { on } => self.watch_backlogs(core, on),
            Action::Checkpoint { run } => self.tell(Record::Checkpoint { run }),
            Action::FindImage { run, key } => self.tell(Record::FindImage { run, key }),
            Action::RestoreImage { run, key, is_ours } => {
                self.tell(Record::RestoreImage { run, key, port: 0, started_at_ms: 0, is_ours })
            }
            Action::AwaitImage { run, key } => self.tell(Record::AwaitImage { run, key }),
            Action::DropImage { key } => self.tell(Record::DropImage { key }),
            Action::LookForConnections => self.look_for_connections(core),
            Action::Recover { run, key, process } => {
                self.take_in_found(core, run, key, process.found)
            }
            Action::Retire { run, for_ms } => self.mark_retired(core, run, for_ms),
            Action::LetGo { run } => self.let_go(core, run),
            Action::Probe { run } => self.probe(core, run),
            Action::Stop { run, stage } => self.stop(core, run, stage),
            Action::WatchUses { run } => self.watch_uses(core, run),
            Action::Clear { run } => self.clear(core, run),
            Action::Observe => self.observe(core),
            Action::Sample { run } => self.sample(core, run),
            Action::Emit(event) => self.emit(core, event),
            Action::Settle { call, outcome } => self.settle(core, call, outcome),
            Action::Release { run, keeps_port } => self.release(core, run, keeps_port),
        }
    }

    /// Queues a record, as an action that no input follows from.
    pub(crate) fn tell(&self, record: Record) -> Option<Input> {
        self.uplink.push(record);
        None
    }
}

/// The fact that the run could not be started, with the reason in words.
pub(crate) fn not_started(run: RunId, reason: String) -> Option<Input> {
    Some(Input::Fact(run, Fact::StartFailed(Failure::NotStarted { reason })))
}

/// The fact that a run was called off while JavaScript asks for its settings, which may take long:
/// it has no process, and gets none.
fn called_off_while_asked<M: Machine>(core: &mut Core<M>) -> Option<Input> {
    let run = core.asked.iter().copied().find(|run| !core.pool.is_starting(*run))?;
    core.asked.remove(&run);
    Some(Input::Fact(run, called_off()))
}

/// The fact that the run was called off before its process was started.
pub(crate) fn called_off() -> Fact {
    Fact::StartFailed(Failure::CalledOff)
}

//! The pool itself: its parts, the one way in, and what every step ends with.

use crate::admission::Admissions;
use crate::backoff::FailureBook;
use crate::disposal::Disposal;
use crate::eviction::Candidates;
use crate::gate::Gate;
use crate::history::HistoryBook;
use crate::idle::{Absences, Looks};
use crate::images::Images;
use crate::messages::{Action, Input, Outcome, Refusal};
use crate::pressure::Pressure;
use crate::recovery::Endings;
use crate::releases::Releases;
use crate::retirement::Look;
use crate::room::{Admitted, Room};
use crate::slumber::Sleepers;
use crate::tenant::{Cause, Run, State, Tenant, Waiter, Wants};
use crate::timers::Timers;
use crate::warm::WarmBook;
use crate::{
    CallId, Config, ExitReason, Failure, Key, KeyMap, Leases, Now, Release, RunId, RunMap, Usage,
};
use std::collections::BTreeSet;

/// How many tenants there are, as users see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Became ready, and their exit is not confirmed.
    pub running: usize,
    /// These, and the ones that hold room without having become ready.
    pub total: usize,
    /// New spawns are refused.
    pub draining: bool,
    /// Keys that `ensure` would refuse right now for earlier failures.
    pub backoff: usize,
}

/// The part of [`Stats`] that only changes with a step, and whether there is more to ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// As in [`Stats`].
    pub running: usize,
    /// As in [`Stats`].
    pub total: usize,
    /// As in [`Stats`].
    pub draining: bool,
    /// Of those that run, the ones that sleep.
    pub asleep: usize,
    /// Keys whose failures are remembered: without any, none is backing off.
    pub failing: usize,
    /// Failures of starts so far: each begins a back-off.
    pub failures: u64,
}

/// The tenants of one runtime. The crate's page says how to drive it.
///
/// Inputs are handled by file: calls in `calls.rs`, `deploys.rs` and `disposal.rs`, which keys may have
/// processes in `admission.rs`, what an earlier
/// host has left in `recovery.rs` and what this one leaves in `detachment.rs`, facts about runs in
/// `facts.rs`, what follows from their end in `ends.rs`, answers about idle tenants in `idle.rs`,
/// answers of the snapshot driver in `snapshots.rs`. Stops are in `stops.rs`, what waits before
/// them in `last_uses.rs`; which key gets room
/// or a permit in `room.rs`, `gate.rs` and `eviction.rs`, by what it costs in `cost.rs`; who falls
/// asleep, sleeps and wakes in `sleep.rs`, `slumber.rs` and `wake.rs`, what runs without an order in
/// `restless.rs`, and what is done for memory in `pressure.rs`; what serves and what retires in
/// `releases.rs` and `retirement.rs`; what holds for single runs in `rules.rs`; which keys are kept
/// up in `warm.rs`. `status.rs` and this file answer queries.
#[derive(Debug)]
pub struct Pool {
    pub(crate) config: Config,
    pub(crate) admissions: Admissions,
    /// The serving tree of each key. Boxed: a map that grows moves its values, and reserves room
    /// for twice as many.
    pub(crate) tenants: KeyMap<Box<Tenant>>,
    pub(crate) runs: RunMap<Key>,
    /// Runs that had ended when they were found, and are still to be told so.
    pub(crate) endings: Endings,
    /// The second trees of the few keys that have one.
    pub(crate) releases: Releases,
    pub(crate) room: Room,
    pub(crate) candidates: Candidates,
    pub(crate) sleepers: Sleepers,
    /// While the host is short of memory.
    pub(crate) pressure: Option<Pressure>,
    pub(crate) gate: Gate,
    pub(crate) timers: Timers,
    pub(crate) failures: FailureBook,
    pub(crate) histories: HistoryBook,
    pub(crate) observe_at_ms: Option<u64>,
    pub(crate) looks: Looks,
    pub(crate) absences: Absences,
    pub(crate) images: Images,
    pub(crate) warm: WarmBook,
    pub(crate) draining: bool,
    pub(crate) disposal: Option<Disposal>,
    /// Runs that never became ready and could not be ended.
    pub(crate) stranded: BTreeSet<RunId>,
    /// Live runs that became ready.
    pub(crate) became_ready: usize,
    /// The last stop that was refused: the answer to calls that wait for room when every tenant
    /// has refused to leave.
    pub(crate) last_refusal: Option<(RunId, Failure)>,
    /// No rule of a run allows for more to end it.
    pub(crate) longest_stop_ms: u64,
    /// How long open uses of a tenant that is to end are waited for.
    pub(crate) drain_ms: u64,
    pub(crate) actions: Vec<Action>,
    last_run: u64,
    last_ticket: u64,
}

/// What a step has at hand besides the pool.
pub(crate) struct Step<'a> {
    pub now: Now,
    pub leases: &'a mut dyn Leases,
}

impl Pool {
    /// A pool without tenants.
    pub fn new(mut config: Config) -> Self {
        config.sleep = config.sleep.filter(|_| config.checkpoint_timeout_ms.is_none());
        let looks = Looks::new(config.idle_after_ms);
        Pool {
            room: Room::new(config.max_concurrent),
            candidates: Candidates::default(),
            sleepers: Sleepers::default(),
            pressure: None,
            gate: Gate::new(config.gate),
            failures: FailureBook::new(config.backoff),
            histories: HistoryBook::default(),
            config,
            admissions: Admissions::default(),
            tenants: KeyMap::default(),
            runs: RunMap::default(),
            endings: Endings::default(),
            releases: Releases::default(),
            timers: Timers::default(),
            observe_at_ms: None,
            looks,
            absences: Absences::default(),
            images: Images::default(),
            warm: WarmBook::default(),
            draining: false,
            disposal: None,
            stranded: BTreeSet::new(),
            became_ready: 0,
            last_refusal: None,
            longest_stop_ms: u64::MAX,
            drain_ms: 0,
            actions: Vec::new(),
            last_run: 0,
            last_ticket: 0,
        }
    }

    /// Takes one step: `input` happened at `now`. The actions are to be carried out in order.
    pub fn handle(&mut self, now: Now, input: Input, leases: &mut dyn Leases) -> Vec<Action> {
        let mut step = Step { now, leases };
        match input {
            Input::Ensure { key, call } => self.ensure(&mut step, key, call),
            Input::Restart { key, call } => self.restart(&mut step, key, call),
            Input::Deploy { key, call, retire_ms } => self.deploy(&mut step, key, call, retire_ms),
            Input::Adopt { key, call, process } => self.adopt(key, call, process),
            Input::Recover { key, process } => self.recover(&mut step, key, *process),
            Input::Refuse { refusal } => self.refuse_from_now_on(&mut step, refusal),
            Input::Abort { key, call } => self.abort(&mut step, &key, call),
            Input::Kill { key, call } => self.kill(&mut step, key, call),
            Input::Warm { key } => self.warm_up(&mut step, key),
            Input::AdmitOnly => self.admit_only(&mut step),
            Input::Admit { key, epoch } => self.admit_key(key, epoch),
            Input::Withdraw { key, call, at_once } => self.withdraw(&mut step, key, call, at_once),
            Input::WithdrawAll { call, at_once } => self.withdraw_all(&mut step, call, at_once),
            Input::Touch { key } => self.touch(&mut step, &key),
            Input::Pressure { is_short } => self.heed_pressure(&mut step, is_short),
            Input::ClearBackoff { key } => self.clear_backoff(&step, key),
            Input::Drain => self.drain(),
            Input::DrainTime { ms } => self.drain_ms = ms,
            Input::Dispose { call } => self.dispose(&mut step, Some(call)),
            Input::Detach { call } => self.detach(&mut step, call),
            Input::Abandon => self.abandon(&mut step),
            Input::Fact(run, fact) => self.fact(&mut step, run, fact),
            Input::Image { key, answer } => self.image_answered(&mut step, &key, answer),
            Input::Connections { open, seen } => self.connections_seen(&mut step, open, seen),
            Input::Absent { from_ms, to_ms } => self.absences.add(from_ms, to_ms),
            Input::Tick => self.tick(&mut step),
        }
        self.let_go_of_tenants(&mut step);
        self.admit(&mut step);
        if self.sleeps() {
            self.mind_sleepers(&mut step);
        }
        self.look(&step);
        self.settle_disposal();
        self.settle_withdrawals();
        std::mem::take(&mut self.actions)
    }

    /// When the next [`Input::Tick`] is due, on the steady clock: the earliest of the runs'
    /// deadlines (see `timers.rs`), the end of the victim's tenure, the next step of a host that is
    /// short of memory, the next observation, the next
    /// look for connections, the next start of a warm key and the end of a detachment. May change
    /// with every step.
    pub fn next_deadline(&self) -> Option<u64> {
        let end_of_tenure_ms = self.candidates.awaited_end_of_tenure_ms();
        let warm_due_ms = self.warm.first_due_ms();
        let [observe_at_ms, look_at_ms] = [self.observe_at_ms, self.looks.at_ms];
        let run_due_ms = self.timers.first();
        let detachment_ms = self.detachment_ends_ms();
        let pressure_ms = self.pressure.map(|pressure| pressure.next_ms);
        let of_runs = [run_due_ms, end_of_tenure_ms, pressure_ms];
        [observe_at_ms, look_at_ms, warm_due_ms, detachment_ms]
            .into_iter()
            .chain(of_runs)
            .flatten()
            .min()
    }

    /// The figures of this moment.
    pub fn stats(&self, now: Now) -> Stats {
        Stats {
            running: self.became_ready,
            total: self.room.occupied + self.room.asleep,
            draining: self.draining,
            backoff: self
                .failures
                .held(now.steady_ms)
                .filter(|key| self.heeds_failures(key))
                .count(),
        }
    }

    /// The figures that do not depend on the time; costs five loads.
    pub fn figures(&self) -> Figures {
        Figures {
            running: self.became_ready,
            total: self.room.occupied + self.room.asleep,
            draining: self.draining,
            asleep: self.sleepers.len(),
            failing: self.failures.remembered(),
            failures: self.failures.recorded(),
        }
    }

    /// Whether anything is being started or stopped: then deadlines are a matter of seconds.
    pub fn is_busy(&self) -> bool {
        self.runs.len() > self.candidates.len() + self.stranded.len() + self.sleepers.len()
    }

    /// Whether any run is left, whatever its state.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.endings.is_empty()
    }

    /// Whether the run's process is still wanted: asked for, not yet known, and not called off.
    pub fn is_starting(&self, run: RunId) -> bool {
        let is_live = self.runs.contains_key(&run);
        is_live && matches!(self.tree_of(run).state, State::Starting(_))
    }

    /// Whether the run serves its key, and may be handed out.
    pub fn is_ready(&self, run: RunId) -> bool {
        self.runs.contains_key(&run) && matches!(self.tree_of(run).state, State::Ready(_))
    }

    /// Whether the run serves its key, and sleeps.
    pub fn is_asleep(&self, run: RunId) -> bool {
        self.runs.contains_key(&run) && matches!(self.tree_of(run).state, State::Asleep(..))
    }

    /// What the tree of a live run used when it was last looked at.
    pub fn usage_of(&self, run: RunId) -> Option<Usage> {
        self.runs.contains_key(&run).then(|| self.tree_of(run).state.run()?.usage).flatten()
    }

    /// Whether the key has a process, or waits for one.
    pub fn has(&self, key: &str) -> bool {
        self.tenants.contains_key(key) || self.releases.get(key).is_some()
    }

    /// The live runs of the key: that of each of its trees which has one.
    pub fn runs_of(&self, key: &str) -> impl Iterator<Item = RunId> {
        let serving = self.tenants.get(key).map(|tenant| &tenant.state);
        let second = self.releases.get(key).map(|beside| &beside.tree.state);
        serving.into_iter().chain(second).filter_map(|state| Some(state.run()?.id))
    }

    /// Which release of its key a live run is of.
    pub fn release_of(&self, run: RunId) -> Option<Release> {
        self.runs.contains_key(&run).then(|| self.tree_of(run).release)
    }

    /// Why a live run is being stopped, if it is: what its exit will say.
    pub fn cause_of(&self, run: RunId) -> Option<ExitReason> {
        let run = self.runs.contains_key(&run).then(|| self.tree_of(run).state.run())?;
        run?.cause.map(Cause::exit_reason)
    }

    /// Whether the call waits for the key's tenant: it has not been answered, nor is it about to be
    /// told of a failure.
    pub fn is_waiting(&self, key: &str, call: CallId) -> bool {
        let is_in = |waiters: &[Waiter]| waiters.iter().any(|waiter| waiter.call == call);
        let deploys = self
            .releases
            .get(key)
            .is_some_and(|beside| is_in(&beside.tree.waiters) || is_in(&beside.later));
        deploys || self.tenants.get(key).is_some_and(|tenant| is_in(&tenant.waiters))
    }

    fn tick(&mut self, step: &mut Step) {
        let now_ms = step.now.steady_ms;
        if self.observe_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            self.actions.push(Action::Observe);
            self.schedule_observation(now_ms);
        }
        for run in self.timers.due(now_ms) {
            self.deadline(step, run);
        }
        self.start_due_warm_keys(step);
        if self.pressure.is_some_and(|pressure| pressure.next_ms <= now_ms) {
            self.relieve(step);
        }
        if self.detachment_ends_ms().is_some_and(|ends_ms| ends_ms <= now_ms) {
            self.hurry_detachment(step);
        }
    }

    /// Observations go on for as long as there is a process to observe.
    pub(crate) fn schedule_observation(&mut self, now_ms: u64) {
        let interval_ms = self.config.observe_interval_ms.filter(|_| !self.runs.is_empty());
        self.observe_at_ms =
            interval_ms.map(|interval_ms| now_ms.saturating_add(interval_ms.max(1)));
    }

    fn deadline(&mut self, step: &mut Step, id: RunId) {
        let Pool { tenants, runs, releases, .. } = self;
        let Some(key) = runs.get(&id) else { return };
        match &mut releases.tree_mut(tenants, key, id).state {
            State::Starting(run) | State::Probing(run) => {
                self.timers.clear(run);
                self.gate.leave(run);
            }
            State::Ready(_) => self.consider_idle(step, id),
            State::Asleep(..) => self.consider_sleeper(step, id),
            State::Retired(..) => self.consider_retired(step, id, Look::Wanted),
            State::Stopping(..) => self.grace_is_over(step, id),
            State::Stranded(run) => self.timers.clear(run),
            State::AwaitingRoom { .. } | State::AwaitingGate { .. } => {}
        }
    }

    /// A key that holds room queues for its start; this is its state then.
    pub(crate) fn queue_for_gate(&mut self, key: &Key) -> State {
        let ticket = self.next_ticket();
        self.gate.enqueue(ticket, key.clone());
        State::AwaitingGate { ticket }
    }

    /// Gives free room and permits to the keys that wait, and evicts for those that still do. Ends
    /// every step, so that whatever drains a queue does so in the same step.
    fn admit(&mut self, step: &mut Step) {
        self.plan_no_eviction();
        // Mostly no key waits, and then there is nothing to give.
        if self.room.is_anyone_waiting() || self.gate.waiting() > 0 {
            self.admit_waiting(step);
        }
    }

    fn admit_waiting(&mut self, step: &mut Step) {
        loop {
            self.start_admitted(step);
            while let Some(admitted) = self.room.admit() {
                match admitted {
                    Admitted::Sleeper(key) => self.wake_admitted(&key),
                    Admitted::Start(key) => self.given_room(step, key),
                }
            }
            if !self.make_room(step) {
                return;
            }
        }
    }

    /// The key that was to be started, or whose process was to be taken in, has been given room.
    fn given_room(&mut self, step: &mut Step, key: Key) {
        let ticket = self.next_ticket();
        let queued = self.releases.queued_mut(&mut self.tenants, &key);
        if let Some(adoption) = queued.adoption.take() {
            let (call, process) = *adoption;
            self.take_in(step, key, call, process);
        } else {
            queued.state = State::AwaitingGate { ticket };
            self.gate.enqueue(ticket, key);
            // At once, so that no adoption that came later gets room before it.
            self.start_admitted(step);
        }
    }

    pub(crate) fn tenant_at(&mut self, key: &str) -> &mut Tenant {
        self.tenants.get_mut(key).expect("a key that is queued or has a run has a tenant")
    }

    /// The tree of the key that waits for room or at the gate: there is never more than one.
    pub(crate) fn queued_at(&mut self, key: &str) -> &mut Tenant {
        self.releases.queued_mut(&mut self.tenants, key)
    }

    fn start_admitted(&mut self, step: &mut Step) {
        while let Some(key) = self.gate.admit() {
            self.start(step, key);
        }
    }

    fn start(&mut self, step: &mut Step, key: Key) {
        let id = self.next_run();
        let Pool { tenants, runs, releases, gate, timers, config, .. } = self;
        let tree = releases.queued_mut(tenants, &key);
        let is_release = |waiter: &Waiter| matches!(waiter.wants, Wants::Release { .. });
        let fresh = tree.waiters.iter().any(|waiter| waiter.wants != Wants::Any);
        let begins_release = fresh && tree.waiters.iter().any(is_release);
        let mut run = Box::new(Run::new(id, config.custody, step.now.steady_ms, fresh));
        if let Some(patience_ms) = gate.patience_ms() {
            timers.set(&mut run, step.now.steady_ms.saturating_add(patience_ms.max(1)));
        }
        tree.state = State::Starting(run);
        let of_before = tree.release;
        runs.insert(id, key.clone());
        let release = if begins_release { self.begin_release(&key, id) } else { of_before };
        // Only the serving tree continues from an image; the one beside it starts at once.
        if self.saves() && self.serves(id) {
            self.actions.push(Action::Start { run: id, key: key.clone(), release, cold: false });
            self.begin_with_image(&key, id, fresh);
        } else {
            self.actions.push(Action::Start { run: id, key, release, cold: true });
        }
    }

    pub(crate) fn next_run(&mut self) -> RunId {
        self.last_run += 1;
        RunId(self.last_run)
    }

    pub(crate) fn next_ticket(&mut self) -> u64 {
        self.last_ticket += 1;
        self.last_ticket
    }

    pub(crate) fn settle(&mut self, call: CallId, outcome: Outcome) {
        self.actions.push(Action::Settle { call, outcome });
    }

    pub(crate) fn refuse(&mut self, call: CallId, refusal: Refusal) {
        self.settle(call, Outcome::Refused(refusal));
    }
}

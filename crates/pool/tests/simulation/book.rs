//! What can be known from every input and every action, without a look into the pool.
//! The properties are asserted against this book.

use super::images::ImageRecord;
pub use super::records::*;
use super::warm::{Basis, Comeback};
use pool::{CallId, Config, Now, RunId, Touch};

pub struct Book {
    pub config: Config,
    pub now: Now,
    pub step: u64,
    /// By `RunId`, of which the pool's first is 1.
    pub runs: Vec<RunRecord>,
    /// The runs that had an open connection when it was last seen.
    pub connected: Vec<RunId>,
    pub calls: Vec<CallRecord>,
    pub keys: Vec<KeyRecord>,
    /// By key, as `keys`.
    pub images: Vec<ImageRecord>,
    /// The runs that ended in this step.
    pub ended: Vec<RunId>,
    pub unsettled: usize,
    /// Failures of starts so far.
    pub failures: u64,
    /// When the host did not run, on the wall clock.
    pub absences: Vec<(u64, u64)>,
    pub draining_since: Option<u64>,
    /// How long the uses of a tenant that is to end may go on.
    pub drain_ms: u64,
    pub drain_events: u64,
    pub last_tick_ms: u64,
    /// When processes were last observed or, if they never were, since when there is one.
    pub observing_from_ms: Option<u64>,
    /// A look for connections is under way: the runs that were idle when the look began.
    pub looking: Option<Vec<RunId>>,
    /// The step in which a look was last answered.
    pub looked_step: u64,
    /// When it was last known which runs have connections or, if it never was, since when there is
    /// a tenant.
    pub looked_ms: Option<u64>,
    pub disposed: bool,
    pub abandoned_ms: Option<u64>,
    /// The host leaves, and its tenants stay.
    pub detached: bool,
    /// When it waits no longer for starts and stops.
    pub detachment_ends_ms: Option<u64>,
    pub detach_events: u64,
    /// As many as were found are alive for a while, at most.
    pub most_alive: usize,
    /// Those in use, and those whose tree stood, when the look under way began; and whether it
    /// looks whether they may sleep on.
    pub looked_at: Vec<(RunId, bool)>,
    /// When room or memory was last seen to be wanted.
    pub wanted_ms: Option<u64>,
    /// The host is short of memory.
    pub is_short: bool,
    /// The step in which it became so, and something slept; and in which any tenant was last told
    /// to rest or to run, or was asked about.
    pub short_step: u64,
    pub relieved_step: u64,
    /// Backlogs of sleepers are being looked at.
    pub watches_backlogs: bool,
}

impl Book {
    pub fn new(config: Config, keys: usize, now: Now) -> Self {
        Book {
            config,
            now,
            step: 0,
            runs: Vec::new(),
            connected: Vec::new(),
            calls: Vec::new(),
            keys: (0..keys).map(|_| KeyRecord::default()).collect(),
            images: (0..keys).map(|_| ImageRecord::default()).collect(),
            ended: Vec::new(),
            unsettled: 0,
            failures: 0,
            absences: Vec::new(),
            draining_since: None,
            drain_ms: 0,
            drain_events: 0,
            last_tick_ms: 0,
            observing_from_ms: None,
            looking: None,
            looked_step: 0,
            looked_ms: None,
            disposed: false,
            abandoned_ms: None,
            detached: false,
            detachment_ends_ms: None,
            detach_events: 0,
            most_alive: 0,
            looked_at: Vec::new(),
            wanted_ms: None,
            is_short: false,
            short_step: 0,
            relieved_step: 0,
            watches_backlogs: false,
        }
    }

    pub fn run(&self, id: RunId) -> Option<&RunRecord> {
        self.runs.get((id.0 as usize).checked_sub(1)?)
    }

    pub fn run_mut(&mut self, id: RunId) -> Option<&mut RunRecord> {
        self.runs.get_mut((id.0 as usize).checked_sub(1)?)
    }

    pub fn live_run_of(&self, key: usize) -> Option<&RunRecord> {
        self.run(self.keys[key].live?)
    }

    pub fn live_run_of_mut(&mut self, key: usize) -> Option<&mut RunRecord> {
        self.run_mut(self.keys[key].live?)
    }

    pub fn alive(&self) -> impl Iterator<Item = &RunRecord> {
        self.keys.iter().flat_map(|key| [key.live, key.second]).filter_map(|run| self.run(run?))
    }

    /// Those that hold room.
    pub fn with_room(&self) -> impl Iterator<Item = &RunRecord> {
        self.alive().filter(|run| !run.sleep.is_roomless)
    }

    /// Starts that count at the gate: neither ready nor called off, nor waited for too long.
    pub fn starts_at_the_gate(&self) -> usize {
        let patience_ms = self.config.gate.patience_ms.unwrap_or(u64::MAX);
        let counts = |run: &&RunRecord| {
            run.is_coming_up() && run.start_ms.saturating_add(patience_ms) > self.last_tick_ms
        };
        self.alive().filter(counts).count()
    }

    /// How long a tenant that was last touched then has been idle, in time in which the host ran.
    pub fn idle_ms(&self, run: &RunRecord, touched: Touch) -> u64 {
        let since_ms = touched.at_ms.max(run.idleness.connected_at_ms);
        let after = self.absences.iter().filter(|(_, to_ms)| *to_ms > since_ms);
        let absent_ms: u64 = after.map(|(from_ms, to_ms)| to_ms - (*from_ms).max(since_ms)).sum();
        self.now.wall_ms - since_ms - absent_ms
    }

    /// In the order in which tenants make room: whether it had an open connection when that was
    /// last seen, and when it was last active.
    pub fn activity(&self, run: &RunRecord, touched: Touch) -> (bool, Touch) {
        let heeds = self.config.heeds_connections;
        let connected_at_ms = if heeds { run.idleness.connected_at_ms } else { 0 };
        let at_ms = touched.at_ms.max(connected_at_ms);
        (heeds && self.connected.contains(&run.id), Touch { at_ms, ..touched })
    }

    /// The run serves a warm key.
    pub fn is_warm(&self, run: &RunRecord) -> bool {
        let key = &self.keys[run.key];
        key.live == Some(run.id) && key.warm.is_some_and(|warm| warm.basis == Basis::Ruled)
    }

    /// Some key waits for room without a call, or has: then the order of the queue is not known.
    pub fn queue_is_unknown(&self) -> bool {
        self.keys.iter().any(|key| key.waits_without_caller() || key.had_no_caller)
    }

    /// The failures for which a key is refused now.
    pub fn hold(&self, key: usize) -> Option<Must> {
        let record = &self.keys[key];
        let last = record.last_failure.clone()?;
        if record.failures >= self.config.backoff.max_failures {
            return Some(Must::BeRefusedAsExhausted { last });
        }
        let retry_after_ms =
            record.retry_at_ms.checked_sub(self.now.steady_ms).filter(|wait| *wait > 0)?;
        Some(Must::BackOff { failures: record.failures, retry_after_ms, last })
    }

    pub fn open_call(&mut self, ask: Ask, key: usize) -> CallId {
        let of_all = matches!(ask, Ask::Dispose | Ask::Detach);
        let live = if of_all { None } else { self.live_run_of(key) };
        let record = &self.keys[key];
        let has_deploys = record.deploys_beside + record.deploys_later > 0;
        let second_then = record.second.filter(|_| !of_all);
        let place = if ask == Ask::Deploy { self.place_of_a_deploy(key) } else { Place::Serving };
        self.calls.push(CallRecord {
            ask,
            key,
            step: self.step,
            run_then: live.map(|run| run.id),
            second_then,
            release_then: record.release,
            place,
            retire_ms: 0,
            may_join: live
                .is_some_and(|run| run.fresh && !run.ready && run.cause.is_none() && !has_deploys),
            must: self.must(ask, key),
            process: None,
            killed: false,
            aborted: None,
            settled: false,
        });
        self.unsettled += 1;
        if let Some(calls) = self.keys[key].calls_of(ask, place) {
            *calls += 1;
        }
        self.calls.len() as CallId - 1
    }

    fn must(&self, ask: Ask, key: usize) -> Must {
        if ask.is_for_a_tenant() && self.disposed {
            return Must::BeRefusedAsDisposed;
        }
        match (ask, self.live_run_of(key)) {
            (Ask::Restart | Ask::Deploy | Ask::Adopt, _) if self.draining_since.is_some() => {
                Must::BeRefusedAsDraining
            }
            (Ask::Adopt, run) if run.is_some() || self.keys[key].second.is_some() => {
                Must::BeRefusedAsTaken
            }
            (Ask::Adopt, _) if self.keys[key].is_queued() => Must::BeRefusedAsTaken,
            (Ask::Deploy, Some(run))
                if run.is_up()
                    && self.config.max_concurrent == 1
                    && !run.sleep.is_roomless
                    && self.keys[key].second.is_none() =>
            {
                Must::BeRefusedForWantOfRoom
            }
            (Ask::Ensure, Some(run)) if run.is_in_use() => Must::GetTheTenant(run.id),
            (Ask::Ensure, run) if self.nothing_to_join(key, run) => {
                let draining = self.draining_since.map(|_| Must::BeRefusedAsDraining);
                draining.or_else(|| self.hold(key)).unwrap_or(Must::Wait)
            }
            (Ask::Kill, None) if self.keys[key].second.is_none() => Must::BeDoneAtOnce,
            _ => Must::Wait,
        }
    }

    /// No call waits for a start of the key, and what may be there of it was called off before it
    /// was ready.
    fn nothing_to_join(&self, key: usize, run: Option<&RunRecord>) -> bool {
        let called_off = run.is_none_or(|run| !run.ready && run.cause.is_some() && !run.failed);
        called_off && self.keys[key].calls() == 0 && !self.keys[key].waits_without_caller()
    }

    pub fn settle(&mut self, call: CallId) {
        let record = &mut self.calls[call as usize];
        record.settled = true;
        self.unsettled -= 1;
        let key = record.key;
        if let Some(calls) = self.keys[key].calls_of(record.ask, record.place) {
            *calls -= 1;
        }
        // While draining, a key that nothing waits for any more is not kept in the queue.
        if self.draining_since.is_some() && self.keys[key].waits_without_caller() {
            (self.keys[key].warm, self.keys[key].comeback) = (None, Comeback::No);
        }
    }

    /// Notes, at the end of a step, which keys wait, for what and since when.
    pub fn close_step(&mut self) {
        self.ended.clear();
        self.note_who_is_kept();
        for key in &mut self.keys {
            key.waiting_since = key.is_waiting().then(|| key.waiting_since.unwrap_or(self.step));
            key.inherits_room &= key.is_queued();
            if key.live.is_none() && key.calls() > 0 && key.warm.is_some() {
                key.comeback = Comeback::Now;
            }
            key.stands_aside &= key.waits_without_caller();
            key.had_no_caller =
                key.live.is_none() && (key.had_no_caller || key.waits_without_caller());
        }
        self.most_alive = self.most_alive.min(self.with_room().count());
        let used = self.alive().any(|run| run.is_in_use());
        self.looked_ms = used.then(|| self.looked_ms.unwrap_or(self.now.steady_ms));
    }
}

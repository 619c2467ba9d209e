//! What an onlooker knows who sees every input and every action, and nothing of the pool's inside. The properties
//! are asserted against this book.

use pool::{CallId, Config, ExitReason, Failure, Now, RunId, StopStage};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Ensure,
    Restart,
    Kill,
    Dispose,
}

pub struct Book {
    pub config: Config,
    pub now: Now,
    pub step: u64,
    /// By `RunId`, of which the pool's first is 1.
    pub runs: Vec<RunRecord>,
    pub calls: Vec<CallRecord>,
    pub keys: Vec<KeyRecord>,
    /// The runs that ended in this step.
    pub ended: Vec<RunId>,
    pub unsettled: usize,
    pub draining_since: Option<u64>,
    pub drain_events: u64,
    pub last_tick_ms: u64,
    /// When processes were last observed or, if they never were, since when there is one.
    pub observing_from_ms: Option<u64>,
    pub disposed: bool,
    pub abandoned: bool,
}

#[derive(Debug)]
pub struct RunRecord {
    pub id: RunId,
    pub key: usize,
    pub start_step: u64,
    pub start_ms: u64,
    /// Started while a restart was waiting.
    pub fresh: bool,
    /// The pool was told of the process.
    pub started: bool,
    pub ready: bool,
    /// The pool was told of the end, or told that there was no beginning.
    pub over: bool,
    /// Readiness failed.
    pub failed: bool,
    /// The first reason to stop it that still holds.
    pub cause: Option<ExitReason>,
    /// The stop under way: what was asked last, and when.
    /// The stage, and when the user's `kill` was called for it.
    pub stop: Option<(StopStage, Option<u64>)>,
    /// When, and at which step, a stop of it was last given up.
    pub given_up: Option<(u64, u64)>,
    pub exit_code: Option<i32>,
    pub cpu_ms: u64,
    /// It is being stopped for a restart that takes its room over.
    pub makes_room_for_restart: bool,
    pub told: Told,
}

/// The events and effects of a run so far.
#[derive(Debug, Default)]
pub struct Told {
    pub spawn: bool,
    pub ready: bool,
    pub exit: bool,
    pub released: bool,
}

#[derive(Debug)]
pub struct CallRecord {
    pub ask: Ask,
    pub key: usize,
    pub step: u64,
    /// The key's run when the call came.
    pub run_then: Option<RunId>,
    /// That run was itself started for a restart and not ready yet.
    pub may_join: bool,
    pub must: Must,
    /// A kill of the key came after it.
    pub killed: bool,
    pub settled: bool,
}

/// What the surface says about a call at the moment it comes.
#[derive(Clone, Debug, PartialEq)]
pub enum Must {
    BeRefusedAsDisposed,
    BeRefusedAsDraining,
    BeRefusedAsExhausted {
        last: Failure,
    },
    BackOff {
        failures: u64,
        retry_after_ms: u64,
        last: Failure,
    },
    GetTheTenant(RunId),
    BeDoneAtOnce,
    /// Accepted: settled later, or at once for a reason that came after it.
    Wait,
}

#[derive(Default)]
pub struct KeyRecord {
    pub live: Option<RunId>,
    pub ensures: usize,
    pub restarts: usize,
    /// The step since which calls wait for a start and there is no run.
    pub waiting_since: Option<u64>,
    pub failures: u64,
    pub retry_at_ms: u64,
    pub last_failure: Option<Failure>,
}

impl KeyRecord {
    pub fn is_waiting(&self) -> bool {
        self.live.is_none() && self.ensures + self.restarts > 0
    }
}

impl Book {
    pub fn new(config: Config, keys: usize, now: Now) -> Self {
        Book {
            config,
            now,
            step: 0,
            runs: Vec::new(),
            calls: Vec::new(),
            keys: (0..keys).map(|_| KeyRecord::default()).collect(),
            ended: Vec::new(),
            unsettled: 0,
            draining_since: None,
            drain_events: 0,
            last_tick_ms: 0,
            observing_from_ms: None,
            disposed: false,
            abandoned: false,
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

    pub fn alive(&self) -> impl Iterator<Item = &RunRecord> {
        self.keys.iter().filter_map(|key| self.run(key.live?))
    }

    /// Starts that count at the gate: neither ready nor called off, nor waited for too long.
    pub fn starts_at_the_gate(&self) -> usize {
        let patience_ms = self.config.gate.patience_ms.unwrap_or(u64::MAX);
        let counts = |run: &&RunRecord| {
            run.is_coming_up() && run.start_ms.saturating_add(patience_ms) > self.last_tick_ms
        };
        self.alive().filter(counts).count()
    }

    /// The failures for which a key is refused now.
    pub fn hold(&self, key: usize) -> Option<Must> {
        let record = &self.keys[key];
        let last = record.last_failure.clone()?;
        if record.failures >= self.config.backoff.max_failures {
            return Some(Must::BeRefusedAsExhausted { last });
        }
        let retry_after_ms = record.retry_at_ms.checked_sub(self.now.steady_ms).filter(|wait| *wait > 0)?;
        Some(Must::BackOff { failures: record.failures, retry_after_ms, last })
    }

    pub fn open_call(&mut self, ask: Ask, key: usize) -> CallId {
        let live = if ask == Ask::Dispose { None } else { self.live_run_of(key) };
        let may_join = live.is_some_and(|run| run.fresh && !run.ready && run.cause.is_none());
        let run_then = live.map(|run| run.id);
        let must = self.must(ask, key);
        let (step, killed, settled) = (self.step, false, false);
        self.calls.push(CallRecord { ask, key, step, run_then, may_join, must, killed, settled });
        self.unsettled += 1;
        match ask {
            Ask::Ensure => self.keys[key].ensures += 1,
            Ask::Restart => self.keys[key].restarts += 1,
            Ask::Kill | Ask::Dispose => {}
        }
        self.calls.len() as CallId - 1
    }

    fn must(&self, ask: Ask, key: usize) -> Must {
        let would_spawn = matches!(ask, Ask::Ensure | Ask::Restart);
        if would_spawn && self.disposed {
            return Must::BeRefusedAsDisposed;
        }
        match (ask, self.live_run_of(key)) {
            (Ask::Restart, _) if self.draining_since.is_some() => Must::BeRefusedAsDraining,
            (Ask::Ensure, Some(run)) if run.is_in_use() => Must::GetTheTenant(run.id),
            (Ask::Ensure, run) if self.nothing_to_join(key, run) => {
                let draining = self.draining_since.map(|_| Must::BeRefusedAsDraining);
                draining.or_else(|| self.hold(key)).unwrap_or(Must::Wait)
            }
            (Ask::Kill, None) => Must::BeDoneAtOnce,
            _ => Must::Wait,
        }
    }

    /// Nobody waits for a start of the key, and what may be there of it was called off before it was ready.
    fn nothing_to_join(&self, key: usize, run: Option<&RunRecord>) -> bool {
        let called_off = run.is_none_or(|run| !run.ready && run.cause.is_some() && !run.failed);
        called_off && self.keys[key].ensures + self.keys[key].restarts == 0
    }

    pub fn settle(&mut self, call: CallId) {
        let record = &mut self.calls[call as usize];
        record.settled = true;
        self.unsettled -= 1;
        match record.ask {
            Ask::Ensure => self.keys[record.key].ensures -= 1,
            Ask::Restart => self.keys[record.key].restarts -= 1,
            Ask::Kill | Ask::Dispose => {}
        }
    }

    /// Notes, at the end of a step, who waits for a start since when.
    pub fn close_step(&mut self) {
        self.ended.clear();
        for key in &mut self.keys {
            key.waiting_since = key.is_waiting().then(|| key.waiting_since.unwrap_or(self.step));
        }
    }
}

impl CallRecord {
    pub fn wants_a_tenant(&self) -> bool {
        matches!(self.ask, Ask::Ensure | Ask::Restart) && !self.settled && !self.killed
    }
}

impl RunRecord {
    pub fn new(id: RunId, key: usize, step: u64, now_ms: u64, fresh: bool) -> Self {
        RunRecord {
            id,
            key,
            start_step: step,
            start_ms: now_ms,
            fresh,
            started: false,
            ready: false,
            over: false,
            failed: false,
            cause: None,
            stop: None,
            given_up: None,
            exit_code: None,
            cpu_ms: 0,
            makes_room_for_restart: false,
            told: Told::default(),
        }
    }

    /// Ready, and nobody is ending it.
    pub fn is_in_use(&self) -> bool {
        self.ready && !self.over && self.stop.is_none()
    }

    /// Neither ready, nor over, nor called off.
    pub fn is_coming_up(&self) -> bool {
        !self.ready && !self.over && self.cause.is_none()
    }
}

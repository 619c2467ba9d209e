//! A pool with a clock that the test moves, and the words the tests are written in.

use pool::*;
use std::collections::HashMap;

pub struct Bench {
    pub pool: Pool,
    pub now: Now,
    pub leases: Clocks,
    last_call: CallId,
}

/// Roomy, without idle stops, observations or a gate; our own processes.
pub fn config() -> Config {
    Config::plain()
}

pub fn external() -> Config {
    Config { custody: Custody::USERS, ..config() }
}

/// Tenants sleep a second after their last use, and are paged out a second later.
pub const SLEEP: Sleep = Sleep {
    after_ms: 1_000,
    page_out_after_ms: Some(2_000),
    max_asleep: 10,
    min_awake_ms: 500,
    outgoing: Outgoing::Stay,
    asks: false,
};

pub fn sleepy() -> Config {
    Config { sleep: Some(SLEEP), ..config() }
}

/// It does nothing by itself.
pub const QUIET: Fact =
    Fact::Activity { outgoing: 0, serves_beside: false, is_busy: false, seen: true };

pub fn frozen() -> Fact {
    Fact::Rested { depth: Depth::Frozen, rss_bytes: 7_000 }
}

pub fn paged_out() -> Fact {
    Fact::Rested { depth: Depth::PagedOut, rss_bytes: 100 }
}

impl Bench {
    pub fn new(config: Config) -> Self {
        let now = Now { steady_ms: 0, wall_ms: 1_000_000 };
        Bench { pool: Pool::new(config), now, leases: Clocks::default(), last_call: 0 }
    }

    pub fn handle(&mut self, input: Input) -> Vec<Action> {
        let actions = self.pool.handle(self.now, input, &mut self.leases);
        self.pool.check_invariants().expect("invariants");
        actions
    }

    pub fn pass(&mut self, ms: u64) {
        self.now.steady_ms += ms;
        self.now.wall_ms += ms;
    }

    /// Moves the clock to the pool's next deadline and ticks.
    pub fn tick_when_due(&mut self) -> Vec<Action> {
        let due_ms = self.pool.next_deadline().expect("something is due");
        self.pass(due_ms.saturating_sub(self.now.steady_ms));
        self.handle(Input::Tick)
    }

    pub fn ensure(&mut self, key: &str) -> (CallId, Vec<Action>) {
        self.call(|call| Input::Ensure { key: key.into(), call })
    }

    pub fn restart(&mut self, key: &str) -> (CallId, Vec<Action>) {
        self.call(|call| Input::Restart { key: key.into(), call })
    }

    /// Deploys a new release of the key; the old one may go on for so long.
    pub fn deploy(&mut self, key: &str, retire_ms: u64) -> (CallId, Vec<Action>) {
        self.call(|call| Input::Deploy { key: key.into(), call, retire_ms })
    }

    /// A new release that serves.
    pub fn deployed(&mut self, key: &str, retire_ms: u64) -> RunId {
        let run = started(&self.deploy(key, retire_ms).1).expect("it starts");
        self.process(run);
        self.fact(run, Fact::Ready);
        run
    }

    /// Hands a process over that was last active just now.
    pub fn adopt(&mut self, key: &str) -> (CallId, Vec<Action>) {
        self.adopt_touched_at(key, self.now.wall_ms)
    }

    pub fn adopt_touched_at(&mut self, key: &str, touched_at_ms: u64) -> (CallId, Vec<Action>) {
        let process = Adopted { touched_at_ms, ..HANDED_OVER };
        self.call(|call| Input::Adopt { key: key.into(), call, process })
    }

    pub fn adopt_process(&mut self, key: &str, process: Adopted) -> RunId {
        let actions = self.call(|call| Input::Adopt { key: key.into(), call, process }).1;
        adopted(&actions).expect("there is room")
    }

    /// A process of the key has outlived the host that started it.
    pub fn recover(&mut self, key: &str, process: Recovered) -> (RunId, Vec<Action>) {
        let actions = self.handle(Input::Recover { key: key.into(), process: Box::new(process) });
        let Action::Recover { run, .. } = actions[0] else { panic!("{actions:?}") };
        (run, actions)
    }

    /// The host leaves.
    pub fn detach(&mut self) -> (CallId, Vec<Action>) {
        self.call(|call| Input::Detach { call: Some(call) })
    }

    pub fn abort(&mut self, key: &str, call: CallId) -> Vec<Action> {
        self.handle(Input::Abort { key: key.into(), call })
    }

    pub fn kill(&mut self, key: &str) -> (CallId, Vec<Action>) {
        self.call(|call| Input::Kill { key: key.into(), call })
    }

    pub fn admit(&mut self, key: &str) -> Vec<Action> {
        self.handle(Input::Admit { key: key.into(), epoch: "1".into() })
    }

    pub fn withdraw(&mut self, key: &str) -> (CallId, Vec<Action>) {
        self.call(|call| Input::Withdraw { key: key.into(), call, at_once: false })
    }

    pub fn fence(&mut self) -> (CallId, Vec<Action>) {
        self.call(|call| Input::WithdrawAll { call, at_once: true })
    }

    pub fn dispose(&mut self) -> (CallId, Vec<Action>) {
        self.call(|call| Input::Dispose { call })
    }

    pub fn call(&mut self, input: impl FnOnce(CallId) -> Input) -> (CallId, Vec<Action>) {
        self.last_call += 1;
        (self.last_call, self.handle(input(self.last_call)))
    }

    pub fn fact(&mut self, run: RunId, fact: Fact) -> Vec<Action> {
        self.handle(Input::Fact(run, fact))
    }

    pub fn process(&mut self, run: RunId) -> Vec<Action> {
        self.fact(run, Fact::Started { pid: 100 + run.0 as u32, port: 4_000 })
    }

    /// The key is to be kept up.
    pub fn warm(&mut self, key: &str) -> Vec<Action> {
        self.handle(Input::Warm { key: key.into() })
    }

    /// The process of a run comes up at once, with these rules.
    pub fn comes_up(&mut self, run: RunId, rules: RunRules) {
        self.fact(run, Fact::Ruled(rules));
        self.process(run);
        self.fact(run, Fact::Ready);
    }

    /// A tenant that is kept up.
    pub fn warmed(&mut self, key: &str) -> RunId {
        let run = started(&self.warm(key)).expect("it starts");
        self.comes_up(run, WARM);
        run
    }

    pub fn phase(&self, key: &str) -> Option<Phase> {
        self.pool.status(key, self.now).map(|status| status.phase)
    }

    /// The snapshot driver answers for the key.
    pub fn image(&mut self, key: &str, answer: ImageAnswer) -> Vec<Action> {
        self.handle(Input::Image { key: key.into(), answer })
    }

    /// Ensures the key and lets its process come up at once; there is no image of it.
    pub fn running(&mut self, key: &str) -> RunId {
        let actions = self.ensure(key).1;
        let run = started(&actions).expect("it starts");
        if actions.iter().any(|action| matches!(action, Action::FindImage { .. })) {
            self.image(key, ImageAnswer::No);
        }
        self.process(run);
        self.fact(run, Fact::Ready);
        run
    }

    /// A process that was handed over and is a tenant.
    pub fn adopted(&mut self, key: &str) -> RunId {
        adopted(&self.adopt(key).1).expect("there is room")
    }

    pub fn restore(&mut self, run: RunId) -> Vec<Action> {
        self.fact(run, Fact::Restored { pid: 100 + run.0 as u32, port: 4_000 })
    }

    pub fn exit(&mut self, run: RunId) -> Vec<Action> {
        self.fact(run, Fact::Exited(Exit::default()))
    }

    /// No tenant has an open connection, but for these.
    pub fn look(&mut self, open: &[RunId]) -> Vec<Action> {
        self.handle(Input::Connections { open: open.to_vec(), seen: true })
    }

    /// The run, which is due to, falls asleep: it has no connection and does nothing.
    pub fn falls_asleep(&mut self, run: RunId) -> Vec<Action> {
        self.look(&[]);
        let actions = self.fact(run, QUIET);
        assert!(rests(&actions, run, Depth::Frozen), "{actions:?}");
        self.fact(run, frozen());
        self.look(&[])
    }

    /// A tenant that sleeps.
    pub fn asleep(&mut self, key: &str) -> RunId {
        let run = self.running(key);
        self.tick_when_due();
        self.falls_asleep(run);
        assert_eq!(self.phase(key), Some(Phase::Asleep));
        run
    }

    pub fn touch(&mut self, key: &str) -> Vec<Action> {
        self.handle(Input::Touch { key: key.into() })
    }

    pub fn refuse_stop(&mut self, run: RunId, asked: StopStage) -> Vec<Action> {
        self.fact(run, Fact::StopRefused { asked, failure: unwilling() })
    }
}

pub const WARM: RunRules = RunRules { idle_after_ms: None, stop_timeout_ms: None, is_warm: true };

pub const HANDED_OVER: Adopted =
    Adopted { pid: 9, port: 9_000, touched_at_ms: 0, custody: Custody::USERS };

/// A tenant of an earlier host.
pub const FOUND: Recovered = Recovered {
    found: 1,
    pid: 5_000,
    port: 5_000,
    release: Release(0),
    touched_at_ms: 1_000_000,
    ready_for_ms: Some(60_000),
    cpu_ms: 70,
    rules: RunRules { idle_after_ms: None, stop_timeout_ms: None, is_warm: false },
    part: Part::Serves,
};

pub fn unwilling() -> Failure {
    Failure::Thrown { by: Callback::Kill, text: "not now".into() }
}

/// The run that the actions start, if they do.
pub fn started(actions: &[Action]) -> Option<RunId> {
    actions.iter().find_map(|action| match action {
        Action::Start { run, .. } => Some(*run),
        _ => None,
    })
}

/// The run that the actions adopt, if they do.
pub fn adopted(actions: &[Action]) -> Option<RunId> {
    actions.iter().find_map(|action| match action {
        Action::Adopt { run, .. } => Some(*run),
        _ => None,
    })
}

pub fn starts(actions: &[Action], key: &str) -> bool {
    actions
        .iter()
        .any(|action| matches!(action, Action::Start { key: started, .. } if &**started == key))
}

pub fn answer(actions: &[Action], to: CallId) -> Option<&Outcome> {
    actions.iter().find_map(|action| match action {
        Action::Settle { call, outcome } if *call == to => Some(outcome),
        _ => None,
    })
}

pub fn refusal(actions: &[Action], to: CallId) -> Option<&Refusal> {
    match answer(actions, to) {
        Some(Outcome::Refused(refusal)) => Some(refusal),
        _ => None,
    }
}

pub fn asks_to_stop(actions: &[Action], run: RunId) -> bool {
    actions.contains(&Action::Stop { run, stage: StopStage::Ask })
}

pub fn forces_to_stop(actions: &[Action], run: RunId) -> bool {
    actions.contains(&Action::Stop { run, stage: StopStage::Force })
}

pub fn rests(actions: &[Action], run: RunId, depth: Depth) -> bool {
    actions.contains(&Action::Rest { run, depth })
}

/// The run is to run again, and to answer.
pub fn wakes(actions: &[Action], run: RunId) -> bool {
    actions.contains(&Action::Rouse { run, is_to_answer: true })
}

/// The run is to run again, for something else than to be used.
pub fn rouses(actions: &[Action], run: RunId) -> bool {
    actions.contains(&Action::Rouse { run, is_to_answer: false })
}

pub fn events(actions: &[Action]) -> Vec<Event> {
    let event = |action: &Action| match action {
        Action::Emit(event) => Some(event.clone()),
        _ => None,
    };
    actions.iter().filter_map(event).collect()
}

pub fn lets_go(actions: &[Action], run: RunId) -> bool {
    actions.contains(&Action::LetGo { run })
}

pub fn exit_reason(actions: &[Action]) -> Option<ExitReason> {
    actions.iter().find_map(|action| match action {
        Action::Emit(Event::Exit { reason, .. }) => Some(*reason),
        _ => None,
    })
}

/// Touch clocks without other threads.
#[derive(Default)]
pub struct Clocks {
    touches: HashMap<RunId, Touch>,
    in_use: HashMap<RunId, u32>,
    /// These are counted in use at the moment of the next claim.
    pub used_at_claim: Vec<RunId>,
    /// Those that are opened from now on are in use: by the host before.
    pub used_when_opened: bool,
    pub claims: u32,
}

impl Clocks {
    pub fn begin_use(&mut self, run: RunId) {
        *self.in_use.entry(run).or_default() += 1;
    }

    pub fn end_use(&mut self, run: RunId, wall_ms: u64) {
        self.touch(run, wall_ms);
        *self.in_use.get_mut(&run).expect("it is in use") -= 1;
    }
}

impl Leases for Clocks {
    fn open(&mut self, run: RunId, wall_ms: u64) {
        self.touches.insert(run, Touch { at_ms: wall_ms, sequence: 0 });
        if self.used_when_opened {
            self.begin_use(run);
        }
    }
    fn touched(&self, run: RunId) -> Touch {
        self.touches[&run]
    }
    fn is_in_use(&self, run: RunId) -> bool {
        self.in_use.get(&run).is_some_and(|uses| *uses > 0)
    }
    fn touch(&mut self, run: RunId, wall_ms: u64) {
        let sequence = self.touches[&run].sequence + 1;
        self.touches.insert(run, Touch { at_ms: wall_ms, sequence });
    }
    fn claim(&mut self, run: RunId) -> Touch {
        self.claims += 1;
        if self.used_at_claim.contains(&run) {
            self.begin_use(run);
            self.used_at_claim.retain(|used| *used != run);
        }
        self.touches[&run]
    }
    fn reopen(&mut self, _: RunId) {}
}

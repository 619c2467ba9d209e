//! Where another authority says which keys may have processes here, no others do: calls for them are
//! refused, and with the end of its admission a key loses all that could lead to a process.

use crate::support::*;
use pool::*;

/// A pool in which only `a` is admitted.
fn bench(config: Config) -> Bench {
    let mut bench = Bench::new(config);
    bench.handle(Input::AdmitOnly);
    bench.admit("a");
    bench
}

const NOT_ADMITTED: Option<&Refusal> = Some(&Refusal::NotAdmitted);

#[test]
fn without_such_an_authority_all_keys_run() {
    let mut bench = Bench::new(config());
    assert!(bench.pool.is_admitted("a") && bench.pool.epoch_of("a").is_none());
    bench.running("a");
}

#[test]
fn calls_for_other_keys_are_refused() {
    let mut bench = bench(config());
    for (call, actions) in
        [bench.ensure("b"), bench.restart("b"), bench.deploy("b", 0), bench.adopt("b")]
    {
        assert_eq!(refusal(&actions, call), NOT_ADMITTED);
        assert_eq!(actions.len(), 1, "{actions:?}");
    }
    assert_eq!(bench.warm("b"), []);
    assert!(!bench.pool.may_start("b", bench.now) && bench.pool.may_start("a", bench.now));
    bench.running("a");
}

#[test]
fn an_epoch_is_that_of_the_last_admission() {
    let mut bench = bench(config());
    let epoch = |bench: &Bench| bench.pool.epoch_of("a").map(|epoch| epoch.to_string());
    assert_eq!(epoch(&bench).as_deref(), Some("1"));
    bench.handle(Input::Admit { key: "a".into(), epoch: "27".into() });
    assert_eq!(epoch(&bench).as_deref(), Some("27"));
    bench.withdraw("a");
    assert_eq!(epoch(&bench), None);
}

#[test]
fn what_ran_before_ends() {
    let mut bench = Bench::new(config());
    let run = bench.running("a");
    let starting = started(&bench.ensure("b").1).expect("it starts");
    let actions = bench.handle(Input::AdmitOnly);
    assert!(asks_to_stop(&actions, run));
    assert!(asks_to_stop(&bench.process(starting), starting));
    assert_eq!(exit_reason(&bench.exit(run)), Some(ExitReason::Moved));
    bench.exit(starting);
    assert_eq!(bench.handle(Input::AdmitOnly), [], "once is enough");
}

#[test]
fn a_withdrawn_tenant_is_asked_to_end_and_not_handed_out() {
    let mut bench = bench(config());
    let run = bench.running("a");
    let (withdraw, actions) = bench.withdraw("a");
    assert!(asks_to_stop(&actions, run));
    assert_eq!(answer(&actions, withdraw), None);
    let (ensure, actions) = bench.ensure("a");
    assert_eq!(refusal(&actions, ensure), NOT_ADMITTED);
    let actions = bench.exit(run);
    assert_eq!(exit_reason(&actions), Some(ExitReason::Moved));
    assert_eq!(answer(&actions, withdraw), Some(&Outcome::Done));
    assert_eq!(started(&actions), None);
}

#[test]
fn a_withdrawn_tenant_may_finish_its_uses() {
    let mut bench = bench(config());
    bench.handle(Input::DrainTime { ms: 1_000 });
    let run = bench.running("a");
    bench.leases.begin_use(run);
    let actions = bench.withdraw("a").1;
    assert!(!asks_to_stop(&actions, run), "{actions:?}");
    bench.leases.end_use(run, bench.now.wall_ms);
    assert!(asks_to_stop(&bench.fact(run, Fact::Unused), run));
}

#[test]
fn a_start_under_way_is_called_off_with_its_callers() {
    let mut bench = bench(config());
    let (ensure, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    let (withdraw, actions) = bench.withdraw("a");
    assert_eq!(refusal(&actions, ensure), NOT_ADMITTED);
    assert!(!bench.pool.is_starting(run), "a launch that has not begun is not wanted");
    let actions = bench.process(run);
    assert!(asks_to_stop(&actions, run), "one that has begun is stopped");
    assert_eq!(answer(&bench.exit(run), withdraw), Some(&Outcome::Done));
}

#[test]
fn what_waits_is_forgotten() {
    let mut bench = bench(Config { max_concurrent: 1, ..config() });
    bench.admit("b");
    let run = bench.running("a");
    let (ensure, _) = bench.ensure("b");
    let (withdraw, actions) = bench.withdraw("b");
    assert_eq!(refusal(&actions, ensure), NOT_ADMITTED);
    assert_eq!(answer(&actions, withdraw), Some(&Outcome::Done));
    assert_eq!(started(&bench.exit(run)), None);
}

#[test]
fn a_restart_under_way_brings_nothing_back() {
    let mut bench = bench(config());
    let run = bench.running("a");
    let (restart, _) = bench.restart("a");
    assert_eq!(refusal(&bench.withdraw("a").1, restart), NOT_ADMITTED);
    assert_eq!(started(&bench.exit(run)), None);
    assert!(bench.pool.is_empty());
}

#[test]
fn a_deploy_under_way_ends_with_both_releases() {
    let mut bench = bench(config());
    let old = bench.running("a");
    let (deploy, actions) = bench.deploy("a", 0);
    let new = started(&actions).expect("it starts");
    bench.process(new);
    let (withdraw, actions) = bench.withdraw("a");
    assert_eq!(refusal(&actions, deploy), NOT_ADMITTED);
    assert!(asks_to_stop(&actions, old) && asks_to_stop(&actions, new));
    assert_eq!(answer(&bench.exit(old), withdraw), None);
    assert_eq!(answer(&bench.exit(new), withdraw), Some(&Outcome::Done));
}

#[test]
fn a_warm_key_does_not_come_back() {
    let mut bench = bench(config());
    let run = bench.warmed("a");
    bench.withdraw("a");
    assert_eq!(started(&bench.exit(run)), None);
    assert_eq!(bench.pool.next_deadline(), None);
    bench.admit("a");
    let run = bench.warmed("a");
    let crashed = Exit { exit_code: Some(1), ..Exit::default() };
    let run = started(&bench.fact(run, Fact::Exited(crashed.clone()))).expect("at once");
    bench.comes_up(run, WARM);
    bench.fact(run, Fact::Exited(crashed));
    assert!(bench.pool.next_deadline().is_some(), "it waits for its next start");
    bench.withdraw("a");
    assert_eq!(bench.pool.next_deadline(), None);
    assert_eq!(bench.handle(Input::ClearBackoff { key: "a".into() }), []);
}

#[test]
fn a_key_that_is_admitted_again_starts_when_its_last_process_has_ended() {
    let mut bench = bench(config());
    let run = bench.running("a");
    bench.withdraw("a");
    bench.admit("a");
    assert_eq!(started(&bench.ensure("a").1), None);
    assert!(starts(&bench.exit(run), "a"));
}

#[test]
fn a_process_that_refuses_to_end_is_not_handed_out_again() {
    let mut bench = bench(external());
    let run = bench.running("a");
    let (withdraw, _) = bench.withdraw("a");
    let actions = bench.refuse_stop(run, StopStage::Ask);
    assert!(matches!(refusal(&actions, withdraw), Some(Refusal::StopRefused { .. })));
    assert_eq!(bench.phase("a"), Some(Phase::Stuck));
    bench.admit("a");
    let (ensure, actions) = bench.ensure("a");
    assert_eq!(answer(&actions, ensure), None);
    assert!(asks_to_stop(&actions, run), "it is asked once more");
    assert!(starts(&bench.exit(run), "a"));
}

/// Random stories of three keys: whatever is asked for, and whatever happens, only an admitted key is
/// started, and all calls are answered in the end. The bench checks the invariants after each step.
#[test]
fn whatever_is_asked_for_only_an_admitted_key_is_started() {
    for seed in 1..=3_000 {
        Story::new(seed).tell();
    }
}

struct Story {
    bench: Bench,
    random: u64,
    admitted: [bool; 3],
    /// The runs that live, and whether the process of each is known.
    runs: Vec<(RunId, bool)>,
    open: Vec<CallId>,
}

const KEYS: [&str; 3] = ["a", "b", "c"];

impl Story {
    fn new(seed: u64) -> Story {
        let bench = Bench::new(Config { max_concurrent: 2 + seed as usize % 3, ..config() });
        let random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Story { bench, random, admitted: [true; 3], runs: Vec::new(), open: Vec::new() }
    }

    fn below(&mut self, end: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % end as u64) as usize
    }

    fn tell(mut self) {
        let attached_at = self.below(20);
        for step in 0..80 {
            if step == attached_at {
                self.admitted = [false; 3];
                let actions = self.bench.handle(Input::AdmitOnly);
                self.heed(actions);
            }
            self.step();
        }
        // All that lives ends, and so do the starts that this leads to.
        for key in KEYS {
            let withdrawn = self.bench.withdraw(key);
            self.heed_call(withdrawn);
        }
        self.admitted = [false; 3];
        while let Some((run, has_process)) = self.runs.pop() {
            self.runs.push((run, has_process));
            self.end(self.runs.len() - 1);
        }
        assert_eq!(self.open, [], "calls without an answer");
    }

    fn step(&mut self) {
        let index = self.below(3);
        let key = KEYS[index];
        let is_attached = self.bench.pool.epoch_of(key).is_some() || self.admitted != [true; 3];
        match self.below(14) {
            0..=2 => self.call(|bench| bench.ensure(key)),
            3 => self.call(|bench| bench.restart(key)),
            4 => self.call(|bench| bench.deploy(key, 1_000)),
            5 => self.call(|bench| bench.kill(key)),
            6 => {
                let actions = self.bench.warm(key);
                self.heed(actions);
            }
            7 if is_attached => {
                self.admitted[index] = true;
                self.bench.admit(key);
            }
            8 if is_attached => {
                self.admitted[index] = false;
                self.call(|bench| bench.withdraw(key));
            }
            9 if is_attached && self.below(4) == 0 => {
                self.admitted = [false; 3];
                self.call(|bench| bench.fence());
            }
            10 => {
                self.bench.pass(700);
                let actions = self.bench.handle(Input::Tick);
                self.heed(actions);
            }
            11 if !self.runs.is_empty() => {
                let index = self.below(self.runs.len());
                self.end(index);
            }
            _ if !self.runs.is_empty() => {
                let index = self.below(self.runs.len());
                let (run, has_process) = self.runs[index];
                self.runs[index].1 = true;
                let rules = if self.below(3) == 0 { WARM } else { RunRules::default() };
                let mut actions = Vec::new();
                if !has_process {
                    actions = self.bench.fact(run, Fact::Ruled(rules));
                    actions.extend(self.bench.process(run));
                }
                actions.extend(self.bench.fact(run, Fact::Ready));
                self.heed(actions);
            }
            _ => {}
        }
    }

    fn end(&mut self, index: usize) {
        let (run, has_process) = self.runs.remove(index);
        let fact = match has_process {
            true => Fact::Exited(Exit { exit_code: Some(1), ..Exit::default() }),
            false => Fact::StartFailed(Failure::CalledOff),
        };
        let actions = self.bench.fact(run, fact);
        self.heed(actions);
    }

    fn call(&mut self, call: impl FnOnce(&mut Bench) -> (CallId, Vec<Action>)) {
        let called = call(&mut self.bench);
        self.heed_call(called);
    }

    fn heed_call(&mut self, (call, actions): (CallId, Vec<Action>)) {
        self.open.push(call);
        self.heed(actions);
    }

    fn heed(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Start { run, key, .. } => {
                    let index = KEYS.iter().position(|of| **of == *key).expect("it is known");
                    assert!(self.admitted[index], "{key} is started");
                    self.runs.push((run, false));
                }
                Action::Settle { call, .. } => self.open.retain(|open| *open != call),
                _ => {}
            }
        }
    }
}

//! From the moment that the main process is known to have ended, the run is not handed out,
//! however long the rest of its tree lives.

use crate::support::*;
use pool::*;

#[test]
fn calls_for_it_wait_for_the_next_run() {
    let mut bench = Bench::new(config());
    let run = bench.running("a");
    assert_eq!(bench.fact(run, Fact::MainEnded), [Action::Clear { run }]);
    let (call, actions) = bench.ensure("a");
    assert_eq!(actions, []);
    let actions = bench.exit(run);
    assert_eq!(exit_reason(&actions), Some(ExitReason::Crashed), "it was not stopped");
    let next = started(&actions).expect("the next one starts");
    bench.process(next);
    assert_eq!(answer(&bench.fact(next, Fact::Ready), call), Some(&Outcome::Tenant(next)));
}

#[test]
fn it_has_ended_by_itself_whatever_is_asked_of_it_then() {
    let mut bench = Bench::new(config());
    let run = bench.running("a");
    bench.fact(run, Fact::MainEnded);
    let (kill, actions) = bench.kill("a");
    let hurry = [Action::Stop { run, stage: StopStage::Force }];
    assert_eq!(actions, hurry, "its output is not waited for any longer");
    let actions = bench.fact(run, Fact::Exited(Exit { exit_code: Some(0), ..Exit::default() }));
    assert_eq!(exit_reason(&actions), Some(ExitReason::ExitedClean));
    assert_eq!(answer(&actions, kill), Some(&Outcome::Done));
}

#[test]
fn one_that_has_ended_does_not_become_ready() {
    let mut bench = Bench::new(config());
    let (call, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    bench.process(run);
    let clears = [Action::Clear { run }];
    assert_eq!(bench.fact(run, Fact::MainEnded), clears, "a keeper that was stopped is continued");
    assert_eq!(bench.fact(run, Fact::Ready), [], "another process has answered on its port");
    let failure = Failure::ExitedEarly { exit_code: None, signal: None, out_of_memory: None };
    let refused = Refusal::StartFailed { run: Some(run), failure };
    assert_eq!(refusal(&bench.exit(run), call), Some(&refused));
}

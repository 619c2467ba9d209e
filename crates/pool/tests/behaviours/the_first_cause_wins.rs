//! A process that is stopped for several reasons ended for the first of them.

use crate::support::*;
use pool::*;

#[test]
fn later_causes_do_not_rename_the_exit() {
    let mut bench = Bench::new(config());
    let run = bench.running("a");
    bench.restart("a");
    bench.kill("a");
    bench.dispose();
    assert_eq!(exit_reason(&bench.exit(run)), Some(ExitReason::Restarted));
}

#[test]
fn a_refused_stop_is_no_cause_of_a_later_crash() {
    let mut bench = Bench::new(external());
    let run = bench.running("a");
    bench.kill("a");
    bench.refuse_stop(run, StopStage::Ask);
    assert_eq!(exit_reason(&bench.exit(run)), Some(ExitReason::Crashed));
}

#[test]
fn a_late_refusal_of_the_first_kill_does_not_end_the_second() {
    let mut bench = Bench::new(external());
    let run = bench.running("a");
    let (kill, _) = bench.kill("a");
    bench.fact(run, Fact::StopAsked { stage: StopStage::Ask });
    assert_eq!(bench.tick_when_due(), [Action::Stop { run, stage: StopStage::Force }]);
    assert_eq!(bench.refuse_stop(run, StopStage::Ask), []);
    let actions = bench.exit(run);
    assert_eq!(exit_reason(&actions), Some(ExitReason::Killed));
    assert_eq!(answer(&actions, kill), Some(&Outcome::Done));
}

#[test]
fn the_grace_counts_from_the_call_of_kill() {
    let mut bench = Bench::new(external());
    let run = bench.running("a");
    bench.kill("a");
    bench.pass(60_000);
    assert_eq!(bench.handle(Input::Tick), [], "the host has not got to it yet");
    bench.fact(run, Fact::StopAsked { stage: StopStage::Ask });
    assert_eq!(bench.tick_when_due(), [Action::Stop { run, stage: StopStage::Force }]);
}

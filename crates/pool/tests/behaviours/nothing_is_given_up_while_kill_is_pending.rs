//! A stop is not given up while the user's `kill` has not settled, for a minute at most: stopping a
//! container takes as long as the container takes.

use crate::support::*;
use pool::*;

const ASK: StopStage = StopStage::Ask;
const FORCE: StopStage = StopStage::Force;

/// Being killed by a call, and forced 5 s later; both calls of `kill` are under way.
fn forced() -> (Bench, RunId, CallId) {
    let mut bench = Bench::new(external());
    let run = bench.running("a");
    let (call, _) = bench.kill("a");
    bench.fact(run, Fact::StopAsked { stage: ASK });
    assert!(forces_to_stop(&bench.tick_when_due(), run));
    assert_eq!(bench.now.steady_ms, 5_000);
    bench.fact(run, Fact::StopAsked { stage: FORCE });
    (bench, run, call)
}

fn given_up(actions: &[Action], call: CallId) -> Option<&Failure> {
    match refusal(actions, call) {
        Some(Refusal::StopRefused { failure, .. }) => Some(failure),
        _ => None,
    }
}

#[test]
fn one_that_takes_longer_than_twice_the_grace_is_waited_for() {
    let (mut bench, run, call) = forced();
    bench.pass(7_000);
    assert_eq!(bench.handle(Input::Tick), [], "the grace is over, and both calls are under way");
    bench.fact(run, Fact::StopAnswered { asked: ASK });
    bench.fact(run, Fact::StopAnswered { asked: FORCE });
    assert_eq!(answer(&bench.exit(run), call), Some(&Outcome::Done));
}

#[test]
fn one_that_never_settles_is_waited_for_a_minute() {
    let (mut bench, _, call) = forced();
    assert_eq!(given_up(&bench.tick_when_due(), call), Some(&Failure::StopTimedOut));
    assert_eq!(bench.now.steady_ms, 65_000, "a minute after the last call");
}

#[test]
fn when_it_has_settled_the_process_has_its_grace_to_end() {
    let (mut bench, run, call) = forced();
    bench.fact(run, Fact::StopAnswered { asked: FORCE });
    bench.pass(20_000);
    bench.handle(Input::Tick);
    bench.fact(run, Fact::StopAnswered { asked: ASK });
    assert_eq!(given_up(&bench.tick_when_due(), call), Some(&Failure::StopTimedOut));
    assert_eq!(bench.now.steady_ms, 30_000);
}

#[test]
fn a_refusal_is_heard_at_once() {
    let (mut bench, run, call) = forced();
    assert_eq!(given_up(&bench.refuse_stop(run, FORCE), call), Some(&unwilling()));
}

#[test]
fn a_refusal_to_be_asked_is_an_answer_when_it_is_being_forced() {
    let (mut bench, run, call) = forced();
    bench.fact(run, Fact::StopAnswered { asked: FORCE });
    bench.pass(10_000);
    bench.refuse_stop(run, ASK);
    assert_eq!(given_up(&bench.tick_when_due(), call), Some(&Failure::StopTimedOut));
    assert_eq!(bench.now.steady_ms, 20_000);
}

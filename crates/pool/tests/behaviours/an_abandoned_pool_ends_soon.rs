//! When JavaScript is gone, its processes are asked to end, and forced within a second, whatever
//! `stop_timeout_ms` says.

use crate::support::*;
use pool::*;

const GRACE_MS: u64 = 600;

fn force_is_due(bench: &mut Bench, run: RunId, at_ms: u64) {
    assert_eq!(bench.pool.next_deadline(), Some(at_ms));
    assert_eq!(bench.tick_when_due(), [Action::Stop { run, stage: StopStage::Force }]);
}

#[test]
fn what_runs_has_a_short_grace() {
    let mut bench = Bench::new(config());
    let run = bench.running("a");
    assert_eq!(bench.handle(Input::Abandon), [Action::Stop { run, stage: StopStage::Ask }]);
    let due_ms = bench.now.steady_ms + GRACE_MS;
    force_is_due(&mut bench, run, due_ms);
    bench.exit(run);
    assert!(bench.pool.is_empty());
}

#[test]
fn a_stop_under_way_has_the_short_grace_too() {
    let mut bench = Bench::new(config());
    let run = bench.running("a");
    bench.kill("a");
    bench.pass(1_000);
    assert_eq!(bench.handle(Input::Abandon), [], "it has been asked");
    let due_ms = bench.now.steady_ms + GRACE_MS;
    force_is_due(&mut bench, run, due_ms);
}

#[test]
fn a_grace_that_ends_sooner_is_kept() {
    let mut bench = Bench::new(config());
    let run = bench.running("a");
    bench.kill("a");
    let due_ms = bench.pool.next_deadline().unwrap();
    bench.pass(4_900);
    bench.handle(Input::Abandon);
    force_is_due(&mut bench, run, due_ms);

    let mut bench = Bench::new(Config { stop_timeout_ms: 0, ..config() });
    let run = bench.running("a");
    assert_eq!(bench.handle(Input::Abandon), [Action::Stop { run, stage: StopStage::Force }]);
}

/// Whose it is decides that, and not whether it may refuse.
#[test]
fn the_users_processes_are_forgotten_and_ours_are_ended() {
    let ours = Custody { owner: Owner::Us, may_refuse_stop: true };
    let mut bench = Bench::new(config());
    bench.adopt("theirs");
    let process = Adopted { custody: ours, ..HANDED_OVER };
    let found = adopted(&bench.handle(Input::Adopt { key: "found".into(), call: 9, process }));
    let found = found.expect("there is room");
    let actions = bench.handle(Input::Abandon);
    assert!(asks_to_stop(&actions, found), "{actions:?}");
    assert_eq!(
        bench.pool.status("theirs", bench.now).map(|status| status.phase),
        Some(Phase::Stopped)
    );
    bench.fact(found, Fact::StopAsked { stage: StopStage::Ask });
    let due_ms = bench.now.steady_ms + GRACE_MS;
    force_is_due(&mut bench, found, due_ms);
}

//! A start that fails because another process listens on its port, or because there is no port, is
//! not the key's failure: the next one is let in at once. Only a thief that comes back again and
//! again makes the key wait.

use crate::support::*;
use pool::*;

fn taken() -> Failure {
    Failure::PortTaken { by: "process 7 listens on port 4000".into() }
}

/// A start whose port is stolen. What its caller hears.
fn stolen(bench: &mut Bench) -> Option<Refusal> {
    let (call, actions) = bench.ensure("a");
    let run = started(&actions).expect("it is let in");
    bench.process(run);
    let mut actions = bench.fact(run, Fact::NotReady(taken()));
    assert!(asks_to_stop(&actions, run), "what was started for it is ended");
    actions.extend(bench.exit(run));
    assert_eq!(exit_reason(&actions), Some(ExitReason::ReadinessTimeout));
    refusal(&actions, call).cloned()
}

#[test]
fn the_next_start_is_let_in_at_once_up_to_three_times_in_a_row() {
    let mut bench = Bench::new(config());
    for _ in 0..3 {
        assert!(
            matches!(stolen(&mut bench), Some(Refusal::StartFailed { failure, .. }) if failure == taken())
        );
        assert_eq!(bench.pool.stats(bench.now).backoff, 0);
    }
    stolen(&mut bench);
    assert_eq!(bench.pool.stats(bench.now).backoff, 1);
    bench.pass(1_000);
    bench.running("a");
    bench.kill("a");
}

#[test]
fn a_start_without_a_port_never_counts() {
    let mut bench = Bench::new(config());
    for _ in 0..20 {
        let run = started(&bench.ensure("a").1).expect("it is let in");
        bench.fact(run, Fact::StartFailed(Failure::NoPort));
    }
    assert_eq!(bench.pool.stats(bench.now).backoff, 0);
    assert_eq!(bench.pool.status("a", bench.now), None);
}

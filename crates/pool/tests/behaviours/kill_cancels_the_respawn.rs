//! After a kill nothing comes back that was asked for before it; what is asked for after it does.

use crate::support::*;
use pool::*;

#[test]
fn a_restart_under_way_is_called_off() {
    let mut bench = Bench::new(config());
    let run = bench.running("a");
    let (restart, _) = bench.restart("a");
    let (ensure, _) = bench.ensure("a");
    let (kill, _) = bench.kill("a");
    let actions = bench.exit(run);
    assert_eq!(started(&actions), None);
    assert!(matches!(refusal(&actions, restart), Some(Refusal::StartFailed { .. })));
    assert!(matches!(refusal(&actions, ensure), Some(Refusal::StartFailed { .. })));
    assert_eq!(answer(&actions, kill), Some(&Outcome::Done));
    assert!(bench.pool.is_empty());
}

#[test]
fn an_ensure_after_the_kill_gets_a_new_process() {
    let mut bench = Bench::new(config());
    let run = bench.running("a");
    bench.restart("a");
    bench.kill("a");
    bench.ensure("a");
    assert!(starts(&bench.exit(run), "a"));
}

#[test]
fn a_key_that_waits_for_room_stops_waiting() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
    let run = bench.running("a");
    let (ensure, _) = bench.ensure("b");
    let (kill, actions) = bench.kill("b");
    assert!(matches!(refusal(&actions, ensure), Some(Refusal::StartFailed { run: None, .. })));
    assert_eq!(answer(&actions, kill), Some(&Outcome::Done));
    assert_eq!(started(&bench.exit(run)), None);
}

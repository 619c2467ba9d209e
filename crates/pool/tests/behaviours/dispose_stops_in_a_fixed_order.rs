//! The same inputs give the same actions, in the same order, in every process.

use crate::support::*;
use pool::*;

const KEYS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

#[test]
fn by_key() {
    let mut bench = Bench::new(config());
    let runs: Vec<RunId> = KEYS.iter().rev().map(|key| bench.running(key)).collect();
    let (_, actions) = bench.dispose();
    let stops = runs.iter().rev().map(|run| Action::Stop { run: *run, stage: StopStage::Ask });
    assert_eq!(actions, stops.collect::<Vec<_>>());
}

#[test]
fn abandoned_ones_by_run() {
    let mut bench = Bench::new(external());
    let runs: Vec<RunId> = KEYS.iter().rev().map(|key| bench.running(key)).collect();
    let actions = bench.handle(Input::Abandon);
    let released = actions.iter().filter_map(|action| match action {
        Action::Release { run, .. } => Some(*run),
        _ => None,
    });
    assert_eq!(released.collect::<Vec<_>>(), runs);
}

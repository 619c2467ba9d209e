//! An image is of the release that serves. What comes up beside it starts without an image,
//! whatever the snapshot driver does, and drops the image of the release before when it serves.

use crate::support::*;
use ImageAnswer::{Failed, Yes};
use pool::*;

fn saving() -> Config {
    Config { idle_after_ms: Some(1_000), checkpoint_timeout_ms: Some(300), ..config() }
}

fn drops(actions: &[Action]) -> bool {
    actions.contains(&Action::DropImage { key: "a".into() })
}

fn restores(actions: &[Action], run: RunId) -> bool {
    actions.contains(&Action::RestoreImage { run, key: "a".into(), is_ours: true })
}

fn starts_cold(actions: &[Action], run: RunId) -> bool {
    let cold =
        |action: &Action| matches!(action, Action::Start { run: of, cold: true, .. } if *of == run);
    actions.iter().any(cold) || actions.contains(&Action::StartCold { run })
}

/// The key's process is saved and gone, and the key is started once more: its image is looked for.
fn found() -> (Bench, CallId, RunId) {
    let mut bench = Bench::new(saving());
    let run = bench.running("a");
    assert_eq!(bench.tick_when_due(), [Action::Checkpoint { run }]);
    bench.image("a", Yes);
    bench.exit(run);
    let (call, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    (bench, call, run)
}

#[test]
fn it_starts_cold_while_the_one_before_is_brought_back() {
    let (mut bench, _, old) = found();
    assert!(restores(&bench.image("a", Yes), old));
    let actions = bench.deploy("a", 0).1;
    let new = started(&actions).expect("it starts");
    assert!(starts_cold(&actions, new));
    let actions = bench.restore(old);
    assert!(drops(&actions), "it is restored once");
}

#[test]
fn one_that_fails_costs_no_image() {
    let (mut bench, _, old) = found();
    let new = started(&bench.deploy("a", 0).1).expect("it starts");
    let failed = Failure::NotStarted { reason: "it cannot be".into() };
    assert!(!drops(&bench.fact(new, Fact::StartFailed(failed))));
    assert!(restores(&bench.image("a", Yes), old));
}

#[test]
fn when_it_serves_the_image_of_the_one_before_is_dropped_and_never_restored() {
    let (mut bench, call, old) = found();
    let new = started(&bench.deploy("a", 0).1).expect("it starts");
    bench.process(new);
    let actions = bench.fact(new, Fact::Ready);
    assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(new)));
    let actions = bench.image("a", Yes);
    assert!(drops(&actions), "{actions:?}");
    assert!(
        actions.iter().any(|action| matches!(action, Action::Release { run, .. } if *run == old))
    );
    assert_eq!(bench.image("a", Yes), []);
}

#[test]
fn what_is_saved_of_it_is_brought_back_while_the_one_before_is_still_retired() {
    let mut bench = Bench::new(saving());
    let old = bench.running("a");
    let new = bench.deployed("a", 30_000);
    bench.image("a", Yes);
    bench.leases.begin_use(old);
    while !bench.tick_when_due().contains(&Action::Checkpoint { run: new }) {}
    bench.image("a", Yes);
    assert!(bench.exit(new).contains(&Action::Release { run: new, keeps_port: true }));
    let actions = bench.exit(old);
    assert!(actions.contains(&Action::Release { run: old, keeps_port: false }), "{actions:?}");
    let run = started(&bench.ensure("a").1).expect("it starts");
    assert!(restores(&bench.image("a", Yes), run));
}

#[test]
fn a_start_and_the_called_off_one_of_the_release_before_wait_for_one_answer() {
    let (mut bench, _, old) = found();
    assert!(restores(&bench.image("a", Yes), old));
    let new = started(&bench.deploy("a", 0).1).expect("it starts");
    bench.process(new);
    bench.fact(new, Fact::Ready);
    bench.exit(new);
    let next = started(&bench.ensure("a").1).expect("it starts");
    let actions = bench.image("a", Failed);
    assert!(
        actions.iter().any(|action| matches!(action, Action::Release { run, .. } if *run == old))
    );
    assert!(drops(&actions) && !starts_cold(&actions, next));
    assert!(starts_cold(&bench.image("a", Yes), next));
}

#[test]
fn a_called_off_start_is_over_when_it_is_late_while_the_next_one_waits_on() {
    let (mut bench, _, old) = found();
    let new = started(&bench.deploy("a", 0).1).expect("it starts");
    bench.process(new);
    bench.fact(new, Fact::Ready);
    bench.exit(new);
    let next = started(&bench.ensure("a").1).expect("it starts");
    let actions = bench.fact(old, Fact::ImageLate { text: "late".into() });
    let release = |action: &Action| matches!(action, Action::Release { run, .. } if *run == old);
    assert!(actions.iter().any(release) && !starts_cold(&actions, next), "{actions:?}");
    assert!(drops(&bench.image("a", Yes)));
    assert!(starts_cold(&bench.image("a", Yes), next));
}

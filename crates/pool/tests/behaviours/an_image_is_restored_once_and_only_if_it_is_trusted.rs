//! An image is restored if the process that it was taken of ended with it, and nothing of the key
//! has run since. Everything else is dropped, and until the snapshot driver is done with that, and
//! with whatever it has in hand, nothing is started.

use crate::support::*;
use ImageAnswer::{Failed, No, Yes};
use pool::*;

fn saving(config: Config) -> Config {
    Config { idle_after_ms: Some(1_000), checkpoint_timeout_ms: Some(300), ..config }
}

fn drops(actions: &[Action]) -> bool {
    actions.contains(&Action::DropImage { key: "a".into() })
}

fn finds(actions: &[Action]) -> bool {
    actions.iter().any(|action| matches!(action, Action::FindImage { .. }))
}

fn starts_cold(actions: &[Action], run: RunId) -> bool {
    actions.contains(&Action::StartCold { run })
}

fn awaits(actions: &[Action], run: RunId) -> bool {
    actions.contains(&Action::AwaitImage { run, key: "a".into() })
}

/// The key's process is saved and gone.
fn saved(config: Config) -> Bench {
    let mut bench = Bench::new(saving(config));
    let run = bench.running("a");
    assert_eq!(bench.tick_when_due(), [Action::Checkpoint { run }]);
    bench.image("a", Yes);
    let actions = bench.exit(run);
    assert_eq!(exit_reason(&actions), Some(ExitReason::Checkpointed));
    assert!(actions.contains(&Action::Release { run, keeps_port: true }));
    bench
}

/// A start of the saved key that is being brought back.
fn restoring(config: Config) -> (Bench, CallId, RunId) {
    let mut bench = saved(config);
    let (call, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    let key: Key = "a".into();
    assert_eq!(actions[1..], [Action::FindImage { run, key: key.clone() }]);
    assert_eq!(bench.image("a", Yes), [Action::RestoreImage { run, key, is_ours: true }]);
    (bench, call, run)
}

fn late(bench: &mut Bench, run: RunId) -> Vec<Action> {
    bench.fact(run, Fact::ImageLate { text: "late".into() })
}

#[test]
fn what_was_saved_is_brought_back_and_dropped_with_that() {
    let (mut bench, call, run) = restoring(config());
    let actions = bench.restore(run);
    assert!(drops(&actions[..1]), "before its call is answered");
    assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(run)));
    bench.image("a", Yes);
    bench.exit(run);
    assert!(finds(&bench.ensure("a").1), "another host may have left one");
}

#[test]
fn the_image_of_an_earlier_host_is_restored_without_a_known_port() {
    let mut bench = Bench::new(saving(config()));
    let run = started(&bench.ensure("a").1).expect("it starts");
    assert_eq!(
        bench.image("a", Yes),
        [Action::RestoreImage { run, key: "a".into(), is_ours: false }]
    );
}

#[test]
fn without_an_image_the_start_is_cold() {
    let mut bench = saved(config());
    let run = started(&bench.ensure("a").1).expect("it starts");
    assert_eq!(bench.image("a", No), [Action::StartCold { run }]);
}

#[test]
fn when_find_fails_the_image_is_dropped_first() {
    let mut bench = saved(config());
    let run = started(&bench.ensure("a").1).expect("it starts");
    let actions = bench.image("a", Failed);
    assert!(drops(&actions) && awaits(&actions, run) && !starts_cold(&actions, run));
    assert_eq!(bench.image("a", Yes), [Action::StartCold { run }]);
}

#[test]
fn what_could_not_be_brought_back_is_dropped_and_started_cold() {
    let (mut bench, call, run) = restoring(config());
    assert!(drops(&bench.image("a", Failed)));
    assert!(starts_cold(&bench.image("a", Yes), run));
    bench.process(run);
    assert_eq!(answer(&bench.fact(run, Fact::Ready), call), Some(&Outcome::Tenant(run)));
}

#[test]
fn a_restart_wants_no_image() {
    let mut bench = saved(config());
    let (_, actions) = bench.restart("a");
    let run = started(&actions).expect("it starts");
    assert!(drops(&actions) && !finds(&actions));
    assert_eq!(bench.image("a", Yes), [Action::StartCold { run }]);
}

#[test]
fn what_cannot_be_dropped_is_never_restored_and_tried_again_with_each_start() {
    let mut bench = saved(config());
    for _ in 0..2 {
        let (_, actions) = bench.restart("a");
        let run = started(&actions).expect("it starts");
        assert!(drops(&actions));
        assert_eq!(bench.image("a", Failed), [Action::StartCold { run }]);
        bench.process(run);
        bench.fact(run, Fact::Ready);
        bench.exit(run);
        let (_, actions) = bench.ensure("a");
        let run = started(&actions).expect("it starts");
        assert!(drops(&actions) && !finds(&actions));
        assert_eq!(bench.image("a", Failed), [Action::StartCold { run }]);
        bench.fact(run, Fact::StartFailed(Failure::NoPort));
    }
}

#[test]
fn an_image_saved_over_a_doubtful_one_is_trusted() {
    let mut bench = saved(config());
    let run = started(&bench.restart("a").1).expect("it starts");
    bench.image("a", Failed);
    bench.process(run);
    bench.fact(run, Fact::Ready);
    let actions = bench.tick_when_due();
    assert!(drops(&actions) && awaits(&actions, run), "once more before it is saved");
    assert_eq!(bench.image("a", Failed), [Action::Checkpoint { run }]);
    bench.image("a", Yes);
    bench.exit(run);
    assert!(finds(&bench.ensure("a").1));
}

#[test]
fn a_start_called_off_before_a_restore_leaves_the_image_trusted() {
    let mut bench = saved(config());
    let run = started(&bench.ensure("a").1).expect("it starts");
    let (kill, _) = bench.kill("a");
    let actions = bench.image("a", Yes);
    assert_eq!(answer(&actions, kill), Some(&Outcome::Done));
    assert!(actions.contains(&Action::Release { run, keeps_port: true }) && !drops(&actions));
    assert_eq!(
        bench.pool.status("a", bench.now).map(|status| status.phase),
        Some(Phase::Checkpointed)
    );
}

#[test]
fn one_that_is_called_off_while_it_is_brought_back_is_stopped_and_its_image_dropped() {
    let (mut bench, _, run) = restoring(config());
    let (kill, _) = bench.kill("a");
    let actions = bench.restore(run);
    assert!(drops(&actions) && asks_to_stop(&actions, run));
    assert_eq!(answer(&bench.exit(run), kill), Some(&Outcome::Done));
}

#[test]
fn a_start_that_waits_too_long_goes_on_without_it_and_fails_when_that_takes_as_long_again() {
    let (mut bench, call, run) = restoring(config());
    assert_eq!(late(&mut bench, run), [Action::AwaitImage { run, key: "a".into() }]);
    let actions = late(&mut bench, run);
    let failure = Failure::Thrown { by: Callback::Spawn, text: "late".into() };
    let refusal = Refusal::StartFailed { run: Some(run), failure };
    assert_eq!(answer(&actions, call), Some(&Outcome::Refused(refusal)));
    bench.pass(2_000);
    let (_, actions) = bench.ensure("a");
    let next = started(&actions).expect("it starts");
    assert!(
        awaits(&actions, next) && !finds(&actions),
        "the snapshot driver still has the key in hand"
    );
    assert!(drops(&bench.image("a", Failed)));
    assert_eq!(bench.image("a", Yes), [Action::StartCold { run: next }]);
}

#[test]
fn what_is_restored_too_late_is_dropped_before_the_cold_start() {
    let (mut bench, _, run) = restoring(config());
    late(&mut bench, run);
    assert!(drops(&bench.image("a", Failed)));
    assert_eq!(bench.image("a", Yes), [Action::StartCold { run }]);
}

#[test]
fn the_image_of_a_run_that_did_not_end_as_saved_is_dropped() {
    let mut bench = Bench::new(saving(external()));
    let run = bench.running("a");
    bench.tick_when_due();
    bench.image("a", Yes);
    let actions = bench.refuse_stop(run, StopStage::Force);
    assert!(drops(&actions), "it is in use again, and moves on");
    bench.image("a", Yes);
    assert!(!drops(&bench.exit(run)));
}

#[test]
fn half_an_image_is_dropped() {
    let mut bench = Bench::new(saving(config()));
    let run = bench.running("a");
    bench.tick_when_due();
    assert!(drops(&bench.image("a", Failed)));
    bench.image("a", Yes);
    assert_eq!(exit_reason(&bench.exit(run)), Some(ExitReason::IdleKilled));
}

#[test]
fn a_process_that_is_adopted_has_moved_past_it() {
    let mut bench = saved(config());
    let (_, actions) = bench.adopt("a");
    assert!(drops(&actions));
    bench.image("a", Yes);
    bench.exit(adopted(&actions).expect("there is room"));
    assert_eq!(bench.pool.status("a", bench.now).map(|status| status.phase), Some(Phase::Stopped));
}

#[test]
fn a_save_waits_for_the_snapshot_driver_and_is_given_up_in_its_time() {
    let mut bench = Bench::new(saving(config()));
    let run = adopted(&bench.adopt("a").1).expect("there is room");
    let waits = [Action::AwaitImage { run, key: "a".into() }];
    assert_eq!(bench.tick_when_due(), waits, "it is still dropping");
    assert_eq!(bench.image("a", Yes), [Action::Checkpoint { run }]);

    let mut bench = Bench::new(saving(config()));
    let run = adopted(&bench.adopt("a").1).expect("there is room");
    bench.tick_when_due();
    assert!(asks_to_stop(&bench.tick_when_due(), run));
    assert_eq!(bench.image("a", Yes), [], "too late to be saved");
}

#[test]
fn an_abandoned_pool_waits_for_no_snapshot_driver() {
    let (mut bench, _, _) = restoring(config());
    bench.handle(Input::Abandon);
    assert!(bench.pool.is_empty());
}

#[test]
fn a_key_with_nothing_but_an_image_is_listed_once() {
    let bench = saved(config());
    let phases: Vec<Phase> =
        bench.pool.statuses(bench.now).iter().map(|status| status.phase).collect();
    assert_eq!(phases, [Phase::Checkpointed]);
}

#[test]
fn a_restore_called_off_before_it_was_tried_leaves_the_image_trusted() {
    let (mut bench, _, run) = restoring(config());
    let (kill, _) = bench.kill("a");
    let actions = bench.image("a", No);
    assert_eq!(answer(&actions, kill), Some(&Outcome::Done));
    assert!(actions.contains(&Action::Release { run, keeps_port: true }) && !drops(&actions));
}

//! What can be seen of a key follows what is being done about it.

use crate::support::*;
use pool::*;

fn phase(bench: &Bench, key: &str) -> Option<Phase> {
    bench.pool.status(key, bench.now).map(|status| status.phase)
}

#[test]
fn from_the_queue_to_the_end() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
    let before = bench.running("before");
    bench.pass(1);
    assert_eq!(phase(&bench, "a"), None);
    bench.ensure("a");
    assert_eq!(
        (phase(&bench, "before"), phase(&bench, "a")),
        (Some(Phase::Stopping), Some(Phase::Queued))
    );
    let run = started(&bench.exit(before)).expect("it is its turn");
    assert_eq!(phase(&bench, "a"), Some(Phase::Spawning));
    bench.process(run);
    assert_eq!(phase(&bench, "a"), Some(Phase::Spawning));
    bench.fact(run, Fact::Ready);
    let history = History { starts: 1, crashes: 0, last_exit: None };
    let (key, phase_now, run_now) = ("a".into(), Phase::Ready, Some(run));
    let (release, beside) = (Release(0), None);
    let expected = Status {
        key,
        depth: None,
        phase: phase_now,
        run: run_now,
        failures: None,
        comes_back_at_ms: None,
        usage: None,
        history,
        release,
        beside,
    };
    assert_eq!(bench.pool.status("a", bench.now), Some(expected));
    bench.exit(run);
    assert_eq!(phase(&bench, "a"), Some(Phase::Stopped));
}

#[test]
fn one_that_fails_says_so_until_it_is_ready() {
    let backoff = Backoff { max_failures: 2, ..config().backoff };
    let mut bench = Bench::new(Config { backoff, ..config() });
    let fail = |bench: &mut Bench| {
        let run = started(&bench.ensure("a").1).expect("it starts");
        bench.fact(run, Fact::StartFailed(unwilling()));
    };
    fail(&mut bench);
    let retry_at_ms = Some(bench.now.wall_ms + 1_000);
    let failures =
        Some(FailureStatus { count: 1, retry_at_ms, last: unwilling(), is_of_last_exit: false });
    let (phase_now, history) = (Phase::BackingOff, History::default());
    let (release, beside) = (Release(0), None);
    let expected = Status {
        key: "a".into(),
        depth: None,
        phase: phase_now,
        run: None,
        failures,
        comes_back_at_ms: None,
        usage: None,
        history,
        release,
        beside,
    };
    assert_eq!(bench.pool.status("a", bench.now), Some(expected));
    bench.pass(1_000);
    assert_eq!(phase(&bench, "a"), Some(Phase::Stopped));
    fail(&mut bench);
    let status = bench.pool.status("a", bench.now).expect("it has failed");
    assert_eq!(status.phase, Phase::Failed);
    assert_eq!(
        status.failures.map(|failures| (failures.count, failures.retry_at_ms)),
        Some((2, None))
    );
    bench.handle(Input::ClearBackoff { key: "a".into() });
    assert_eq!(phase(&bench, "a"), None);
}

#[test]
fn one_that_can_neither_be_used_nor_ended_is_stuck() {
    let mut bench = Bench::new(external());
    let run = started(&bench.ensure("a").1).expect("it starts");
    bench.process(run);
    bench.fact(run, Fact::NotReady(Failure::ReadinessDenied));
    bench.refuse_stop(run, StopStage::Ask);
    assert_eq!(phase(&bench, "a"), Some(Phase::Stuck));
}

#[test]
fn all_of_them_come_in_the_order_of_their_keys() {
    let mut bench = Bench::new(config());
    let failing = started(&bench.ensure("b").1).expect("it starts");
    bench.fact(failing, Fact::StartFailed(unwilling()));
    for key in ["d", "a", "c"] {
        bench.running(key);
    }
    let statuses = bench.pool.statuses(bench.now);
    let keys: Vec<&str> = statuses.iter().map(|status| &*status.key).collect();
    assert_eq!(keys, ["a", "b", "c", "d"]);
}

#[test]
fn failures_are_counted_also_when_they_are_forgotten() {
    let mut bench = Bench::new(config());
    let run = started(&bench.ensure("a").1).expect("it starts");
    bench.fact(run, Fact::StartFailed(unwilling()));
    bench.handle(Input::ClearBackoff { key: "a".into() });
    let figures = bench.pool.figures();
    assert_eq!((figures.failing, figures.failures), (0, 1));
}

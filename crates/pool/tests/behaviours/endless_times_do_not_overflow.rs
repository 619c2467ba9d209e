//! A time so long that it is meant as "never" is one that never comes, not one that wraps around.

use crate::support::*;
use pool::*;

#[test]
fn none_of_the_deadlines_wraps() {
    let mut bench = Bench::new(Config {
        idle_after_ms: Some(u64::MAX),
        sweep_interval_ms: u64::MAX,
        observe_interval_ms: Some(u64::MAX),
        stop_timeout_ms: u64::MAX,
        gate: GateConfig { width: Some(1), patience_ms: Some(u64::MAX) },
        ..external()
    });
    bench.pass(1_000);
    let run = bench.running("a");
    let (kill, _) = bench.kill("a");
    assert!(refusal(&bench.refuse_stop(run, StopStage::Ask), kill).is_some());
    assert_eq!(bench.pool.next_deadline(), Some(u64::MAX));
    assert_eq!(bench.handle(Input::Tick), []);
}

#[test]
fn a_tenant_that_never_sleeps_by_itself_does_so_for_room() {
    let sleep = Sleep { after_ms: u64::MAX, page_out_after_ms: Some(u64::MAX), ..SLEEP };
    let config = Config { max_concurrent: 1, sweep_interval_ms: u64::MAX, ..config() };
    let mut bench = Bench::new(Config { sleep: Some(sleep), ..config });
    bench.pass(1_000);
    let run = bench.running("a");
    assert_eq!(bench.pool.next_deadline(), Some(u64::MAX));
    bench.pass(1_000);
    bench.ensure("b");
    bench.look(&[]);
    assert!(rests(&bench.fact(run, QUIET), run, Depth::Frozen));
}

#[test]
fn the_end_of_the_back_off_does_not_wrap() {
    let backoff =
        Backoff { base_ms: u64::MAX, max_ms: u64::MAX, max_failures: 10, min_uptime_ms: u64::MAX };
    let mut bench = Bench::new(Config { backoff, ..config() });
    let run = started(&bench.ensure("a").1).expect("it starts");
    bench.fact(run, Fact::StartFailed(unwilling()));
    let status = bench.pool.status("a", bench.now).expect("it has failed");
    assert_eq!(status.phase, Phase::BackingOff);
    assert_eq!(status.failures.and_then(|failures| failures.retry_at_ms), Some(u64::MAX));
}

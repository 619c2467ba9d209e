//! A tenant is stopped `idleAfterMs` after its last touch, not after it became ready.

use crate::support::*;
use pool::*;

#[test]
fn time_in_which_the_host_did_not_run_is_no_idle_time() {
    let mut bench = Bench::new(Config { idle_after_ms: Some(1_000), ..config() });
    let run = bench.running("a");
    bench.pass(600);
    bench.leases.touch(run, bench.now.wall_ms);
    bench.pass(100);
    // The steady clock leaves it out by itself.
    let from_ms = bench.now.wall_ms;
    bench.now.wall_ms += 60_000;
    assert_eq!(bench.handle(Input::Absent { from_ms, to_ms: bench.now.wall_ms }), []);
    assert_eq!(bench.tick_when_due(), [], "400 ms after its touch");
    assert_eq!(bench.pool.next_deadline(), Some(1_600));
    let stopped = bench.tick_when_due();
    assert_eq!(stopped[0], Action::Emit(Event::IdleKill { run, idle_ms: 1_000 }));
}

#[test]
fn a_touch_postpones_the_idle_stop_by_the_whole_idle_time() {
    let mut bench = Bench::new(Config { idle_after_ms: Some(1_000), ..config() });
    let run = bench.running("a");
    bench.pass(600);
    bench.leases.touch(run, bench.now.wall_ms);
    assert_eq!(bench.tick_when_due(), []);
    assert_eq!(bench.pool.next_deadline(), Some(1_600));
    let stopped = bench.tick_when_due();
    assert_eq!(stopped[0], Action::Emit(Event::IdleKill { run, idle_ms: 1_000 }));
    assert!(asks_to_stop(&stopped, run));
    assert_eq!(exit_reason(&bench.exit(run)), Some(ExitReason::IdleKilled));
}

//! A tenant is stopped `idleAfterMs` after its last touch, not after it became ready.

use crate::support::*;
use pool::*;

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

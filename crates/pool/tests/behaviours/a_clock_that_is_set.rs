//! The wall clock of a host is set while it runs. Only idleness counts on it, since touches are
//! wall-clock times: an idle stop comes too early, or too late, once. Everything else counts on the
//! steady clock.

use crate::support::*;
use pool::*;

const AN_HOUR_MS: u64 = 3_600_000;

fn idle_after_a_minute() -> Bench {
    Bench::new(Config { idle_after_ms: Some(60_000), ..config() })
}

#[test]
fn set_forward_a_tenant_is_idle_early_and_the_next_one_on_time() {
    let mut bench = idle_after_a_minute();
    let run = bench.running("a");
    bench.now.wall_ms += AN_HOUR_MS;
    let stopped = bench.tick_when_due();
    assert!(asks_to_stop(&stopped, run));
    bench.exit(run);
    let next = bench.running("a");
    let since_ms = bench.now.steady_ms;
    assert!(asks_to_stop(&bench.tick_when_due(), next));
    assert_eq!(bench.now.steady_ms - since_ms, 60_000);
}

#[test]
fn set_back_a_tenant_is_idle_late_but_a_touch_counts_as_ever() {
    let mut bench = idle_after_a_minute();
    let run = bench.running("a");
    bench.now.wall_ms -= AN_HOUR_MS / 4;
    // It seems to have been touched in the future, and so is looked at again a whole idle time
    // later, and again.
    let from_ms = bench.now.steady_ms;
    let stopped = loop {
        let actions = bench.tick_when_due();
        if !actions.is_empty() {
            break actions;
        }
        assert!(bench.now.steady_ms - from_ms <= AN_HOUR_MS / 4 + 60_000, "it is never idle");
    };
    assert!(asks_to_stop(&stopped, run));
    let late_ms = bench.now.steady_ms - from_ms;
    assert!(late_ms >= AN_HOUR_MS / 4, "{late_ms}");
}

#[test]
fn back_off_stops_and_the_gate_do_not_notice() {
    for set_ms in [AN_HOUR_MS as i64, -(AN_HOUR_MS as i64 / 4)] {
        let gate = GateConfig { width: Some(1), patience_ms: Some(1_000) };
        let mut bench = Bench::new(Config { gate, ..config() });
        let failing = started(&bench.ensure("failing").1).expect("it starts");
        let failure = Failure::NotStarted { reason: "no".into() };
        bench.fact(failing, Fact::StartFailed(failure));
        let slow = started(&bench.ensure("slow").1).expect("the gate is open");
        assert_eq!(started(&bench.ensure("next").1), None, "the gate is for one");
        bench.now.wall_ms = bench.now.wall_ms.saturating_add_signed(set_ms);
        assert_eq!(bench.pool.stats(bench.now).backoff, 1, "the window holds");
        bench.pass(999);
        assert_eq!(bench.handle(Input::Tick), []);
        assert_eq!(bench.pool.stats(bench.now).backoff, 1);
        bench.pass(1);
        assert!(started(&bench.handle(Input::Tick)).is_some(), "the gate's patience is over");
        assert_eq!(bench.pool.stats(bench.now).backoff, 0, "and so is the window");
        bench.process(slow);
        bench.kill("slow");
        bench.now.wall_ms = bench.now.wall_ms.saturating_add_signed(-set_ms / 2);
        bench.pass(4_999);
        assert_eq!(bench.handle(Input::Tick), []);
        bench.pass(1);
        let forced = bench.handle(Input::Tick);
        assert_eq!(forced, [Action::Stop { run: slow, stage: StopStage::Force }]);
    }
}

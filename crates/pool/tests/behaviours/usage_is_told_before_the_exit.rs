//! The usage of a tenant is sampled from when it becomes ready, whether or not it is told, and
//! told once more right before its exit: of a user's process the last sample.

use crate::support::*;
use pool::*;

fn observing(tells_observations: bool) -> Bench {
    Bench::new(Config { observe_interval_ms: Some(30_000), tells_observations, ..external() })
}

fn sampled(cpu_ms: u64, regular: bool) -> Fact {
    Fact::Sampled { cpu_ms, rss_bytes: 7, regular }
}

#[test]
fn the_usage_of_a_run_shorter_than_an_interval_is_told() {
    let mut bench = observing(true);
    let run = started(&bench.ensure("a").1).expect("it starts");
    bench.process(run);
    assert!(bench.fact(run, Fact::Ready).contains(&Action::Sample { run }));
    assert_eq!(bench.fact(run, sampled(40, false)), [], "it is not to be observed yet");
    let actions = bench.exit(run);
    let last = Event::Observation { run, cpu_ms: 40, rss_bytes: 7 };
    assert_eq!(actions[0], Action::Emit(last));
    assert!(matches!(actions[1], Action::Emit(Event::Exit { .. })));
}

#[test]
fn usage_that_is_not_told_is_in_the_status() {
    let mut bench = observing(false);
    let run = bench.running("a");
    assert_eq!(bench.tick_when_due(), [Action::Observe]);
    assert_eq!(bench.fact(run, sampled(40, true)), []);
    let usage = bench.pool.status("a", bench.now).and_then(|status| status.usage);
    assert_eq!(usage, Some(Usage { cpu_ms: 40, rss_bytes: 7 }));
    assert!(matches!(bench.exit(run)[0], Action::Emit(Event::Exit { .. })));
}

//! A sleeper that runs without an order is laid to rest again a few times, and is awake or stopped then.

use crate::support::*;
use pool::*;

const OFTEN: usize = 3;

/// It runs, and is to rest again; it does so.
fn rests_on(bench: &mut Bench, run: RunId, depth: Depth) {
    assert_eq!(bench.fact(run, Fact::Stirred), [Action::Rest { run, depth }]);
    assert_eq!(bench.fact(run, Fact::Rested { depth, rss_bytes: 1 }), [Action::LookForConnections]);
    assert_eq!(bench.look(&[]), []);
}

/// A sleeper that has run without an order as often as it may.
fn restless(config: Config) -> (Bench, RunId) {
    let mut bench = Bench::new(config);
    let run = bench.asleep("a");
    for _ in 0..OFTEN {
        rests_on(&mut bench, run, Depth::Frozen);
    }
    (bench, run)
}

#[test]
fn it_is_laid_to_rest_again_and_tells_nobody() {
    let (mut bench, run) = restless(sleepy());
    assert_eq!(bench.phase("a"), Some(Phase::Asleep));
    bench.pass(60_000);
    for _ in 0..OFTEN {
        rests_on(&mut bench, run, Depth::Frozen);
    }
}

#[test]
fn it_sleeps_on_as_deep_as_before() {
    let mut bench = Bench::new(sleepy());
    let run = bench.asleep("a");
    bench.tick_when_due();
    bench.fact(run, paged_out());
    rests_on(&mut bench, run, Depth::PagedOut);
}

#[test]
fn one_that_stirs_before_it_hears_that_it_is_to_be_paged_out_is_paged_out() {
    let mut bench = Bench::new(sleepy());
    let run = bench.asleep("a");
    assert!(rests(&bench.tick_when_due(), run, Depth::PagedOut));
    assert!(rests(&bench.fact(run, Fact::Stirred), run, Depth::Frozen));
    let told = events(&bench.fact(run, paged_out()));
    assert_eq!(told, [Event::Sleep { run, depth: Depth::PagedOut, rss_bytes: 100 }]);
    assert_eq!(bench.fact(run, paged_out()), [], "it sleeps as deep already");
    assert_eq!(bench.look(&[]), []);
    assert_eq!(bench.pool.next_deadline(), None);
}

#[test]
fn one_that_cannot_be_kept_asleep_is_awake_where_there_is_room() {
    let (mut bench, run) = restless(sleepy());
    assert_eq!(
        bench.fact(run, Fact::Stirred),
        [Action::Rouse { run, is_to_answer: true }, Action::WatchBacklogs { on: false },]
    );
    let told = events(&bench.fact(run, Fact::Roused));
    assert_eq!(told, [Event::Wake { run, depth: Depth::Frozen, by_itself: true }]);
    let (call, actions) = bench.ensure("a");
    assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(run)));
    bench.tick_when_due();
    assert_eq!(bench.now.steady_ms, 61_000, "it is not let sleep for a minute");
    bench.falls_asleep(run);
    rests_on(&mut bench, run, Depth::Frozen);
    bench.ensure("a");
    let told = events(&bench.fact(run, Fact::Roused));
    assert_eq!(told, [Event::Wake { run, depth: Depth::Frozen, by_itself: false }]);
}

#[test]
fn and_is_the_first_to_leave() {
    let (mut bench, run) = restless(Config { max_concurrent: 2, ..sleepy() });
    bench.running("b");
    bench.fact(run, Fact::Stirred);
    bench.fact(run, Fact::Roused);
    let (_, actions) = bench.ensure("c");
    assert!(asks_to_stop(&actions, run), "{actions:?}");
}

#[test]
fn where_there_is_no_room_it_is_stopped_and_nobody_leaves_for_it() {
    let (mut bench, run) = restless(Config { max_concurrent: 1, ..sleepy() });
    bench.running("b");
    bench.pass(10_000);
    let actions = bench.fact(run, Fact::Stirred);
    assert_eq!(actions[0], Action::Rouse { run, is_to_answer: false });
    let actions = bench.fact(run, Fact::Roused);
    let wake = Event::Wake { run, depth: Depth::Frozen, by_itself: true };
    assert_eq!(events(&actions), [wake, Event::LruEvict { run }]);
    assert!(asks_to_stop(&actions, run));
    assert_eq!(exit_reason(&bench.exit(run)), Some(ExitReason::LruEvicted));
    assert_eq!(bench.phase("b"), Some(Phase::Ready));
}

#[test]
fn one_that_is_wanted_and_waits_for_room_stands_until_it_has_some() {
    let (mut bench, run) = restless(Config { max_concurrent: 1, ..sleepy() });
    let other = bench.running("b");
    bench.leases.begin_use(other);
    let (call, actions) = bench.ensure("a");
    assert!(!wakes(&actions, run), "there is no room");
    for _ in 0..2 * OFTEN {
        assert_eq!(bench.fact(run, Fact::Stirred), [Action::Rest { run, depth: Depth::Frozen }]);
        assert_eq!(bench.fact(run, frozen()), []);
    }
    bench.fact(run, Fact::Stirred);
    assert!(wakes(&bench.exit(other), run));
    assert_eq!(bench.fact(run, frozen()), []);
    let actions = bench.fact(run, Fact::Roused);
    assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(run)));
}

#[test]
fn one_that_nobody_was_told_of_is_a_tenant_as_before() {
    let mut bench = Bench::new(sleepy());
    let run = bench.running("a");
    for round in 0..=OFTEN {
        bench.tick_when_due();
        bench.look(&[]);
        bench.fact(run, QUIET);
        bench.fact(run, frozen());
        assert_eq!(bench.fact(run, Fact::Stirred), []);
        let (call, actions) = bench.ensure("a");
        assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(run)), "{round}");
        assert_eq!(bench.look(&[]), [], "that was for one whose tree stands");
    }
    let before_ms = bench.now.steady_ms;
    bench.tick_when_due();
    assert_eq!(bench.now.steady_ms, before_ms + 60_000);
}

#[test]
fn what_was_continued_after_it_was_told_to_run_is_no_stir() {
    let sleep = Sleep { outgoing: Outgoing::Breathe, page_out_after_ms: None, ..SLEEP };
    let connected =
        Fact::Activity { outgoing: 2, serves_beside: false, is_busy: false, seen: true };
    let mut bench = Bench::new(Config { sleep: Some(sleep), ..config() });
    let run = bench.running("a");
    bench.tick_when_due();
    bench.look(&[]);
    bench.fact(run, connected);
    bench.fact(run, frozen());
    bench.look(&[]);
    assert!(rouses(&bench.tick_when_due(), run));
    assert_eq!(bench.fact(run, Fact::Stirred), []);
    bench.fact(run, Fact::Roused);
    assert_eq!(bench.fact(run, Fact::Stirred), []);
    bench.tick_when_due();
    bench.fact(run, frozen());
    bench.look(&[]);
    let (call, _) = bench.ensure("a");
    assert_eq!(bench.fact(run, Fact::Stirred), []);
    assert_eq!(answer(&bench.fact(run, Fact::Roused), call), Some(&Outcome::Tenant(run)));
}

#[test]
fn one_that_is_being_stopped_is_asked_once_it_was_woken() {
    let (mut bench, run) = restless(sleepy());
    bench.kill("a");
    assert_eq!(bench.fact(run, Fact::Stirred), []);
    assert!(asks_to_stop(&bench.fact(run, Fact::Roused), run));
}

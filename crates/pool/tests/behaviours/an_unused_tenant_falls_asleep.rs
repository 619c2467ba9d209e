//! Who falls asleep, and what keeps a tenant awake.

use crate::support::*;
use pool::*;

fn slept(run: RunId, depth: Depth, rss_bytes: u64) -> Event {
    Event::Sleep { run, depth, rss_bytes }
}

#[test]
fn it_is_frozen_when_it_was_not_used_for_long_enough_and_does_nothing() {
    let mut bench = Bench::new(sleepy());
    let run = bench.running("a");
    let actions = bench.tick_when_due();
    assert_eq!(bench.now.steady_ms, 1_000);
    assert_eq!(actions, [Action::LookForConnections]);
    assert_eq!(bench.look(&[]), [Action::LookAtActivity { run }]);
    assert_eq!(bench.fact(run, QUIET), [Action::Rest { run, depth: Depth::Frozen }]);
    assert_eq!(bench.phase("a"), Some(Phase::Ready), "users are not told before it stands");
    assert_eq!(bench.fact(run, frozen()), [Action::LookForConnections]);
    let actions = bench.look(&[]);
    assert_eq!(events(&actions), [slept(run, Depth::Frozen, 7_000)]);
    assert!(actions.contains(&Action::WatchBacklogs { on: true }));
    let status = bench.pool.status("a", bench.now).expect("it has a status");
    assert_eq!((status.phase, status.depth), (Phase::Asleep, Some(Depth::Frozen)));
    assert_eq!(status.usage, Some(Usage { cpu_ms: 0, rss_bytes: 7_000 }));
}

#[test]
fn a_sleeper_is_paged_out_and_says_so_if_that_was_possible() {
    let mut bench = Bench::new(sleepy());
    let run = bench.asleep("a");
    let actions = bench.tick_when_due();
    assert_eq!(bench.now.steady_ms, 2_000);
    assert!(rests(&actions, run, Depth::PagedOut));
    assert_eq!(events(&bench.fact(run, paged_out())), [slept(run, Depth::PagedOut, 100)]);
    let status = bench.pool.status("a", bench.now).expect("it has a status");
    assert_eq!(status.depth, Some(Depth::PagedOut));

    let other = bench.asleep("b");
    assert!(rests(&bench.tick_when_due(), other, Depth::PagedOut));
    assert_eq!(events(&bench.fact(other, frozen())), [], "it is as it was");
    assert_eq!(bench.pool.next_deadline(), None, "and is not tried again");
}

#[test]
fn a_connection_or_an_unseen_one_keeps_it_awake_for_a_sweep() {
    let mut bench = Bench::new(sleepy());
    let run = bench.running("a");
    let mut next_sweep_ms = 10_000;
    for (open, seen) in [(vec![run], true), (vec![], false)] {
        bench.tick_when_due();
        assert_eq!(bench.handle(Input::Connections { open, seen }), []);
        next_sweep_ms += 10_000;
        assert_eq!(bench.pool.next_deadline(), Some(next_sweep_ms));
    }
    bench.tick_when_due();
    bench.falls_asleep(run);
}

#[test]
fn what_it_does_by_itself_keeps_it_awake() {
    let stays = |outgoing, activity: Fact| {
        let mut bench = Bench::new(Config { sleep: Some(Sleep { outgoing, ..SLEEP }), ..config() });
        let run = bench.running("a");
        bench.tick_when_due();
        bench.look(&[]);
        let actions = bench.fact(run, activity);
        !rests(&actions, run, Depth::Frozen)
    };
    let activity = |outgoing, serves_beside, is_busy, seen| Fact::Activity {
        outgoing,
        serves_beside,
        is_busy,
        seen,
    };
    assert!(stays(Outgoing::Sleep, activity(0, true, false, true)), "it listens on UDP");
    assert!(stays(Outgoing::Sleep, activity(0, false, true, true)), "it uses the CPU");
    assert!(stays(Outgoing::Sleep, activity(0, false, false, false)), "it cannot be seen");
    assert!(stays(Outgoing::Stay, activity(1, false, false, true)));
    assert!(!stays(Outgoing::Breathe, activity(1, false, false, true)));
    assert!(!stays(Outgoing::Sleep, activity(1, false, false, true)));
}

#[test]
fn a_use_or_a_touch_at_any_moment_before_keeps_it_awake() {
    for at in 0..3 {
        let mut bench = Bench::new(sleepy());
        let run = bench.running("a");
        let touch = |bench: &mut Bench, moment: u32| {
            if moment == at {
                bench.leases.touch(run, bench.now.wall_ms);
            }
        };
        bench.pass(999);
        bench.pass(1);
        touch(&mut bench, 0);
        bench.handle(Input::Tick);
        touch(&mut bench, 1);
        bench.look(&[]);
        touch(&mut bench, 2);
        let actions = bench.fact(run, QUIET);
        assert_eq!(actions, [], "touched at moment {at}");
        assert_eq!(bench.pool.next_deadline(), Some(2_000));
    }
    let mut bench = Bench::new(sleepy());
    let run = bench.running("a");
    bench.tick_when_due();
    bench.look(&[]);
    bench.leases.used_at_claim.push(run);
    assert_eq!(bench.fact(run, QUIET), [], "taken into use at the claim");
}

#[test]
fn the_user_has_a_say_and_the_last_one() {
    let config = Config { sleep: Some(Sleep { asks: true, ..SLEEP }), ..config() };
    let mut bench = Bench::new(config);
    let run = bench.running("a");
    bench.tick_when_due();
    bench.look(&[]);
    assert_eq!(bench.fact(run, QUIET), [Action::AskSleep { run, idle_ms: 1_000 }]);
    assert_eq!(bench.fact(run, Fact::SleepAnswered { sleep: false }), []);
    assert_eq!(bench.pool.next_deadline(), Some(20_000), "a sweep later at least");
    bench.tick_when_due();
    bench.look(&[]);
    bench.fact(run, QUIET);
    assert!(rests(&bench.fact(run, Fact::SleepAnswered { sleep: true }), run, Depth::Frozen));
}

#[test]
fn a_say_that_takes_its_time_holds_no_idle_stop_up() {
    let config = Config {
        sleep: Some(Sleep { asks: true, ..SLEEP }),
        idle_after_ms: Some(3_000),
        ..config()
    };
    let mut bench = Bench::new(config);
    let run = bench.running("a");
    bench.tick_when_due();
    bench.look(&[]);
    bench.fact(run, QUIET);
    let actions = bench.tick_when_due();
    assert_eq!(bench.now.steady_ms, 3_000);
    assert!(asks_to_stop(&actions, run));
}

#[test]
fn one_that_is_ready_or_was_woken_stays_awake_for_a_while() {
    let sleep = Sleep { after_ms: 100, page_out_after_ms: None, ..SLEEP };
    let mut bench = Bench::new(Config { sleep: Some(sleep), ..config() });
    let run = bench.asleep("a");
    assert_eq!(bench.now.steady_ms, 500);
    bench.pass(60);
    bench.touch("a");
    bench.fact(run, Fact::Roused);
    assert_eq!(bench.pool.next_deadline(), Some(1_060));
}

#[test]
fn what_connected_in_the_moment_before_it_stood_wakes_it_and_nobody_hears_of_it() {
    let mut bench = Bench::new(sleepy());
    let run = bench.running("a");
    bench.tick_when_due();
    bench.look(&[]);
    bench.fact(run, QUIET);
    bench.fact(run, frozen());
    let actions = bench.look(&[run]);
    assert!(wakes(&actions, run) && events(&actions).is_empty(), "{actions:?}");
    assert_eq!(events(&bench.fact(run, Fact::Roused)), []);
    let (call, actions) = bench.ensure("a");
    assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(run)));
}

#[test]
fn a_tree_that_cannot_be_frozen_stays_a_tenant_like_any_other() {
    let mut bench = Bench::new(sleepy());
    let run = bench.running("a");
    bench.tick_when_due();
    bench.look(&[]);
    bench.fact(run, QUIET);
    assert_eq!(bench.fact(run, Fact::RestFailed), []);
    let (call, actions) = bench.ensure("a");
    assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(run)));
    assert_eq!(bench.pool.next_deadline(), Some(20_000), "it is tried again a sweep later");
}

#[test]
fn nothing_of_the_users_sleeps_and_nothing_that_is_saved() {
    let mut bench = Bench::new(Config { custody: Custody::USERS, ..sleepy() });
    bench.running("a");
    assert_eq!(bench.pool.next_deadline(), None);
    let mut bench = Bench::new(Config { checkpoint_timeout_ms: Some(1_000), ..sleepy() });
    bench.running("a");
    assert_eq!(bench.pool.next_deadline(), None);
}

#[test]
fn one_whose_next_release_comes_up_stays_awake() {
    let mut bench = Bench::new(sleepy());
    let run = bench.running("a");
    let (_, actions) = bench.deploy("a", 0);
    started(&actions).expect("there is room");
    bench.tick_when_due();
    assert!(bench.pool.is_ready(run));
    assert_eq!(bench.pool.next_deadline(), Some(11_000));
}

#[test]
fn those_that_are_due_at_about_the_same_time_fall_asleep_after_one_look() {
    let sleep = Some(Sleep { after_ms: 30_000, page_out_after_ms: None, ..SLEEP });
    let mut bench = Bench::new(Config { sleep, ..config() });
    bench.pass(1);
    let runs = ["a", "b", "c"].map(|key| {
        bench.pass(100);
        bench.running(key)
    });
    assert_eq!(bench.tick_when_due(), [Action::LookForConnections]);
    assert_eq!(bench.now.steady_ms, 30_500);
    assert_eq!(bench.look(&[]), runs.map(|run| Action::LookAtActivity { run }));
}

#[test]
fn those_that_are_kept_awake_are_looked_at_again_at_once() {
    let mut bench = Bench::new(sleepy());
    for key in ["a", "b", "c"] {
        let run = bench.running(key);
        bench.tick_when_due();
        bench.look(&[run]);
    }
    assert_eq!(bench.tick_when_due(), [Action::LookForConnections]);
    assert_eq!(bench.now.steady_ms, 20_000);
    let looked_at = bench.look(&[]);
    assert_eq!(looked_at.len(), 3, "{looked_at:?}");
}

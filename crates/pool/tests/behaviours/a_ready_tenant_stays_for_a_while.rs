//! A ready tenant is not evicted before it has been ready for as long as its start took: a
//! millisecond at least, so never in the step in which its callers are given it, and a second at
//! most. The key that waits for its room is served then.

use crate::support::*;
use pool::*;

fn full_with(max_concurrent: usize) -> Bench {
    Bench::new(Config { max_concurrent, ..config() })
}

impl Bench {
    /// Starts the key, which takes this long.
    fn comes_up_in(&mut self, key: &str, start_ms: u64) -> RunId {
        let run = started(&self.ensure(key).1).expect("it starts");
        self.process(run);
        self.pass(start_ms);
        self.fact(run, Fact::Ready);
        run
    }
}

fn evicts(actions: &[Action], run: RunId) -> bool {
    actions == [Action::Emit(Event::LruEvict { run }), Action::Stop { run, stage: StopStage::Ask }]
}

#[test]
fn its_callers_can_use_it_before_the_next_key_gets_its_room() {
    let mut bench = full_with(1);
    let (first, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    let (second, _) = bench.ensure("b");
    bench.process(run);
    bench.pass(70);
    let actions = bench.fact(run, Fact::Ready);
    assert_eq!(answer(&actions, first), Some(&Outcome::Tenant(run)));
    assert!(!asks_to_stop(&actions, run));

    assert_eq!(bench.pool.next_deadline(), Some(140), "the second waits for nothing else");
    bench.pass(69);
    assert_eq!(bench.handle(Input::Tick), []);
    assert!(evicts(&bench.tick_when_due(), run));
    let next = started(&bench.exit(run)).expect("there is room");
    bench.process(next);
    assert_eq!(answer(&bench.fact(next, Fact::Ready), second), Some(&Outcome::Tenant(next)));
}

#[test]
fn a_start_that_costs_nothing_holds_others_up_for_a_millisecond_at_most() {
    let mut bench = full_with(1);
    let run = bench.running("a");
    assert_eq!(bench.ensure("b").1, []);
    assert_eq!(bench.pool.next_deadline(), Some(1));
    assert!(evicts(&bench.tick_when_due(), run));
}

#[test]
fn however_slowly_it_starts_it_stays_for_a_second_at_most() {
    let mut bench = full_with(1);
    let run = bench.comes_up_in("a", 20_000);
    bench.ensure("b");
    assert_eq!(bench.pool.next_deadline(), Some(21_000));
    assert!(evicts(&bench.tick_when_due(), run));
}

#[test]
fn one_that_was_restored_stays_for_as_long_as_that_took() {
    let mut bench = full_with(1);
    let run = started(&bench.ensure("a").1).expect("it starts");
    bench.pass(30);
    bench.restore(run);
    bench.ensure("b");
    assert_eq!(bench.pool.next_deadline(), Some(60));
}

#[test]
fn one_that_was_adopted_stays_for_a_millisecond() {
    let mut bench = full_with(1);
    bench.pass(100);
    bench.adopted("a");
    bench.ensure("b");
    assert_eq!(bench.pool.next_deadline(), Some(101));
}

#[test]
fn as_the_least_recently_touched_it_is_waited_for_and_no_other_leaves() {
    let mut bench = full_with(2);
    let long_ready = bench.running("a");
    let newcomer = bench.comes_up_in("b", 50);
    bench.pass(10);
    bench.leases.touch(long_ready, bench.now.wall_ms);
    assert_eq!(bench.ensure("c").1, []);
    assert_eq!(bench.pool.next_deadline(), Some(100), "it is to leave, and may stay until then");
    assert!(evicts(&bench.tick_when_due(), newcomer));
    assert_eq!(bench.pool.stats(bench.now).running, 2);
}

#[test]
fn one_that_is_touched_while_it_is_waited_for_stays() {
    let mut bench = full_with(2);
    let long_ready = bench.running("a");
    let newcomer = bench.comes_up_in("b", 50);
    bench.pass(10);
    bench.leases.touch(long_ready, bench.now.wall_ms);
    bench.ensure("c");
    bench.pass(10);
    bench.leases.touch(newcomer, bench.now.wall_ms);
    assert!(evicts(&bench.tick_when_due(), long_ready));
}

#[test]
fn all_that_are_to_leave_do_when_the_first_of_them_may() {
    let mut bench = full_with(2);
    let long_ready = bench.running("a");
    let newcomer = bench.comes_up_in("b", 50);
    bench.pass(10);
    bench.leases.touch(long_ready, bench.now.wall_ms);
    bench.ensure("c");
    assert_eq!(bench.ensure("d").1, []);
    let actions = bench.tick_when_due();
    assert!(asks_to_stop(&actions, newcomer) && asks_to_stop(&actions, long_ready));
}

#[test]
fn of_those_whose_time_is_over_the_least_recently_touched_makes_room() {
    let mut bench = full_with(2);
    let first = bench.comes_up_in("a", 5);
    let second = bench.comes_up_in("b", 5);
    bench.pass(5);
    bench.leases.touch(first, bench.now.wall_ms);
    assert!(evicts(&bench.ensure("c").1, second));
}

#[test]
fn its_end_is_a_deadline_only_while_a_key_waits() {
    let mut bench = full_with(1);
    let run = bench.running("a");
    assert_eq!(bench.pool.next_deadline(), None);
    let (call, _) = bench.ensure("b");
    assert_eq!(bench.pool.next_deadline(), Some(1));
    bench.abort("b", call);
    assert_eq!(bench.pool.next_deadline(), None);
    bench.ensure("c");
    bench.kill("a");
    assert_eq!(bench.pool.next_deadline(), Some(5_000), "room is about to become free");
    assert!(starts(&bench.exit(run), "c"));
}

#[test]
fn nothing_but_eviction_waits_for_it() {
    for call in [Bench::kill, Bench::restart] {
        let mut bench = full_with(1);
        let run = bench.comes_up_in("a", 500);
        assert!(asks_to_stop(&call(&mut bench, "a").1, run));
    }
    let mut bench = full_with(1);
    let run = bench.comes_up_in("a", 500);
    assert!(asks_to_stop(&bench.dispose().1, run));

    let mut bench = Bench::new(Config { idle_after_ms: Some(100), ..config() });
    let run = bench.comes_up_in("a", 500);
    let actions = bench.tick_when_due();
    assert_eq!(actions[0], Action::Emit(Event::IdleKill { run, idle_ms: 100 }));
}

#[test]
fn it_counts_as_room_to_come() {
    let mut bench = Bench::new(Config { max_concurrent: 2, ..external() });
    let unwilling = bench.running("a");
    let newcomer = bench.comes_up_in("b", 50);
    let (waiting, actions) = bench.ensure("c");
    assert!(evicts(&actions, unwilling));
    let actions = bench.refuse_stop(unwilling, StopStage::Ask);
    assert_eq!(actions, [], "no key is turned away while there is a tenant that was not asked");
    assert_eq!(bench.pool.next_deadline(), Some(100));
    assert!(evicts(&bench.tick_when_due(), newcomer));
    let run = started(&bench.exit(newcomer)).expect("there is room");
    bench.process(run);
    assert_eq!(answer(&bench.fact(run, Fact::Ready), waiting), Some(&Outcome::Tenant(run)));
}

#[test]
fn a_refused_kill_does_not_shorten_it() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..external() });
    let run = bench.comes_up_in("a", 50);
    bench.kill("a");
    bench.refuse_stop(run, StopStage::Ask);
    assert_eq!(bench.ensure("b").1, []);
    assert_eq!(bench.pool.next_deadline(), Some(100));
}

/// The tick that would have evicted it is late.
#[test]
fn handed_out_when_its_tenure_has_just_ended_it_stays_for_a_moment() {
    let mut bench = full_with(1);
    let run = bench.comes_up_in("a", 50);
    bench.ensure("b");
    bench.pass(60);
    let (call, actions) = bench.ensure("a");
    assert_eq!(actions, [Action::Settle { call, outcome: Outcome::Tenant(run) }]);
    assert_eq!(bench.pool.next_deadline(), Some(111));
    assert!(evicts(&bench.tick_when_due(), run));
}

/// In one late tick the eviction of "a" for "c" is given up, "c" gets the room of "b", and "b"
/// wants room again.
#[test]
fn handed_out_after_a_refused_stop_it_stays_for_a_moment() {
    let (idle_after_ms, checkpoint_timeout_ms) = (Some(100), Some(60_000));
    let mut bench = Bench::new(Config {
        max_concurrent: 2,
        idle_after_ms,
        checkpoint_timeout_ms,
        ..external()
    });
    let unwilling = bench.running("a");
    bench.pass(1);
    let saved = bench.running("b");
    assert!(evicts(&bench.ensure("c").1, unwilling));
    let (call, _) = bench.ensure("a");
    assert_eq!(bench.tick_when_due().last(), Some(&Action::Checkpoint { run: saved }));
    bench.exit(saved);
    bench.ensure("b");
    bench.fact(unwilling, Fact::StopAsked { stage: StopStage::Ask });
    assert!(forces_to_stop(&bench.tick_when_due(), unwilling));
    bench.fact(unwilling, Fact::StopAnswered { asked: StopStage::Ask });
    bench.fact(unwilling, Fact::StopAsked { stage: StopStage::Force });
    bench.fact(unwilling, Fact::StopAnswered { asked: StopStage::Force });

    bench.pass(60_000);
    let actions = bench.handle(Input::Tick);
    assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(unwilling)));
    assert!(starts(&actions, "c"));
    assert!(!asks_to_stop(&actions, unwilling));
    assert!(evicts(&bench.tick_when_due(), unwilling));
}

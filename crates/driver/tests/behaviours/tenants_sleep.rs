//! Idle tenants are frozen, and woken by whoever wants them. The test plays the keeper, too.

use crate::harness::*;
use driver::uplink::Record;
use linux::net::activity::Activity;
use linux::warden_link::client::Rest;
use pool::{Config, Fact, Input, Outgoing, RunId, Sleep};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use warden::{Depth, StopStage};

/// A port besides those that the machine gives.
const BESIDE: u16 = 9;

const SLEPT: Rest = Rest::Slept { depth: Depth::Frozen, rss_bytes: 9_000 };

fn sleep() -> Sleep {
    Sleep {
        after_ms: 1_000,
        page_out_after_ms: None,
        max_asleep: 100,
        min_awake_ms: 0,
        outgoing: Outgoing::Stay,
        asks: false,
    }
}

/// A runtime whose tenants sleep after a second; nothing is connected to any.
fn harness_with(sleep: Sleep) -> Harness {
    let harness = Harness::new(Config { sleep: Some(sleep), sweep_interval_ms: 1_000, ..config() });
    *harness.machine.engine.connected.lock().unwrap() = Some(BTreeSet::new());
    harness
}

/// Lets so much time pass, a tenth of a second at a time.
async fn pass(harness: &Harness, ms: u64) {
    for _ in 0..ms / 100 {
        harness.pass(100).await;
    }
}

/// A tenant that has been told to sleep.
async fn falling(harness: &mut Harness) -> RunId {
    let (run, _) = harness.running("a").await;
    pass(harness, 1_500).await;
    assert_eq!(harness.rests(), [(run.0, Some(Depth::Frozen))]);
    run
}

async fn sleeping(harness: &mut Harness) -> RunId {
    let run = falling(harness).await;
    harness.rested(run, SLEPT).await;
    assert_eq!(harness.record_names(), ["Sleep"]);
    run
}

#[tokio::test]
async fn a_request_wakes_a_sleeper_and_is_answered_when_it_runs() {
    let mut harness = harness_with(sleep());
    let run = sleeping(&mut harness).await;
    assert!(harness.driver.directory.acquire("a").is_none(), "it is not handed out");
    assert!(harness.driver.directory.has("a"));
    let call = tokio::spawn(harness.driver.ensure("a"));
    harness.run_tasks().await;
    assert_eq!(harness.rests(), [(run.0, None)]);
    assert!(!call.is_finished());
    harness.rested(run, Rest::Awake).await;
    let tenant = call.await.unwrap().unwrap();
    assert_eq!(tenant.run, run);
    assert_eq!(harness.record_names(), ["Wake"]);
    assert!(harness.driver.directory.acquire("a").is_some());
    assert_eq!(harness.stops(), []);
}

/// The keeper answers the order to wake alone.
async fn woken_before_it_stands(harness: &mut Harness) -> RunId {
    let run = falling(harness).await;
    let call = tokio::spawn(harness.driver.ensure("a"));
    harness.run_tasks().await;
    assert_eq!(harness.rests(), [(run.0, None)]);
    harness.rested(run, Rest::Awake).await;
    assert_eq!(call.await.unwrap().unwrap().run, run);
    run
}

#[tokio::test]
async fn a_wake_that_overtakes_the_fall_leaves_one_answer_each() {
    let mut harness = harness_with(sleep());
    woken_before_it_stands(&mut harness).await;
    assert_eq!(harness.record_names(), [""; 0], "it did not sleep");
}

#[tokio::test]
async fn a_tree_that_stands_only_after_its_wake_is_woken_again() {
    let mut harness = harness_with(sleep());
    let run = woken_before_it_stands(&mut harness).await;
    // There was no room for the order to sleep, and the other one has overtaken it.
    harness.rested(run, SLEPT).await;
    assert_eq!(harness.rests(), [(run.0, None)]);
    harness.rested(run, Rest::Awake).await;
    assert_eq!(harness.record_names(), [""; 0], "it did not sleep");
    assert!(harness.driver.directory.acquire("a").is_some());
}

#[tokio::test]
async fn a_wake_that_does_not_come_within_a_second_is_a_crash() {
    let mut harness = harness_with(sleep());
    let run = sleeping(&mut harness).await;
    harness.ensure("a");
    harness.pass(999).await;
    assert_eq!(harness.stops(), []);
    harness.pass(1).await;
    assert_eq!(harness.stops(), [(run.0, StopStage::Kill)]);
}

#[tokio::test]
async fn a_tenant_that_was_woken_and_takes_no_connection_in_is_killed() {
    let mut harness = harness_with(sleep());
    let run = sleeping(&mut harness).await;
    harness.machine.engine.takes_none.store(true, Relaxed);
    harness.ensure("a");
    harness.rested(run, Rest::Awake).await;
    harness.pass(999).await;
    assert_eq!(harness.stops(), []);
    harness.pass(1).await;
    assert_eq!(harness.stops(), [(run.0, StopStage::Kill)]);
}

#[tokio::test]
async fn a_tenant_that_was_woken_may_be_busy_with_the_page_of_a_visitor() {
    let mut harness = harness_with(Sleep { after_ms: 5_000, ..sleep() });
    let (run, port) = harness.running("a").await;
    pass(&harness, 5_500).await;
    harness.rested(run, SLEPT).await;
    harness.machine.engine.takes_none.store(true, Relaxed);
    harness.ensure("a");
    harness.rested(run, Rest::Awake).await;
    *harness.machine.engine.connected.lock().unwrap() = Some(BTreeSet::from([port]));
    pass(&harness, 2_000).await;
    assert_eq!(harness.stops(), []);
}

#[tokio::test]
async fn a_visitor_in_the_backlog_wakes_its_tenant_alone() {
    let mut harness = harness_with(sleep());
    let (run, port) = harness.running("a").await;
    let (other, _) = harness.running("b").await;
    pass(&harness, 1_500).await;
    harness.rests();
    for asleep in [run, other] {
        harness.rested(asleep, SLEPT).await;
    }
    *harness.machine.engine.backlogs.lock().unwrap() = vec![(port, 1), (1, 5)];
    pass(&harness, 800).await;
    assert_eq!(harness.rests(), [(run.0, None)]);
}

#[tokio::test]
async fn so_does_one_who_comes_to_another_port_of_it() {
    let mut harness = harness_with(sleep());
    let listens = Activity { ports: vec![BESIDE], ..Activity::default() };
    *harness.machine.engine.activity.lock().unwrap() = listens;
    let run = falling(&mut harness).await;
    harness.rested(run, SLEPT).await;
    *harness.machine.engine.backlogs.lock().unwrap() = vec![(BESIDE, 1)];
    pass(&harness, 800).await;
    assert_eq!(harness.rests(), [(run.0, None)]);
}

#[tokio::test]
async fn what_gateways_keep_is_dropped_before_it_is_looked_for_and_at_the_fall() {
    let mut harness = harness_with(sleep());
    let dropped = Arc::new(Mutex::new(Vec::new()));
    let drops = dropped.clone();
    harness.driver.when_tenants_rest(move |runs| {
        drops.lock().unwrap().extend(runs.to_vec());
        true
    });
    let run = falling(&mut harness).await;
    assert_eq!(*dropped.lock().unwrap(), [run, run]);
}

#[tokio::test]
async fn a_tenant_in_use_keeps_its_connections() {
    let mut harness = harness_with(sleep());
    harness.running("used").await;
    let _used = harness.driver.directory.acquire("used").unwrap();
    let (idle, _) = harness.running("idle").await;
    let dropped = Arc::new(Mutex::new(BTreeSet::new()));
    let drops = dropped.clone();
    harness.driver.when_tenants_rest(move |runs| {
        drops.lock().unwrap().extend(runs.to_vec());
        true
    });
    pass(&harness, 1_500).await;
    assert_eq!(*dropped.lock().unwrap(), BTreeSet::from([idle]));
}

#[tokio::test]
async fn what_is_connected_busy_or_hears_datagrams_stays_awake() {
    let awake = [
        Activity { outgoing: 1, ..Activity::default() },
        Activity { listens_on_udp: true, ..Activity::default() },
        Activity { ports: vec![BESIDE], visited: vec![BESIDE], ..Activity::default() },
    ];
    for activity in awake {
        let mut harness = harness_with(sleep());
        *harness.machine.engine.activity.lock().unwrap() = activity.clone();
        harness.running("a").await;
        pass(&harness, 5_000).await;
        assert_eq!(harness.rests(), [], "{activity:?}");
    }
    let mut harness = harness_with(sleep());
    let (_, port) = harness.running("a").await;
    *harness.machine.engine.connected.lock().unwrap() = Some(BTreeSet::from([port]));
    pass(&harness, 5_000).await;
    assert_eq!(harness.rests(), []);
}

#[tokio::test]
async fn a_tenant_sleeps_when_it_uses_the_cpu_no_more() {
    let mut harness = harness_with(sleep());
    let (run, _) = harness.running("a").await;
    for _ in 0..100 {
        // A twentieth of a core.
        harness.machine.engine.cpu_ms.fetch_add(5, Relaxed);
        harness.pass(100).await;
    }
    assert_eq!(harness.rests(), []);
    // The ten seconds that count, and the time until it is looked at again.
    pass(&harness, 22_000).await;
    assert_eq!(harness.rests(), [(run.0, Some(Depth::Frozen))]);
}

#[tokio::test]
async fn what_a_start_has_used_keeps_nobody_awake() {
    let mut harness = harness_with(sleep());
    harness.machine.engine.cpu_ms.store(5_000, Relaxed);
    falling(&mut harness).await;
}

#[tokio::test]
async fn the_user_is_asked_before_a_tenant_sleeps() {
    let mut harness = harness_with(Sleep { asks: true, ..sleep() });
    let (run, _) = harness.running("a").await;
    pass(&harness, 1_500).await;
    assert_eq!(harness.record_names(), ["AskSleep"]);
    assert_eq!(harness.rests(), []);
    harness.fact(run, Fact::SleepAnswered { sleep: true });
    harness.run_tasks().await;
    assert_eq!(harness.rests(), [(run.0, Some(Depth::Frozen))]);
}

#[tokio::test]
async fn a_touch_wakes_a_sleeper() {
    let mut harness = harness_with(sleep());
    let run = sleeping(&mut harness).await;
    harness.driver.feed_quietly(Input::Touch { key: "a".into() });
    assert_eq!(harness.rests(), [(run.0, None)]);
}

#[tokio::test]
async fn a_sleeper_is_woken_and_then_asked_to_end() {
    let mut harness = harness_with(sleep());
    let run = sleeping(&mut harness).await;
    harness.kill("a");
    assert_eq!((harness.rests(), harness.stops()), (vec![(run.0, None)], vec![]));
    harness.rested(run, Rest::Awake).await;
    assert_eq!(harness.stops(), [(run.0, StopStage::Terminate)]);
    harness.exit(run).await;
    let names = harness.record_names();
    assert_eq!(names[..2], ["Wake", "Exit"], "{names:?}");
}

#[tokio::test]
async fn short_memory_pages_sleepers_out() {
    let mut harness = harness_with(sleep());
    let run = sleeping(&mut harness).await;
    pass(&harness, 5_000).await;
    assert_eq!(harness.rests(), []);
    harness.machine.is_short.store(true, Relaxed);
    pass(&harness, 1_000).await;
    assert_eq!(harness.rests(), [(run.0, Some(Depth::PagedOut))]);
    harness.rested(run, Rest::Slept { depth: Depth::PagedOut, rss_bytes: 1_000 }).await;
    let records = harness.records();
    assert!(
        matches!(
            records[..],
            [Record::Sleep { depth: pool::Depth::PagedOut, rss_bytes: 1_000, .. }]
        ),
        "{records:?}"
    );
}

#[tokio::test]
async fn one_that_runs_without_an_order_is_laid_to_rest_again() {
    let mut harness = harness_with(sleep());
    let run = sleeping(&mut harness).await;
    harness.rested(run, Rest::Stirred).await;
    assert_eq!(harness.rests(), [(run.0, Some(Depth::Frozen))]);
    harness.rested(run, SLEPT).await;
    harness.ensure("a");
    harness.run_tasks().await;
    assert_eq!(harness.rests(), [(run.0, None)]);
    // It was on its way when the order was given.
    harness.rested(run, Rest::Stirred).await;
    harness.rested(run, Rest::Awake).await;
    harness.rested(run, Rest::Stirred).await;
    assert_eq!(harness.rests(), []);
    assert_eq!(harness.record_names(), ["Wake", "Settle"]);
    assert!(harness.driver.directory.acquire("a").is_some());
}

#[tokio::test]
async fn how_long_a_wake_took_is_told() {
    let mut harness = harness_with(sleep());
    let run = sleeping(&mut harness).await;
    harness.ensure("a");
    harness.pass(7).await;
    harness.rested(run, Rest::Awake).await;
    let records = harness.records();
    assert!(
        matches!(
            records[..],
            [Record::Wake { duration_us: 7_000, by_itself: false, .. }, Record::Settle { .. }]
        ),
        "{records:?}"
    );
}

//! `dispose` is answered when the engine has ended. Once JavaScript is gone, no record is queued.

use crate::harness::*;
use warden::StopStage;

#[tokio::test]
async fn dispose_is_answered_when_the_engine_has_ended() {
    let mut harness = Harness::new(config());
    let (run, _) = harness.running("a").await;
    harness.dispose();
    assert_eq!(harness.stops(), [(run.0, StopStage::Terminate)]);
    harness.exit(run).await;
    assert_eq!(harness.record_names(), ["Exit", "Release"]);
    harness.end_engine();
    assert_eq!(harness.record_names(), ["Disposed"]);
    harness.driver.close();
}

#[tokio::test]
async fn dispose_is_answered_at_once_if_nothing_was_started() {
    let mut harness = Harness::new(config());
    harness.dispose();
    assert_eq!(harness.record_names(), ["Disposed"]);
}

#[tokio::test]
async fn a_second_dispose_is_answered_with_the_first() {
    let mut harness = Harness::new(config());
    let (run, _) = harness.running("a").await;
    harness.dispose();
    harness.dispose();
    harness.exit(run).await;
    harness.records();
    harness.end_engine();
    assert_eq!(harness.record_names(), ["Disposed", "Disposed"]);
}

#[tokio::test]
async fn abandon_stops_all_processes_and_queues_no_record() {
    let mut harness = Harness::new(config());
    let (ready, _) = harness.running("a").await;
    let (starting, _) = harness.spawned("b");
    harness.ensure("c");
    harness.driver.abandon();
    let mut stops = harness.stops();
    stops.sort_by_key(|(number, _)| *number);
    assert_eq!(stops, [(ready.0, StopStage::Terminate), (starting.0, StopStage::Terminate)]);
    harness.exit(ready).await;
    harness.exit(starting).await;
    assert!(harness.records().is_empty());
    assert_eq!(harness.driver.stats().total, 0);
}

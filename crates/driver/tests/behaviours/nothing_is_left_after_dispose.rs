//! `dispose` is answered when the engine's thread has nothing left to do; where JavaScript is gone,
//! nothing is told.

use crate::support::*;
use warden::StopStage;

#[tokio::test]
async fn dispose_is_answered_when_the_engine_has_ended() {
    let mut house = House::new(config());
    let (run, _) = house.running("a").await;
    house.dispose();
    assert_eq!(house.stops(), [(run.0, StopStage::Terminate)]);
    house.exit(run).await;
    assert_eq!(house.told(), ["Exit", "Release"]);
    house.end_engine();
    assert_eq!(house.told(), ["Disposed"]);
    house.driver.close();
}

#[tokio::test]
async fn a_runtime_that_never_started_anything_is_disposed_of_at_once() {
    let mut house = House::new(config());
    house.dispose();
    assert_eq!(house.told(), ["Disposed"]);
}

#[tokio::test]
async fn a_second_dispose_is_answered_with_the_first() {
    let mut house = House::new(config());
    let (run, _) = house.running("a").await;
    house.dispose();
    house.dispose();
    house.exit(run).await;
    house.records();
    house.end_engine();
    assert_eq!(house.told(), ["Disposed", "Disposed"]);
}

#[tokio::test]
async fn without_javascript_all_processes_end_and_nothing_is_told() {
    let mut house = House::new(config());
    let (ready, _) = house.running("a").await;
    let (starting, _) = house.process_of("b");
    house.ensure("c");
    house.driver.abandon();
    let mut stops = house.stops();
    stops.sort_by_key(|(number, _)| *number);
    assert_eq!(stops, [(ready.0, StopStage::Terminate), (starting.0, StopStage::Terminate)]);
    house.exit(ready).await;
    house.exit(starting).await;
    assert!(house.records().is_empty());
    assert_eq!(house.driver.stats().total, 0);
}

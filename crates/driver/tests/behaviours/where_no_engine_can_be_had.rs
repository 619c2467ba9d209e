//! A host that has no thread to spare refuses a start, and takes the next one when there is one.

use crate::support::*;
use pool::{Failure, Input, Refusal};
use std::sync::atomic::Ordering;

#[tokio::test]
async fn a_start_fails_with_what_was_missing_and_the_next_one_is_tried_anew() {
    let mut house = House::new(config());
    house.stage.has_no_engine.store(true, Ordering::Relaxed);
    let refusal = house.driver.ensure("a").await.unwrap_err();
    let Refusal::StartFailed { failure: Failure::NotStarted { reason }, .. } = &refusal else {
        panic!("{refusal:?}")
    };
    assert_eq!(reason, "the runtime's thread could not be started: no thread is left");
    house.stage.has_no_engine.store(false, Ordering::Relaxed);
    house.call(|_| Input::ClearBackoff { key: "a".into() });
    house.records();
    house.running("a").await;
    assert!(house.driver.directory.acquire("a").is_some());
}

#[tokio::test]
async fn after_the_end_of_the_engine_nothing_is_launched() {
    let mut house = House::new(config());
    house.ensure("a");
    house.driver.close();
    house.launch_all();
    assert_eq!(house.stage.engine.launched.load(Ordering::Relaxed), 0);
}

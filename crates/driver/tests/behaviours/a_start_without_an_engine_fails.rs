//! A start fails if the engine's thread cannot be started, and the next start tries again.

use crate::harness::*;
use pool::{Failure, Input, Refusal};
use std::sync::atomic::Ordering;

#[tokio::test]
async fn a_start_fails_with_the_reason_and_the_next_one_tries_again() {
    let mut harness = Harness::new(config());
    harness.machine.has_no_engine.store(true, Ordering::Relaxed);
    let refusal = harness.driver.ensure("a").await.unwrap_err();
    let Refusal::StartFailed { failure: Failure::NotStarted { reason }, .. } = &refusal else {
        panic!("{refusal:?}")
    };
    assert_eq!(reason, "the runtime's thread could not be started: no thread is left");
    harness.machine.has_no_engine.store(false, Ordering::Relaxed);
    harness.call(|_| Input::ClearBackoff { key: "a".into() });
    harness.records();
    harness.running("a").await;
    assert!(harness.driver.directory.acquire("a").is_some());
}

#[tokio::test]
async fn no_run_is_launched_after_the_engine_has_ended() {
    let mut harness = Harness::new(config());
    harness.ensure("a");
    harness.driver.close();
    harness.launch_all();
    assert_eq!(harness.machine.engine.launched.load(Ordering::Relaxed), 0);
}

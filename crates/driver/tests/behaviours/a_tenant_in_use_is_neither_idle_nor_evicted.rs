//! A tenant that a thread in Rust uses is not idle, and is evicted only after those that are not
//! in use. The end of a use is a touch.

use crate::harness::*;
use warden::StopStage;

#[tokio::test]
async fn idle_time_begins_at_the_end_of_the_use() {
    let mut harness = Harness::new(pool::Config { idle_after_ms: Some(1_000), ..config() });
    let (run, _) = harness.running("a").await;
    let used = harness.driver.directory.acquire("a").unwrap();
    for _ in 0..10 {
        harness.pass(600).await;
    }
    assert_eq!(harness.stops(), []);
    drop(used);
    harness.pass(999).await;
    assert_eq!(harness.stops(), []);
    harness.pass(1).await;
    assert_eq!(harness.stops(), [(run.0, StopStage::Terminate)]);
}

#[tokio::test]
async fn an_unused_tenant_is_evicted_first_though_it_was_touched_later() {
    let mut harness = Harness::new(pool::Config { max_concurrent: 2, ..config() });
    harness.running("used").await;
    let _used = harness.driver.directory.acquire("used").unwrap();
    harness.pass(10).await;
    let (unused, _) = harness.running("unused").await;
    harness.pass(10).await;
    let _third = harness.driver.ensure("third");
    assert_eq!(harness.stops(), [(unused.0, StopStage::Terminate)]);
}

#[tokio::test]
async fn an_answered_call_uses_its_tenant_before_it_is_polled() {
    let mut harness = Harness::new(pool::Config { max_concurrent: 2, ..config() });
    let waiting = harness.driver.ensure("a");
    let (run, port) = harness.launch_all()[0];
    harness.driver.started(run, 1, spawned(100));
    harness.answers(port, std::net::Ipv4Addr::LOCALHOST.into()).await;
    harness.pass(10).await;
    let (unused, _) = harness.running("unused").await;
    harness.pass(10).await;
    // The future has not been polled since its answer.
    harness.ensure("third");
    assert_eq!(harness.stops(), [(unused.0, StopStage::Terminate)]);
    drop(waiting);
}

//! A tenant that is in use when it is to end is not handed out any more, and asked to end when its
//! last use has ended or, with the uses revoked, when their time is over.

use crate::harness::*;
use pool::{Input, RunId};
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use warden::StopStage;

const DRAIN_MS: u64 = 500;

fn draining() -> Harness {
    let harness = Harness::new(config());
    harness.driver.set_drain_ms(DRAIN_MS);
    harness
}

fn is_ready(future: Pin<&mut impl Future<Output = ()>>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
}

/// A new release of the key that serves; the one before may go on for so long.
async fn replaced(harness: &mut Harness, key: &str, retire_ms: u64) -> RunId {
    harness.call(|call| Input::Deploy { key: key.into(), call, retire_ms });
    let (run, port) = harness.launch_all()[0];
    harness.driver.started(run, run.0, spawned(100 + run.0 as u32));
    harness.answers(port, std::net::Ipv4Addr::LOCALHOST.into()).await;
    run
}

#[tokio::test]
async fn it_is_asked_to_end_when_the_last_use_has_ended() {
    let mut harness = draining();
    let (run, _) = harness.running("a").await;
    let uses = [0, 1].map(|_| harness.driver.directory.acquire("a").unwrap());
    harness.kill("a");
    assert!(harness.driver.directory.acquire("a").is_none(), "no new use begins");
    let [first, last] = uses;
    drop(first);
    harness.run_tasks().await;
    assert_eq!(harness.stops(), []);
    // On another thread, as a gateway does.
    std::thread::spawn(move || drop(last)).join().unwrap();
    harness.run_tasks().await;
    assert_eq!(harness.stops(), [(run.0, StopStage::Terminate)]);
}

#[tokio::test]
async fn a_use_that_goes_on_is_revoked_when_its_time_is_over() {
    let mut harness = draining();
    let (run, _) = harness.running("a").await;
    let used = harness.driver.directory.acquire("a").unwrap();
    let mut revoked = pin!(used.revoked());
    assert!(!is_ready(revoked.as_mut()));
    harness.kill("a");
    harness.pass(DRAIN_MS - 1).await;
    assert!(!is_ready(revoked.as_mut()) && harness.stops().is_empty());
    harness.pass(1).await;
    assert!(is_ready(revoked.as_mut()));
    assert!(is_ready(pin!(used.revoked())), "who asks later hears it, too");
    assert_eq!(harness.stops(), [(run.0, StopStage::Terminate)]);
}

#[tokio::test]
async fn without_a_time_for_them_uses_are_revoked_at_once() {
    let mut harness = Harness::new(config());
    let (run, _) = harness.running("a").await;
    let used = harness.driver.directory.acquire("a").unwrap();
    harness.kill("a");
    assert!(is_ready(pin!(used.revoked())));
    assert_eq!(harness.stops(), [(run.0, StopStage::Terminate)]);
}

#[tokio::test]
async fn dispose_revokes_them_at_once() {
    let mut harness = draining();
    let (run, _) = harness.running("a").await;
    let used = harness.driver.directory.acquire("a").unwrap();
    harness.kill("a");
    harness.dispose();
    assert!(is_ready(pin!(used.revoked())));
    assert_eq!(harness.stops(), [(run.0, StopStage::Terminate)]);
}

#[tokio::test]
async fn who_comes_meanwhile_gets_the_next_tenant() {
    let mut harness = draining();
    let (run, _) = harness.running("a").await;
    let used = harness.driver.directory.acquire("a").unwrap();
    harness.call(|call| Input::Restart { key: "a".into(), call });
    let waiting = harness.driver.ensure("a");
    drop(used);
    harness.run_tasks().await;
    harness.exit(run).await;
    let (next, port) = harness.launch_all()[0];
    harness.driver.started(next, next.0, spawned(200));
    harness.answers(port, std::net::Ipv4Addr::LOCALHOST.into()).await;
    assert_eq!(waiting.await.unwrap().run, next);
}

#[tokio::test]
async fn what_was_replaced_goes_on_for_its_uses() {
    let mut harness = draining();
    let (old, _) = harness.running("a").await;
    let used = harness.driver.directory.acquire("a").unwrap();
    let new = replaced(&mut harness, "a", 2_000).await;
    assert_eq!(harness.driver.directory.acquire("a").unwrap().run, new);
    let mut revoked = pin!(used.revoked());
    harness.pass(1_999).await;
    assert!(!is_ready(revoked.as_mut()) && harness.stops().is_empty());
    harness.pass(1).await;
    assert!(is_ready(revoked.as_mut()));
    assert_eq!(harness.stops(), [(old.0, StopStage::Terminate)]);
    harness.exit(old).await;
    assert_eq!(harness.driver.directory.acquire("a").unwrap().run, new);
}

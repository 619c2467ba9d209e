//! While a key is passed on to another host, its callers wait, and what they have in use goes on.

use crate::harness::*;
use driver::callers::Answer;
use driver::uplink::Record;
use pool::{Adopted, Custody, Fact, Failure, Input, Outcome, Refusal, RunId, StopStage};
use std::net::Ipv4Addr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

fn poll<T>(waiting: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    waiting.poll(&mut Context::from_waker(Waker::noop()))
}

fn run_of(answer: Poll<Answer>) -> Option<RunId> {
    match answer {
        Poll::Ready(answer) => Some(answer.unwrap().run),
        Poll::Pending => None,
    }
}

#[tokio::test]
async fn callers_wait_and_then_have_the_tenant() {
    let mut harness = Harness::new(config());
    let (run, _) = harness.running("a").await;
    let (other, _) = harness.running("b").await;
    let hold = harness.driver.hold("a").unwrap();
    assert!(harness.driver.hold("a").is_none(), "by one at a time");
    assert!(harness.driver.directory.acquire("a").is_none());
    let mut waiting = pin!(harness.driver.ensure("a"));
    let call = harness.ensure("a");
    assert_eq!(run_of(poll(waiting.as_mut())), None);
    assert_eq!(answer(&harness.records(), call), None);
    assert_eq!(harness.driver.ensure("b").await.unwrap().run, other);
    harness.is_rung();
    drop(hold);
    assert!(harness.is_rung());
    assert_eq!(run_of(poll(waiting.as_mut())), Some(run));
    assert_eq!(answer(&harness.records(), call), Some(&Outcome::Tenant(run)));
    assert!(harness.driver.directory.acquire("a").is_some());
}

#[tokio::test]
async fn it_is_quiet_when_the_last_use_has_ended() {
    let mut harness = Harness::new(config());
    harness.running("a").await;
    let uses = [(); 2].map(|()| harness.driver.directory.acquire("a").unwrap());
    let hold = harness.driver.hold("a").unwrap();
    let mut quiet = pin!(hold.quiet());
    let [first, second] = uses;
    assert!(poll(quiet.as_mut()).is_pending());
    drop(first);
    assert!(poll(quiet.as_mut()).is_pending());
    drop(second);
    assert!(poll(quiet.as_mut()).is_ready());
    assert_eq!(harness.stops(), [], "its tenant goes on");
}

#[tokio::test]
async fn a_retired_release_is_waited_for_too() {
    let mut harness = Harness::new(config());
    let (old, _) = harness.running("a").await;
    let used = harness.driver.directory.acquire("a").unwrap();
    assert_eq!(used.run, old);
    harness.call(|call| Input::Deploy { key: "a".into(), call, retire_ms: 30_000 });
    let (new, port) = harness.launch_all()[0];
    harness.driver.started(new, new.0, spawned(200));
    harness.answers(port, Ipv4Addr::LOCALHOST.into()).await;
    let hold = harness.driver.hold("a").unwrap();
    let mut quiet = pin!(hold.quiet());
    assert!(poll(quiet.as_mut()).is_pending());
    drop(used);
    assert!(poll(quiet.as_mut()).is_ready());
}

#[tokio::test]
async fn what_is_in_use_for_too_long_can_be_cut_off() {
    let mut harness = Harness::new(config());
    harness.running("a").await;
    let used = harness.driver.directory.acquire("a").unwrap();
    let hold = harness.driver.hold("a").unwrap();
    let mut revoked = pin!(used.revoked());
    assert!(poll(revoked.as_mut()).is_pending());
    hold.cut();
    assert!(poll(revoked.as_mut()).is_ready());
    drop(hold);
    let used = harness.driver.directory.acquire("a").unwrap();
    assert!(poll(pin!(used.revoked())).is_pending(), "it serves again");
}

#[tokio::test]
async fn those_who_wait_are_refused_if_the_key_is_withdrawn() {
    let mut harness = Harness::new(config());
    harness.driver.admit_only();
    harness.driver.admit("a", "7");
    let (run, _) = harness.running("a").await;
    let hold = harness.driver.hold("a").unwrap();
    let waiting = harness.driver.ensure("a");
    let withdrawn = harness.driver.withdraw("a", false);
    drop(hold);
    assert_eq!(waiting.await.unwrap_err(), Refusal::NotAdmitted);
    harness.exit(run).await;
    assert_eq!(withdrawn.await, Ok(()));
}

#[tokio::test]
async fn a_tenant_that_becomes_ready_meanwhile_is_not_handed_out() {
    let harness = Harness::new(config());
    let mut before = pin!(harness.driver.ensure("a"));
    let (run, port) = harness.launch_all()[0];
    harness.driver.started(run, 1, spawned(100));
    let hold = harness.driver.hold("a").unwrap();
    harness.answers(port, Ipv4Addr::LOCALHOST.into()).await;
    assert!(harness.driver.directory.acquire("a").is_none());
    assert_eq!(run_of(poll(before.as_mut())), None);
    assert!(poll(pin!(hold.quiet())).is_ready());
    drop(hold);
    assert_eq!(run_of(poll(before.as_mut())), Some(run));
}

#[tokio::test]
async fn a_claim_that_is_taken_back_ends_no_hold() {
    let mut harness = Harness::new(pool::Config { custody: Custody::USERS, ..config() });
    let process = Adopted { pid: 9, port: 9_000, touched_at_ms: 0, custody: Custody::USERS };
    harness.call(|call| Input::Adopt { key: "a".into(), call, process });
    let run = harness.driver.directory.acquire("a").unwrap().run;
    let hold = harness.driver.hold("a").unwrap();
    harness.kill("a");
    let failure = Failure::Thrown { by: pool::Callback::Kill, text: "not now".into() };
    harness.fact(run, Fact::StopAsked { stage: StopStage::Ask });
    harness.fact(run, Fact::StopRefused { asked: StopStage::Ask, failure });
    assert!(harness.driver.directory.acquire("a").is_none());
    drop(hold);
    assert!(harness.driver.directory.acquire("a").is_some());
}

#[tokio::test]
async fn the_end_of_a_hold_ends_no_claim() {
    let mut harness = Harness::new(config());
    harness.running("a").await;
    let hold = harness.driver.hold("a").unwrap();
    harness.kill("a");
    drop(hold);
    assert!(harness.driver.directory.acquire("a").is_none());
}

#[tokio::test]
async fn who_no_longer_waits_is_forgotten() {
    let mut harness = Harness::new(config());
    let hold = harness.driver.hold("a").unwrap();
    drop(harness.driver.ensure("a"));
    let call = harness.ensure("a");
    assert!(harness.driver.abort("a".into(), call), "it waited");
    drop(hold);
    assert_eq!(harness.driver.stats().total, 0, "nothing is started for them");
    assert_eq!(harness.record_names(), [""; 0]);
}

#[tokio::test]
async fn dispose_and_abandon_refuse_those_who_wait() {
    for is_abandoned in [false, true] {
        let mut harness = Harness::new(config());
        let hold = harness.driver.hold("a").unwrap();
        let waiting = harness.driver.ensure("a");
        if is_abandoned {
            harness.driver.abandon();
        } else {
            harness.dispose();
        }
        assert_eq!(waiting.await.unwrap_err(), Refusal::Disposed);
        drop(hold);
    }
}

#[tokio::test]
async fn a_held_key_without_a_tenant_is_started_afterwards() {
    let mut harness = Harness::new(config());
    let hold = harness.driver.hold("a").unwrap();
    assert!(poll(pin!(hold.quiet())).is_ready());
    harness.ensure("a");
    assert_eq!(harness.records().len(), 0);
    drop(hold);
    assert!(harness.records().iter().any(|record| matches!(record, Record::Prepare { .. })));
}

#[tokio::test]
async fn a_tenant_can_be_started_for_nobody_yet() {
    let mut harness = Harness::new(config());
    harness.driver.admit_only();
    let hold = harness.driver.hold("a").unwrap();
    harness.driver.admit("a", "8");
    let mut waiting = pin!(harness.driver.ensure("a"));
    let mut starts = pin!(hold.start());
    let (run, port) = harness.launch_all()[0];
    harness.driver.started(run, 1, spawned(100));
    assert!(poll(starts.as_mut()).is_pending());
    harness.answers(port, Ipv4Addr::LOCALHOST.into()).await;
    assert_eq!(poll(starts.as_mut()), Poll::Ready(Ok(())));
    assert_eq!(run_of(poll(waiting.as_mut())), None);
    assert!(harness.driver.directory.acquire("a").is_none());
    drop(hold);
    assert_eq!(run_of(poll(waiting.as_mut())), Some(run));
    let second = harness.driver.hold("b").unwrap();
    assert_eq!(second.start().await, Err(Refusal::NotAdmitted));
    harness.kill("a");
}

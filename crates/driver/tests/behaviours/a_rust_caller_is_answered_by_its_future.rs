//! A call of a thread in Rust is answered by its future, and a call of JavaScript by a record,
//! whichever of them has asked for the start first.

use crate::harness::*;
use driver::callers::Answer;
use pool::{Adopted, Custody, Failure, Input, Outcome, Refusal};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use warden::StopStage;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn answer_now(waiting: impl Future<Output = Answer>) -> Poll<Answer> {
    pin!(waiting).poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn a_call_in_rust_gets_its_tenant_and_queues_no_answer() {
    let harness = Harness::new(config());
    let waiting = harness.driver.ensure("a");
    assert!(harness.is_rung(), "JavaScript has to prepare the run");
    let (run, port) = harness.launch_all()[0];
    harness.driver.started(run, 1, spawned(100));
    harness.answers(port, LOCAL).await;
    let tenant = waiting.await.unwrap();
    assert_eq!((tenant.run, tenant.port, tenant.host, &*tenant.key), (run, port, LOCAL, "a"));
    assert_eq!(harness.record_names(), ["Spawn", "Ready"]);
}

#[tokio::test]
async fn callers_in_rust_and_javascript_share_a_start() {
    let mut harness = Harness::new(config());
    let call = harness.ensure("a");
    let waiting = [harness.driver.ensure("a"), harness.driver.ensure("a")];
    let (run, port) = harness.launch_all()[0];
    harness.driver.started(run, 1, spawned(100));
    harness.answers(port, LOCAL).await;
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap().run, run);
    }
    let records = harness.records();
    assert_eq!(answer(&records, call), Some(&Outcome::Tenant(run)));
    assert_eq!(records.iter().map(name).collect::<Vec<_>>(), ["Spawn", "Ready", "Settle"]);
}

#[tokio::test]
async fn a_ready_tenant_is_returned_at_the_first_poll() {
    let mut harness = Harness::new(config());
    let (run, _) = harness.running("a").await;
    let Poll::Ready(Ok(tenant)) = answer_now(harness.driver.ensure("a")) else {
        panic!("it waits")
    };
    assert_eq!(tenant.run, run);
}

#[tokio::test]
async fn a_dropped_call_calls_off_a_start_that_no_other_call_waits_for() {
    let mut harness = Harness::new(config());
    let waiting = harness.driver.ensure("a");
    let (run, _) = harness.launch_all()[0];
    harness.driver.started(run, 1, spawned(100));
    drop(waiting);
    assert_eq!(harness.stops(), [(1, StopStage::Terminate)]);
    harness.ensure("b");
    drop(harness.driver.ensure("b"));
    let (run, _) = harness.spawned("c");
    assert!(
        harness.driver.stats().total == 3
            && !harness.stops().contains(&(run.0, StopStage::Terminate))
    );
}

#[tokio::test]
async fn a_call_dropped_after_its_answer_does_not_keep_the_tenant_in_use() {
    let harness = Harness::new(pool::Config { idle_after_ms: Some(1_000), ..config() });
    let waiting = harness.driver.ensure("a");
    let (run, port) = harness.launch_all()[0];
    harness.driver.started(run, 1, spawned(100));
    harness.answers(port, LOCAL).await;
    drop(waiting);
    harness.pass(1_000).await;
    assert_eq!(harness.stops(), [(1, StopStage::Terminate)], "it is idle");
}

#[tokio::test]
async fn a_failed_start_refuses_its_caller_with_the_reason() {
    let harness = Harness::new(config());
    let waiting = harness.driver.ensure("a");
    let (run, _) = harness.launch_all()[0];
    let failure = Failure::NotStarted { reason: "no such program".into() };
    harness.fact(run, pool::Fact::StartFailed(failure.clone()));
    let refusal = Refusal::StartFailed { run: Some(run), failure };
    assert_eq!(waiting.await.unwrap_err(), refusal);
    let backing_off = harness.driver.ensure("a").await.unwrap_err();
    assert!(
        matches!(backing_off, Refusal::BackingOff { retry_after_ms: 1_000, .. }),
        "{backing_off:?}"
    );
    assert_eq!(harness.record_names(), ["Release", "Backoff"]);
}

#[tokio::test]
async fn dispose_and_abandon_refuse_all_waiting_calls() {
    for is_abandoned in [false, true] {
        let mut harness = Harness::new(config());
        let waiting = harness.driver.ensure("a");
        if is_abandoned {
            harness.driver.abandon();
        } else {
            harness.dispose();
        }
        assert_eq!(waiting.await.unwrap_err(), Refusal::Disposed);
        assert_eq!(harness.driver.ensure("a").await.unwrap_err(), Refusal::Disposed);
    }
}

#[tokio::test]
async fn a_tenant_that_is_claimed_in_the_step_of_its_answer_is_not_handed_out() {
    let mut harness = Harness::new(pool::Config { max_concurrent: 1, ..config() });
    let (other, _) = harness.running("other").await;
    let process = Adopted { pid: 9, port: 9_000, touched_at_ms: 0, custody: Custody::USERS };
    harness.call(|call| Input::Adopt { key: "a".into(), call, process });
    let mut waiting = pin!(harness.driver.ensure("a"));
    harness.call(|call| Input::Restart { key: "a".into(), call });
    harness.pass(2_000).await;
    harness.exit(other).await;
    // The adopted process is never handed out: the restart was asked for before it was taken in.
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let records = harness.records();
    let adopted = records.iter().find_map(|record| match record {
        driver::uplink::Record::Adopt { run, .. } => Some(*run),
        _ => None,
    });
    harness.fact(adopted.expect("it is taken in"), pool::Fact::Exited(pool::Exit::default()));
    let records = harness.records();
    let Some(driver::uplink::Record::Prepare { run, port, .. }) =
        records.iter().find(|record| name(record) == "Prepare")
    else {
        panic!("{records:?}")
    };
    harness.driver.started(*run, 7, spawned(107));
    harness.answers(*port, LOCAL).await;
    assert_eq!(waiting.await.unwrap().run, *run);
}

//! A thread in Rust is answered by its future, JavaScript by a record, whichever of them a start
//! was begun for.

use crate::support::*;
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
async fn it_is_given_its_tenant_and_javascript_no_answer() {
    let house = House::new(config());
    let waiting = house.driver.ensure("a");
    assert!(house.is_rung(), "JavaScript is to prepare it");
    let (run, port) = house.launch_all()[0];
    house.driver.started(run, 1, 100, KEEPER);
    house.answers(port, LOCAL).await;
    let tenant = waiting.await.unwrap();
    assert_eq!((tenant.run, tenant.port, tenant.host, &*tenant.key), (run, port, LOCAL, "a"));
    assert_eq!(house.told(), ["Spawn", "Ready"]);
}

#[tokio::test]
async fn it_shares_a_start_with_callers_in_javascript() {
    let mut house = House::new(config());
    let call = house.ensure("a");
    let waiting = [house.driver.ensure("a"), house.driver.ensure("a")];
    let (run, port) = house.launch_all()[0];
    house.driver.started(run, 1, 100, KEEPER);
    house.answers(port, LOCAL).await;
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap().run, run);
    }
    let records = house.records();
    assert_eq!(answer(&records, call), Some(&Outcome::Tenant(run)));
    assert_eq!(records.iter().map(name).collect::<Vec<_>>(), ["Spawn", "Ready", "Settle"]);
}

#[tokio::test]
async fn a_ready_tenant_is_there_at_once() {
    let mut house = House::new(config());
    let (run, _) = house.running("a").await;
    let Poll::Ready(Ok(tenant)) = answer_now(house.driver.ensure("a")) else { panic!("it waits") };
    assert_eq!(tenant.run, run);
}

#[tokio::test]
async fn a_caller_that_goes_away_calls_off_a_start_that_nothing_else_waits_for() {
    let mut house = House::new(config());
    let waiting = house.driver.ensure("a");
    let (run, _) = house.launch_all()[0];
    house.driver.started(run, 1, 100, KEEPER);
    drop(waiting);
    assert_eq!(house.stops(), [(1, StopStage::Terminate)]);
    house.ensure("b");
    drop(house.driver.ensure("b"));
    let (run, _) = house.process_of("c");
    assert!(house.driver.stats().total == 3 && !house.stops().contains(&(run.0, StopStage::Terminate)));
}

#[tokio::test]
async fn a_caller_that_goes_away_unanswered_uses_nothing() {
    let house = House::new(pool::Config { idle_after_ms: Some(1_000), ..config() });
    let waiting = house.driver.ensure("a");
    let (run, port) = house.launch_all()[0];
    house.driver.started(run, 1, 100, KEEPER);
    house.answers(port, LOCAL).await;
    drop(waiting);
    house.pass(1_000).await;
    assert_eq!(house.stops(), [(1, StopStage::Terminate)], "it is idle");
}

#[tokio::test]
async fn it_hears_why_it_is_refused() {
    let house = House::new(config());
    let waiting = house.driver.ensure("a");
    let (run, _) = house.launch_all()[0];
    let failure = Failure::NotStarted { reason: "no such program".into() };
    house.fact(run, pool::Fact::StartFailed(failure.clone()));
    let refusal = Refusal::StartFailed { run: Some(run), failure };
    assert_eq!(waiting.await.unwrap_err(), refusal);
    let backing_off = house.driver.ensure("a").await.unwrap_err();
    assert!(matches!(backing_off, Refusal::BackingOff { retry_after_ms: 1_000, .. }), "{backing_off:?}");
    assert_eq!(house.told(), ["Release", "Backoff"]);
}

#[tokio::test]
async fn dispose_and_the_end_of_javascript_answer_all_that_wait() {
    for is_abandoned in [false, true] {
        let mut house = House::new(config());
        let waiting = house.driver.ensure("a");
        if is_abandoned {
            house.driver.abandon();
        } else {
            house.dispose();
        }
        assert_eq!(waiting.await.unwrap_err(), Refusal::Disposed);
        assert_eq!(house.driver.ensure("a").await.unwrap_err(), Refusal::Disposed);
    }
}

#[tokio::test]
async fn a_tenant_that_is_stopped_in_the_step_that_hands_it_out_is_not_handed_out() {
    let mut house = House::new(pool::Config { max_concurrent: 1, ..config() });
    let (other, _) = house.running("other").await;
    let process = Adopted { pid: 9, port: 9_000, touched_at_ms: 0, custody: Custody::USERS };
    house.call(|call| Input::Adopt { key: "a".into(), call, process });
    let mut waiting = pin!(house.driver.ensure("a"));
    house.call(|call| Input::Restart { key: "a".into(), call });
    house.pass(2_000).await;
    house.exit(other).await;
    // The adopted process was the tenant for no moment: the restart was asked for before it was
    // taken in.
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let records = house.records();
    let adopted = records.iter().find_map(|record| match record {
        driver::uplink::Record::Adopt { run, .. } => Some(*run),
        _ => None,
    });
    house.fact(adopted.expect("it is taken in"), pool::Fact::Exited(pool::Exit::default()));
    let records = house.records();
    let Some(driver::uplink::Record::Prepare { run, port, .. }) =
        records.iter().find(|record| name(record) == "Prepare")
    else {
        panic!("{records:?}")
    };
    house.driver.started(*run, 7, 107, KEEPER);
    house.answers(*port, LOCAL).await;
    assert_eq!(waiting.await.unwrap().run, *run);
}

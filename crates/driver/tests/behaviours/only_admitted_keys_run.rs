//! A fleet says which keys may have processes here, with which epoch; and can have all of them killed.

use crate::harness::*;
use driver::callers::Ended;
use pool::{Fact, Failure, Input, Outcome, Refusal};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use warden::StopStage;

fn ended(waiting: Pin<&mut (impl Future<Output = Ended> + ?Sized)>) -> Poll<Ended> {
    waiting.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn others_are_refused_to_callers_in_rust_and_javascript() {
    let mut harness = Harness::new(config());
    harness.driver.admit_only();
    assert_eq!(harness.driver.ensure("a").await.unwrap_err(), Refusal::NotAdmitted);
    let call = harness.ensure("a");
    let records = harness.records();
    assert_eq!(answer(&records, call), Some(&Outcome::Refused(Refusal::NotAdmitted)));
    harness.driver.admit("a", "7");
    harness.running("a").await;
}

#[tokio::test]
async fn a_tenant_finds_its_epoch_in_its_environment() {
    let mut harness = Harness::new(config());
    harness.driver.admit_only();
    harness.driver.admit("a", "27");
    let given = || vec!["A=1".to_owned(), "ABSOLUTE_EPOCH=3".to_owned()];
    harness.ensure("a");
    for record in harness.records() {
        if let driver::uplink::Record::Prepare { run, .. } = record {
            harness.driver.launch(run, given());
        }
    }
    harness.driver.admit("b", "28");
    harness.driver.set_variables(Some(given()));
    harness.ensure("b");
    harness.run_tasks().await;
    let environments = harness.machine.engine.environments.lock().unwrap().clone();
    let epochs = |variables: &Vec<String>| -> Vec<String> {
        variables.iter().filter(|line| line.starts_with("ABSOLUTE_EPOCH=")).cloned().collect()
    };
    let epochs: Vec<_> = environments.iter().map(epochs).collect();
    assert_eq!(epochs, [["ABSOLUTE_EPOCH=27"], ["ABSOLUTE_EPOCH=28"]]);
}

#[tokio::test]
async fn a_withdrawal_resolves_when_the_tenant_has_ended() {
    let mut harness = Harness::new(config());
    harness.driver.admit_only();
    harness.driver.admit("a", "7");
    let (run, _) = harness.running("a").await;
    let mut withdrawn = pin!(harness.driver.withdraw("a", false));
    assert_eq!(harness.stops(), [(run.0, StopStage::Terminate)], "before it is awaited");
    assert!(harness.driver.directory.acquire("a").is_none());
    assert_eq!(ended(withdrawn.as_mut()), Poll::Pending);
    harness.exit(run).await;
    assert_eq!(ended(withdrawn.as_mut()), Poll::Ready(Ok(())));
    assert!(!harness.record_names().contains(&"Settle".to_owned()));
}

#[tokio::test]
async fn a_withdrawal_goes_on_when_nobody_waits_for_it() {
    let mut harness = Harness::new(config());
    harness.driver.admit_only();
    harness.driver.admit("a", "7");
    let (run, _) = harness.running("a").await;
    drop(harness.driver.withdraw("a", false));
    harness.exit(run).await;
    assert_eq!(harness.driver.stats().total, 0);
}

#[tokio::test]
async fn a_launch_that_has_not_begun_never_does() {
    let mut harness = Harness::new(config());
    harness.driver.admit_only();
    for ends_all in [false, true] {
        harness.driver.admit("a", "7");
        let call = harness.ensure("a");
        let records = harness.records();
        let Some(driver::uplink::Record::Prepare { run, .. }) =
            records.iter().find(|record| name(record) == "Prepare")
        else {
            panic!("{records:?}")
        };
        let mut gone: Pin<Box<dyn Future<Output = Ended>>> = match ends_all {
            true => Box::pin(harness.driver.withdraw_all(true)),
            false => Box::pin(harness.driver.withdraw("a", false)),
        };
        assert_eq!(answer(&harness.records(), call), Some(&Outcome::Refused(Refusal::NotAdmitted)));
        // A fence does not wait for JavaScript, which may be busy.
        let is_gone = ended(gone.as_mut()).is_ready();
        assert_eq!(is_gone, ends_all);
        harness.driver.launch(*run, Vec::new());
        harness.run_tasks().await;
        assert!(is_gone || ended(gone.as_mut()) == Poll::Ready(Ok(())));
        assert_eq!(*harness.machine.engine.environments.lock().unwrap(), [[""; 0]; 0]);
    }
}

#[tokio::test]
async fn a_launch_under_way_is_stopped_when_its_process_is_known() {
    let mut harness = Harness::new(config());
    harness.driver.admit_only();
    harness.driver.admit("a", "7");
    harness.ensure("a");
    let (run, _) = harness.launch_all()[0];
    let mut fenced = pin!(harness.driver.withdraw_all(true));
    assert_eq!(harness.stops(), [], "there is no process yet");
    assert_eq!(ended(fenced.as_mut()), Poll::Pending);
    harness.driver.started(run, 1, spawned(100));
    assert_eq!(harness.stops(), [(1, StopStage::Kill)]);
    harness.exit(run).await;
    assert_eq!(ended(fenced.as_mut()), Poll::Ready(Ok(())));
}

#[tokio::test]
async fn a_fence_kills_all_tenants_and_revokes_their_uses() {
    let mut harness = Harness::new(config());
    harness.driver.set_drain_ms(30_000);
    harness.driver.admit_only();
    let mut runs = Vec::new();
    for key in ["a", "b"] {
        harness.driver.admit(key, "7");
        runs.push(harness.running(key).await.0);
    }
    let used = harness.driver.directory.acquire("a").unwrap();
    let fenced = harness.driver.withdraw_all(true);
    let mut stops = harness.stops();
    stops.sort_by_key(|(number, _)| *number);
    assert_eq!(stops, runs.iter().map(|run| (run.0, StopStage::Kill)).collect::<Vec<_>>());
    used.revoked().await;
    for run in runs {
        harness.exit(run).await;
    }
    assert_eq!(fenced.await, Ok(()));
    assert_eq!(harness.driver.ensure("a").await.unwrap_err(), Refusal::NotAdmitted);
}

#[tokio::test]
async fn a_failed_start_after_a_withdrawal_is_no_failure_of_the_key() {
    let mut harness = Harness::new(config());
    harness.driver.admit_only();
    harness.driver.admit("a", "7");
    harness.ensure("a");
    let (run, _) = harness.launch_all()[0];
    let withdrawn = harness.driver.withdraw("a", false);
    let failure = Failure::NotStarted { reason: "no such program".into() };
    harness.fact(run, Fact::StartFailed(failure));
    assert_eq!(withdrawn.await, Ok(()));
    harness.driver.admit("a", "8");
    harness.driver.feed_quietly(Input::Tick);
    harness.running("a").await;
}

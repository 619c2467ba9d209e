//! The records of a run come in the documented order, from its preparation to its release.

use crate::harness::*;
use pool::{Custody, Exit, Fact, Failure, Input, Outcome, Refusal};
use std::net::{Ipv4Addr, Ipv6Addr};
use warden::StopStage;

#[tokio::test]
async fn a_start_is_prepared_spawned_ready_and_only_then_answered() {
    let mut harness = Harness::new(config());
    harness.ensure("a");
    assert_eq!(harness.record_names(), ["Prepare"]);
    harness.ensure("b");
    let (run, port) = harness.launch_all()[0];
    harness.driver.started(run, 7, spawned(100));
    assert_eq!(harness.record_names(), ["Spawn"]);
    harness.answers(port, Ipv4Addr::LOCALHOST.into()).await;
    assert_eq!(harness.record_names(), ["Ready", "Settle"]);
}

#[tokio::test]
async fn the_exit_comes_before_the_answer_to_kill_and_the_release_last() {
    let mut harness = Harness::new(config());
    let (run, _) = harness.running("a").await;
    harness.kill("a");
    assert_eq!(
        (harness.record_names(), harness.stops()),
        (vec![], vec![(run.0, StopStage::Terminate)])
    );
    harness.exit(run).await;
    assert_eq!(harness.record_names(), ["Exit", "Settle", "Release"]);
}

#[tokio::test]
async fn a_process_is_killed_when_the_grace_period_ends() {
    let mut harness = Harness::new(config());
    let (run, _) = harness.running("a").await;
    harness.kill("a");
    harness.stops();
    harness.pass(5_000).await;
    assert_eq!(harness.stops(), [(run.0, StopStage::Kill)]);
}

#[tokio::test]
async fn a_start_that_is_called_off_before_it_was_prepared_never_begins() {
    let mut harness = Harness::new(config());
    let call = harness.ensure("a");
    harness.call(|call| Input::Kill { key: "a".into(), call });
    assert!(
        harness.record_names().is_empty(),
        "taking the records finds that the run was called off"
    );
    let records = harness.records();
    let failure = Failure::CalledOff;
    assert!(matches!(
        answer(&records, call),
        Some(Outcome::Refused(Refusal::StartFailed { failure: found, .. })) if *found == failure
    ));
    assert_eq!(records.iter().map(name).collect::<Vec<_>>(), ["Settle", "Settle", "Release"]);
}

#[tokio::test]
async fn a_tenant_that_listens_at_ipv6_only_is_marked() {
    let mut harness = Harness::new(config());
    let (_, port) = harness.spawned("a");
    harness.answers(port, Ipv6Addr::LOCALHOST.into()).await;
    let ready = harness.records().into_iter().find(|record| name(record) == "Ready");
    assert!(
        matches!(ready, Some(driver::uplink::Record::Ready { at_ipv6: true, .. })),
        "{ready:?}"
    );
}

#[tokio::test]
async fn a_users_process_is_stopped_by_a_record() {
    let mut harness = Harness::new(pool::Config { custody: Custody::USERS, ..config() });
    harness.ensure("a");
    let run = match &harness.records()[0] {
        driver::uplink::Record::Prepare { run, .. } => *run,
        other => panic!("{other:?}"),
    };
    harness.driver.started_external(run, 100, None, false);
    harness.fact(run, Fact::Ready);
    harness.kill("a");
    assert_eq!(harness.record_names(), ["Spawn", "Ready", "Settle", "AskKill"]);
    harness.fact(run, Fact::Exited(Exit::default()));
    assert_eq!(harness.record_names(), ["Exit", "Settle", "Release"]);
    assert!(harness.stops().is_empty(), "the warden is not asked to stop it");
}

//! JavaScript asks functions of the user's for the settings of a start. That may take long: a start
//! that is called off meanwhile is over at once, and what is said later changes nothing.

use crate::harness::*;
use driver::tenant_settings::TenantSettings;
use driver::uplink::Record;
use pool::{Config, Custody, Failure, Input, Outcome, Refusal, RunId};
use std::net::Ipv4Addr;

fn prepared(harness: &Harness) -> RunId {
    let records = harness.records();
    let run = records.iter().find_map(|record| match record {
        Record::Prepare { run, .. } => Some(*run),
        _ => None,
    });
    run.expect("it is prepared")
}

fn users() -> Config {
    Config { custody: Custody::USERS, ..config() }
}

#[tokio::test]
async fn a_start_that_is_called_off_meanwhile_is_over_at_once() {
    for pool in [config(), users()] {
        let mut harness = Harness::asking(pool);
        let call = harness.ensure("a");
        let run = prepared(&harness);
        harness.call(|call| Input::Kill { key: "a".into(), call });
        let records = harness.records();
        let failure = Failure::CalledOff;
        assert!(matches!(
            answer(&records, call),
            Some(Outcome::Refused(Refusal::StartFailed { failure: found, .. })) if *found == failure
        ));
        assert_eq!(records.iter().map(name).collect::<Vec<_>>(), ["Settle", "Settle", "Release"]);
        assert_eq!(harness.driver.stats().total, 0);
        assert!(!harness.driver.rule(run, TenantSettings::default()), "it is not wanted");
        harness.driver.launch(run, Vec::new());
        harness.run_tasks().await;
        assert!(harness.records().is_empty());
    }
}

#[tokio::test]
async fn without_a_question_a_stop_waits_for_the_process() {
    let mut harness = Harness::new(users());
    harness.ensure("a");
    let run = prepared(&harness);
    harness.call(|call| Input::Kill { key: "a".into(), call });
    assert!(harness.record_names().is_empty(), "what the user's `spawn` does is waited for");
    assert!(!harness.driver.is_starting(run));
}

#[tokio::test]
async fn the_restart_that_called_it_off_is_asked_for_anew() {
    let mut harness = Harness::asking(config());
    harness.ensure("a");
    let first = prepared(&harness);
    harness.call(|call| Input::Restart { key: "a".into(), call });
    let second = prepared(&harness);
    assert_ne!(first, second);
    assert!(!harness.driver.rule(first, TenantSettings::default()));
    assert!(harness.driver.rule(second, TenantSettings::default()));
    assert!(!harness.driver.rule(second, TenantSettings::default()), "once for a start");
}

#[tokio::test]
async fn what_is_said_holds_for_that_start() {
    let mut harness = Harness::asking(config());
    harness.ensure("a");
    let run = prepared(&harness);
    let path = Some("/health".to_owned());
    let said = TenantSettings { readiness_path: path, ..TenantSettings::default() };
    assert!(harness.driver.rule(run, said));
    harness.driver.launch(run, Vec::new());
    harness.driver.started(run, 1, spawned(100));
    harness.run_tasks().await;
    let asked = harness.machine.engine.asked.lock().unwrap().clone();
    let [(port, path)] = &asked[..] else { panic!("one is asked: {asked:?}") };
    assert_eq!(path, "/health");
    harness.answers(*port, Ipv4Addr::LOCALHOST.into()).await;
    assert_eq!(harness.driver.stats().running, 1);
}

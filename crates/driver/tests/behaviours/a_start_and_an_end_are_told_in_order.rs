//! All records of a run come in the order in which its user may rely on them.

use crate::support::*;
use pool::{Custody, Exit, Fact, Failure, Input, Outcome, Refusal};
use std::net::{Ipv4Addr, Ipv6Addr};
use warden::StopStage;

#[tokio::test]
async fn a_start_is_prepared_spawned_ready_and_only_then_answered() {
    let mut house = House::new(config());
    house.ensure("a");
    assert_eq!(house.told(), ["Prepare"]);
    house.ensure("b");
    let (run, port) = house.launch_all()[0];
    house.driver.started(run, 7, 100, KEEPER);
    assert_eq!(house.told(), ["Spawn"]);
    house.answers(port, Ipv4Addr::LOCALHOST.into()).await;
    assert_eq!(house.told(), ["Ready", "Settle"]);
}

#[tokio::test]
async fn an_end_is_told_before_the_kill_is_answered_and_the_run_released_last() {
    let mut house = House::new(config());
    let (run, _) = house.running("a").await;
    house.kill("a");
    assert_eq!((house.told(), house.stops()), (vec![], vec![(run.0, StopStage::Terminate)]));
    house.exit(run).await;
    assert_eq!(house.told(), ["Exit", "Settle", "Release"]);
}

#[tokio::test]
async fn a_grace_that_is_over_forces_the_process() {
    let mut house = House::new(config());
    let (run, _) = house.running("a").await;
    house.kill("a");
    house.stops();
    house.pass(5_000).await;
    assert_eq!(house.stops(), [(run.0, StopStage::Kill)]);
}

#[tokio::test]
async fn a_start_that_is_called_off_before_it_was_prepared_never_begins() {
    let mut house = House::new(config());
    let call = house.ensure("a");
    house.call(|call| Input::Kill { key: "a".into(), call });
    assert!(house.told().is_empty(), "it is found out here that it is not wanted any more");
    let records = house.records();
    let failure = Failure::CalledOff;
    assert!(matches!(
        answer(&records, call),
        Some(Outcome::Refused(Refusal::StartFailed { failure: found, .. })) if *found == failure
    ));
    assert_eq!(records.iter().map(name).collect::<Vec<_>>(), ["Settle", "Settle", "Release"]);
}

#[tokio::test]
async fn what_is_at_ipv6_alone_is_said_to_be() {
    let mut house = House::new(config());
    let (_, port) = house.process_of("a");
    house.answers(port, Ipv6Addr::LOCALHOST.into()).await;
    let ready = house.records().into_iter().find(|record| name(record) == "Ready");
    assert!(matches!(ready, Some(driver::uplink::Record::Ready { at_ipv6: true, .. })), "{ready:?}");
}

#[tokio::test]
async fn a_users_process_is_asked_to_end_by_a_record() {
    let mut house = House::new(pool::Config { custody: Custody::USERS, ..config() });
    house.ensure("a");
    let run = match &house.records()[0] {
        driver::uplink::Record::Prepare { run, .. } => *run,
        other => panic!("{other:?}"),
    };
    house.driver.started_external(run, 100, None, false);
    house.fact(run, Fact::Ready);
    house.kill("a");
    assert_eq!(house.told(), ["Spawn", "Ready", "Settle", "AskKill"]);
    house.fact(run, Fact::Exited(Exit::default()));
    assert_eq!(house.told(), ["Exit", "Settle", "Release"]);
    assert!(house.stops().is_empty(), "the warden does not know it");
}

//! No port is assigned to two live runs, and each port is released when its run is over.

use crate::harness::*;
use driver::uplink::Record;
use pool::{Custody, Exit, Fact, ImageAnswer, RunId};

fn external() -> pool::Config {
    pool::Config { custody: Custody::USERS, ..config() }
}

/// Starts the key until its run is prepared. Returns its run and port.
fn prepared(harness: &mut Harness, key: &str) -> (RunId, u16) {
    harness.ensure(key);
    prepared_now(harness, key)
}

/// Does the same with a snapshot driver, which has no image of the key.
fn prepared_cold(harness: &mut Harness, key: &str) -> (RunId, u16) {
    harness.ensure(key);
    assert_eq!(harness.record_names(), ["FindImage"]);
    harness.image(key, ImageAnswer::No);
    prepared_now(harness, key)
}

fn prepared_now(harness: &mut Harness, key: &str) -> (RunId, u16) {
    let prepare = harness.records().into_iter().find(|record| name(record) == "Prepare");
    let Some(Record::Prepare { run, port, .. }) = prepare else { panic!("{key} is not started") };
    (run, port)
}

#[tokio::test]
async fn a_port_is_held_only_after_javascript_has_taken_the_record() {
    let mut harness = Harness::new(config());
    harness.ensure("a");
    harness.ensure("b");
    assert!(harness.held_ports().is_empty());
    let ports: Vec<u16> = harness.launch_all().into_iter().map(|(_, port)| port).collect();
    assert_eq!(harness.held_ports(), ports);
    assert_eq!(ports.len(), 2);
}

#[tokio::test]
async fn a_port_is_released_when_its_run_is_over() {
    let mut harness = Harness::new(config());
    let (run, port) = harness.running("a").await;
    harness.kill("a");
    assert_eq!(harness.held_ports(), [port]);
    harness.exit(run).await;
    assert_eq!(
        (harness.held_ports(), &*harness.machine.engine.released.lock().unwrap()),
        (vec![], &vec![port])
    );
}

#[tokio::test]
async fn an_offered_port_that_a_users_process_does_not_use_is_returned() {
    let mut harness = Harness::new(external());
    let (run, port) = prepared(&mut harness, "a");
    harness.driver.started_external(run, 100, Some(9_000), false);
    assert_eq!(*harness.machine.engine.unused.lock().unwrap(), [port]);
    harness.fact(run, Fact::Ready);
    assert_eq!(harness.driver.directory.acquire("a").unwrap().port, 9_000);
}

#[tokio::test]
async fn a_restored_process_on_another_runs_port_is_refused() {
    let mut harness = Harness::new(external());
    let (_, taken) = prepared(&mut harness, "a");
    let (run, port) = prepared(&mut harness, "b");
    assert!(!harness.driver.restored(run, 100, taken));
    assert!(harness.driver.restored(run, 100, port));
    assert_eq!(harness.driver.directory.acquire("b").unwrap().port, port);
}

#[tokio::test]
async fn the_port_of_a_saved_tenant_is_kept_for_its_next_start() {
    let config = pool::Config {
        checkpoint_timeout_ms: Some(1_000),
        idle_after_ms: Some(1_000),
        ..external()
    };
    let mut harness = Harness::new(config);
    let (run, port) = prepared_cold(&mut harness, "a");
    harness.driver.started_external(run, 100, None, false);
    harness.fact(run, Fact::Ready);
    assert!(
        harness.held_ports().is_empty(),
        "the port of a user's process is not held once it is ready"
    );
    harness.pass(1_000).await;
    harness.image("a", ImageAnswer::Yes);
    harness.fact(run, Fact::Exited(Exit::default()));
    assert!(harness.record_names().contains(&"Checkpoint".to_owned()));
    assert_eq!(harness.held_ports(), [port]);
    assert_ne!(prepared_cold(&mut harness, "b").1, port);
    harness.ensure("a");
    assert_eq!(harness.record_names(), ["FindImage"]);
    harness.image("a", ImageAnswer::Yes);
    let restore = harness.records().into_iter().find(|record| name(record) == "RestoreImage");
    let Some(Record::RestoreImage { port: restored_at, .. }) = restore else {
        panic!("it is restored")
    };
    assert_eq!(restored_at, port);
}

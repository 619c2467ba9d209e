//! No two live runs are told one port, and each port is let go of when its run is over.

use crate::support::*;
use driver::uplink::Record;
use pool::{Custody, Exit, Fact, ImageAnswer, RunId};

fn external() -> pool::Config {
    pool::Config { custody: Custody::USERS, ..config() }
}

fn prepared(house: &mut House, key: &str) -> (RunId, u16) {
    house.ensure(key);
    prepared_now(house, key)
}

/// The same with a snapshot driver, which has nothing of the key.
fn prepared_cold(house: &mut House, key: &str) -> (RunId, u16) {
    house.ensure(key);
    assert_eq!(house.told(), ["FindImage"]);
    house.image(key, ImageAnswer::No);
    prepared_now(house, key)
}

fn prepared_now(house: &mut House, key: &str) -> (RunId, u16) {
    let prepare = house.records().into_iter().find(|record| name(record) == "Prepare");
    let Some(Record::Prepare { run, port, .. }) = prepare else { panic!("{key} is not started") };
    (run, port)
}

#[tokio::test]
async fn a_port_is_held_only_from_when_javascript_takes_the_start() {
    let mut house = House::new(config());
    house.ensure("a");
    house.ensure("b");
    assert!(house.held_ports().is_empty());
    let ports: Vec<u16> = house.launch_all().into_iter().map(|(_, port)| port).collect();
    assert_eq!(house.held_ports(), ports);
    assert_eq!(ports.len(), 2);
}

#[tokio::test]
async fn the_port_of_a_run_that_is_over_is_let_go_of_and_no_sooner() {
    let mut house = House::new(config());
    let (run, port) = house.running("a").await;
    house.kill("a");
    assert_eq!(house.held_ports(), [port]);
    house.exit(run).await;
    assert_eq!((house.held_ports(), &*house.stage.engine.let_go.lock().unwrap()), (vec![], &vec![port]));
}

#[tokio::test]
async fn a_users_process_with_a_port_of_its_own_gives_back_the_one_it_was_offered() {
    let mut house = House::new(external());
    let (run, port) = prepared(&mut house, "a");
    house.driver.started_external(run, 100, Some(9_000), false);
    assert_eq!(*house.stage.engine.unused.lock().unwrap(), [port]);
    house.fact(run, Fact::Ready);
    assert_eq!(house.driver.directory.acquire("a").unwrap().port, 9_000);
}

#[tokio::test]
async fn a_snapshot_that_listens_where_another_tenant_does_is_not_taken() {
    let mut house = House::new(external());
    let (_, taken) = prepared(&mut house, "a");
    let (run, port) = prepared(&mut house, "b");
    assert!(!house.driver.restored(run, 100, taken));
    assert!(house.driver.restored(run, 100, port));
    assert_eq!(house.driver.directory.acquire("b").unwrap().port, port);
}

#[tokio::test]
async fn the_port_of_a_saved_tenant_is_held_for_its_next_start_and_given_to_no_other() {
    let config =
        pool::Config { checkpoint_timeout_ms: Some(1_000), idle_after_ms: Some(1_000), ..external() };
    let mut house = House::new(config);
    let (run, port) = prepared_cold(&mut house, "a");
    house.driver.started_external(run, 100, None, false);
    house.fact(run, Fact::Ready);
    assert!(house.held_ports().is_empty(), "that of a user's process is not held once it is ready");
    house.pass(1_000).await;
    house.image("a", ImageAnswer::Yes);
    house.fact(run, Fact::Exited(Exit::default()));
    assert!(house.told().contains(&"Checkpoint".to_owned()));
    assert_eq!(house.held_ports(), [port]);
    assert_ne!(prepared_cold(&mut house, "b").1, port);
    house.ensure("a");
    assert_eq!(house.told(), ["FindImage"]);
    house.image("a", ImageAnswer::Yes);
    let restore = house.records().into_iter().find(|record| name(record) == "RestoreImage");
    let Some(Record::RestoreImage { port: restored_at, .. }) = restore else { panic!("it is restored") };
    assert_eq!(restored_at, port);
}

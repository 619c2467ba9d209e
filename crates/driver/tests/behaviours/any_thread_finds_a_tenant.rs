//! The directory says which tenant serves a key, and hands out none that is being stopped.

use crate::support::*;
use driver::leases::LeaseAddress;
use driver::uplink::Record;
use pool::{Adopted, Custody, Fact, Failure, Input, StopStage};
use std::net::Ipv6Addr;

#[tokio::test]
async fn a_tenant_is_found_from_ready_until_it_is_stopped() {
    let mut house = House::new(config());
    let (run, port) = house.process_of("a");
    assert!(house.driver.directory.acquire("a").is_none(), "it does not answer yet");
    house.answers(port, Ipv6Addr::LOCALHOST.into()).await;
    let driver = house.driver.clone();
    let found = std::thread::spawn(move || {
        let tenant = driver.directory.acquire("a").unwrap();
        (tenant.run, tenant.port, tenant.host)
    });
    assert_eq!(found.join().unwrap(), (run, port, Ipv6Addr::LOCALHOST.into()));
    house.kill("a");
    assert!(house.driver.directory.acquire("a").is_none(), "it is being stopped");
    house.exit(run).await;
    assert!(house.driver.directory.acquire("a").is_none());
}

#[tokio::test]
async fn a_tenant_whose_stop_was_given_up_is_found_again() {
    let mut house = House::new(pool::Config { custody: Custody::USERS, ..config() });
    let process = Adopted { pid: 9, port: 9_000, touched_at_ms: 0, custody: Custody::USERS };
    house.stage.engine.listening.lock().unwrap().insert(9_000, Ipv6Addr::LOCALHOST.into());
    house.call(|call| Input::Adopt { key: "a".into(), call, process });
    let run = {
        let tenant = house.driver.directory.acquire("a").unwrap();
        assert_eq!(tenant.host, Ipv6Addr::LOCALHOST, "an adopted one is where it listens");
        tenant.run
    };
    house.kill("a");
    assert!(house.driver.directory.acquire("a").is_none());
    let failure = Failure::Thrown { by: pool::Callback::Kill, text: "not now".into() };
    house.fact(run, Fact::StopAsked { stage: StopStage::Ask });
    house.fact(run, Fact::StopRefused { asked: StopStage::Ask, failure });
    assert_eq!(house.driver.directory.acquire("a").unwrap().run, run);
}

#[tokio::test]
async fn the_next_process_of_a_key_takes_the_place_of_the_one_before() {
    let mut house = House::new(config());
    let (first, _) = house.running("a").await;
    house.kill("a");
    house.exit(first).await;
    house.records();
    let (second, _) = house.running("a").await;
    assert_eq!(house.driver.directory.acquire("a").unwrap().run, second);
}

#[tokio::test]
async fn what_is_over_is_in_nothing_and_its_lease_is_used_again() {
    let mut house = House::new(config());
    let first = lease_of_next(&mut house, "a").await;
    let used = house.driver.directory.acquire("a").unwrap();
    house.kill("a");
    house.exit(used.run).await;
    house.records();
    let second = lease_of_next(&mut house, "b").await;
    assert_ne!(second, first, "a thread still has it");
    drop(used);
    let run = house.driver.directory.acquire("b").unwrap().run;
    house.kill("b");
    house.exit(run).await;
    house.records();
    let others = [lease_of_next(&mut house, "c").await, lease_of_next(&mut house, "d").await];
    assert!(others.contains(&first) && others.contains(&second), "{others:?}");
}

async fn lease_of_next(house: &mut House, key: &str) -> LeaseAddress {
    let (_, port) = house.process_of(key);
    house.answers(port, Ipv6Addr::LOCALHOST.into()).await;
    let lease = house.records().into_iter().find_map(|record| match record {
        Record::Ready { lease, .. } => Some(lease),
        _ => None,
    });
    lease.expect("it is ready")
}

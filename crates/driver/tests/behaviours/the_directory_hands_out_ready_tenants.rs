//! The directory hands out ready tenants to any thread, and none that is being stopped.

use crate::harness::*;
use driver::leases::LeaseAddress;
use driver::uplink::Record;
use pool::{Adopted, Custody, Fact, Failure, Input, StopStage};
use std::net::Ipv6Addr;

#[tokio::test]
async fn a_tenant_is_found_from_ready_until_it_is_stopped() {
    let mut harness = Harness::new(config());
    let (run, port) = harness.spawned("a");
    assert!(harness.driver.directory.acquire("a").is_none(), "it does not answer yet");
    harness.answers(port, Ipv6Addr::LOCALHOST.into()).await;
    let driver = harness.driver.clone();
    let found = std::thread::spawn(move || {
        let tenant = driver.directory.acquire("a").unwrap();
        (tenant.run, tenant.port, tenant.host)
    });
    assert_eq!(found.join().unwrap(), (run, port, Ipv6Addr::LOCALHOST.into()));
    harness.kill("a");
    assert!(harness.driver.directory.acquire("a").is_none(), "it is being stopped");
    harness.exit(run).await;
    assert!(harness.driver.directory.acquire("a").is_none());
}

#[tokio::test]
async fn a_tenant_whose_stop_was_refused_is_found_again() {
    let mut harness = Harness::new(pool::Config { custody: Custody::USERS, ..config() });
    let process = Adopted { pid: 9, port: 9_000, touched_at_ms: 0, custody: Custody::USERS };
    harness.machine.engine.listening.lock().unwrap().insert(9_000, Ipv6Addr::LOCALHOST.into());
    harness.call(|call| Input::Adopt { key: "a".into(), call, process });
    let run = {
        let tenant = harness.driver.directory.acquire("a").unwrap();
        assert_eq!(
            tenant.host,
            Ipv6Addr::LOCALHOST,
            "the address at which the adopted process listens"
        );
        tenant.run
    };
    harness.kill("a");
    assert!(harness.driver.directory.acquire("a").is_none());
    let failure = Failure::Thrown { by: pool::Callback::Kill, text: "not now".into() };
    harness.fact(run, Fact::StopAsked { stage: StopStage::Ask });
    harness.fact(run, Fact::StopRefused { asked: StopStage::Ask, failure });
    assert_eq!(harness.driver.directory.acquire("a").unwrap().run, run);
}

#[tokio::test]
async fn a_keys_next_run_replaces_the_one_before() {
    let mut harness = Harness::new(config());
    let (first, _) = harness.running("a").await;
    harness.kill("a");
    harness.exit(first).await;
    harness.records();
    let (second, _) = harness.running("a").await;
    assert_eq!(harness.driver.directory.acquire("a").unwrap().run, second);
}

#[tokio::test]
async fn a_lease_is_reused_only_when_no_thread_has_it() {
    let mut harness = Harness::new(config());
    let first = lease_of_next(&mut harness, "a").await;
    let used = harness.driver.directory.acquire("a").unwrap();
    harness.kill("a");
    harness.exit(used.run).await;
    harness.records();
    let second = lease_of_next(&mut harness, "b").await;
    assert_ne!(second, first, "a thread still has the first lease");
    drop(used);
    let run = harness.driver.directory.acquire("b").unwrap().run;
    harness.kill("b");
    harness.exit(run).await;
    harness.records();
    let others = [lease_of_next(&mut harness, "c").await, lease_of_next(&mut harness, "d").await];
    assert!(others.contains(&first) && others.contains(&second), "{others:?}");
}

async fn lease_of_next(harness: &mut Harness, key: &str) -> LeaseAddress {
    let (_, port) = harness.spawned(key);
    harness.answers(port, Ipv6Addr::LOCALHOST.into()).await;
    let lease = harness.records().into_iter().find_map(|record| match record {
        Record::Ready { lease, .. } => Some(lease),
        _ => None,
    });
    lease.expect("it is ready")
}

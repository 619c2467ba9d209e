//! A fleet hears which keys have tenants, and asks what these are doing.

use crate::harness::*;
use driver::tenant_facts::{TenantFact, TenantLoad};
use pool::{Adopted, Custody, Exit, Fact, Input};
use tokio::sync::mpsc::UnboundedReceiver;

fn heard(facts: &mut UnboundedReceiver<TenantFact>) -> Vec<TenantFact> {
    std::iter::from_fn(|| facts.try_recv().ok()).collect()
}

fn ready(key: &str) -> TenantFact {
    TenantFact::Ready { key: key.into() }
}

fn ended(key: &str) -> TenantFact {
    TenantFact::Ended { key: key.into() }
}

#[tokio::test]
async fn what_becomes_ready_and_what_has_ended() {
    let mut harness = Harness::new(config());
    let mut facts = harness.driver.hear_of_tenants();
    let (run, _) = harness.running("a").await;
    assert_eq!(heard(&mut facts), [ready("a")]);
    let process = Adopted { pid: 9, port: 9_000, touched_at_ms: 0, custody: Custody::USERS };
    harness.call(|call| Input::Adopt { key: "b".into(), call, process });
    assert_eq!(heard(&mut facts), [ready("b")]);
    harness.kill("a");
    assert_eq!(heard(&mut facts), []);
    harness.exit(run).await;
    assert_eq!(heard(&mut facts), [ended("a")]);
}

#[tokio::test]
async fn a_process_that_another_follows_is_no_end() {
    let mut harness = Harness::new(config());
    let mut facts = harness.driver.hear_of_tenants();
    let (run, _) = harness.running("a").await;
    harness.call(|call| Input::Restart { key: "a".into(), call });
    harness.exit(run).await;
    assert_eq!(heard(&mut facts), [ready("a")]);
    let (run, _) = harness.launch_all()[0];
    harness.fact(run, Fact::Exited(Exit::default()));
    assert_eq!(heard(&mut facts), [ended("a")]);
}

#[tokio::test]
async fn a_listener_that_has_gone_is_not_missed() {
    let mut harness = Harness::new(config());
    drop(harness.driver.hear_of_tenants());
    harness.running("a").await;
    let mut facts = harness.driver.hear_of_tenants();
    harness.running("b").await;
    assert_eq!(heard(&mut facts), [ready("b")]);
}

#[tokio::test]
async fn loads_are_of_the_tenants_that_serve() {
    let mut harness = Harness::new(config());
    let (run, _) = harness.running("a").await;
    harness.spawned("b");
    harness.fact(run, Fact::Sampled { cpu_ms: 1, rss_bytes: 7_000, regular: true });
    let used = harness.driver.directory.acquire("a").unwrap();
    harness.pass(500).await;
    let load = |uses| TenantLoad {
        key: "a".into(),
        uses,
        idle_ms: 500,
        is_asleep: false,
        rss_bytes: Some(7_000),
    };
    assert_eq!(harness.driver.loads(), [load(1)]);
    harness.kill("a");
    assert_eq!(harness.driver.loads(), [], "it does not serve any more");
    drop(used);
}

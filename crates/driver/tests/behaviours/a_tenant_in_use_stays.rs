//! A tenant that a thread in Rust uses is neither idle nor makes room before others; the end of a
//! use is activity.

use crate::support::*;
use warden::StopStage;

#[tokio::test]
async fn it_is_idle_only_after_the_end_of_its_use() {
    let mut house = House::new(pool::Config { idle_after_ms: Some(1_000), ..config() });
    let (run, _) = house.running("a").await;
    let used = house.driver.directory.acquire("a").unwrap();
    for _ in 0..10 {
        house.pass(600).await;
    }
    assert_eq!(house.stops(), []);
    drop(used);
    house.pass(999).await;
    assert_eq!(house.stops(), []);
    house.pass(1).await;
    assert_eq!(house.stops(), [(run.0, StopStage::Terminate)]);
}

#[tokio::test]
async fn another_makes_room_although_it_was_used_later() {
    let mut house = House::new(pool::Config { max_concurrent: 2, ..config() });
    house.running("used").await;
    let _used = house.driver.directory.acquire("used").unwrap();
    house.pass(10).await;
    let (unused, _) = house.running("unused").await;
    house.pass(10).await;
    let _third = house.driver.ensure("third");
    assert_eq!(house.stops(), [(unused.0, StopStage::Terminate)]);
}

#[tokio::test]
async fn a_caller_that_has_waited_for_its_start_uses_it_from_the_first_moment() {
    let mut house = House::new(pool::Config { max_concurrent: 2, ..config() });
    let waiting = house.driver.ensure("a");
    let (run, port) = house.launch_all()[0];
    house.driver.started(run, 1, 100, KEEPER);
    house.answers(port, std::net::Ipv4Addr::LOCALHOST.into()).await;
    house.pass(10).await;
    let (unused, _) = house.running("unused").await;
    house.pass(10).await;
    // The answer has not been looked at yet.
    house.ensure("third");
    assert_eq!(house.stops(), [(unused.0, StopStage::Terminate)]);
    drop(waiting);
}

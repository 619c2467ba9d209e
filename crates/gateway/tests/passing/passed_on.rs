use crate::hosts::*;
use crate::support::*;
use gateway::refusal::{Refusal, Why};
use gateway::settings::{Limits, Routing, Wake};
use gateway::{Gateway, NoHooks};
use std::time::Duration;

/// A host `a` with a gateway for visitors, whose tenant is at a host `b`.
fn two(backend: &Backend) -> (Host, Gateway<Host, NoHooks>) {
    let b = Host::with("shop", Place::Here(backend.address));
    let listener = b.listen(|_| {});
    let there = There::at("b", address_of(&listener));
    (Host::with("shop", Place::There(there)), listener)
}

#[test]
fn a_request_is_passed_on_with_all_that_its_tenant_is_told() {
    let backend = Backend::start();
    let (a, listener) = two(&backend);
    let (front, hooks) = a.front_with(|settings| settings.trace = true);
    let mut client = Client::connect(&front);
    let port = address_of(&front).port();
    let request = "POST /shop/x?y=1 HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 6.6.6.6\r\n\
                   Cookie: a=1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for _ in 0..3 {
        let answer = client.ask(request);
        assert_eq!(answer.status, 200);
        for line in [
            "POST /x?y=1 HTTP/1.1",
            "host: a.example",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: a.example",
            &format!("x-forwarded-port: {port}"),
            "x-forwarded-prefix: /shop",
            "x-forwarded-proto: http",
            "cookie: a=1",
        ] {
            let found = answer.body.lines().filter(|found| found.eq_ignore_ascii_case(line));
            assert_eq!(found.count(), 1, "{line} in {}", answer.body);
        }
        assert!(answer.body.contains("traceparent: 00-"), "{}", answer.body);
        assert!(!answer.body.to_ascii_lowercase().contains("absolute-"), "{}", answer.body);
        assert!(answer.body.ends_with("\r\n\r\nhello"), "{}", answer.body);
    }
    // One connection between the hosts for all of them.
    assert_eq!(listener.stats().connections, 1);
    // It is a visitor's request once, at the first gateway, which says where it went.
    until("all are over", || hooks.state().events.len() == 3);
    assert_eq!(hooks.state().events[0].peer.as_deref(), Some("b"));
    assert_eq!(hooks.state().events[0].key.as_deref(), Some("shop"));
    assert_eq!(front.stats().requests, [0, 3, 0, 0, 0]);
    assert_eq!(front.stats_of("shop").expect("figures").requests, [0, 3, 0, 0, 0]);
    until("the other one has its own", || listener.stats().requests == [0, 3, 0, 0, 0]);
}

#[test]
fn a_key_is_passed_on_as_it_is() {
    let backend = Backend::start();
    let key = "with space/ü%";
    let b = Host::with(key, Place::Here(backend.address));
    let listener = b.listen(|_| {});
    let a = Host::with(key, Place::There(There::at("b", address_of(&listener))));
    let (front, hooks) = a.front_with(|settings| {
        settings.routing = Routing::Ask { cache: Duration::from_secs(60) };
    });
    hooks.change(|state| {
        state.keys.insert("a".to_owned(), Ok(Some(key.to_owned())));
    });
    assert_eq!(Client::connect(&front).get("/").status, 200);
}

#[test]
fn the_largest_head_of_a_visitor_is_passed_on() {
    let backend = Backend::start();
    let (a, _listener) = two(&backend);
    let (front, _) = a.front();
    let limits = Limits::default();
    let mut request = "GET /shop/ HTTP/1.1\r\nHost: a\r\n".to_owned();
    for number in 1..limits.headers {
        request += &format!("x-{number}: {}\r\n", "x".repeat(100));
    }
    assert_eq!(Client::connect(&front).ask(request + "\r\n").status, 200);
    let long = "x".repeat(limits.header_bytes - 100);
    let request = format!("GET /shop/ HTTP/1.1\r\nHost: a\r\nx: {long}\r\n\r\n");
    assert_eq!(Client::connect(&front).ask(request).status, 200);
}

#[test]
fn what_a_peer_refuses_is_answered_by_the_first_gateway() {
    let refusal = Refusal::new(503, Why::BackingOff).retry_after(4_001);
    let b = Host::with("shop", Place::Refused(refusal));
    let listener = b.listen(|_| {});
    let there = Place::There(There::at("b", address_of(&listener)));
    let a = Host::with("shop", there.clone());
    a.put("gone", there);
    let (front, hooks) = a.front_with(|settings| settings.pages = true);
    hooks.change(|state| state.page = Some(page("mine")));
    let mut client = Client::connect(&front);
    let answer = client.get("/shop/");
    assert_eq!((answer.status, answer.body.as_str()), (503, "mine"));
    assert_eq!(answer.field("retry-after"), Some("5"));
    assert!(!answer.head.contains("absolute-"), "{}", answer.head);
    assert_eq!(client.get("/gone/").status, 404);
    assert_eq!(front.stats_of("shop").expect("figures").refused, 1);
    assert_eq!(listener.stats().connections, 1);
}

#[test]
fn a_request_waits_at_the_owner_and_goes_where_its_tenant_has_moved() {
    let backend = Backend::start();
    let c = Host::with("shop", Place::Here(backend.address));
    let at_c = c.listen(|_| {});
    let b = Host::with("shop", Place::Held);
    let at_b = b.listen(|_| {});
    let a = Host::with("shop", Place::There(There::at("b", address_of(&at_b))));
    let (front, _) = a.front();
    let (visited, _) = b.front();
    // One that came to the owner's own gateway, and one that was passed on to it.
    let mut clients = [Client::connect(&front), Client::connect(&visited)];
    clients.iter_mut().for_each(|client| client.send(post("/shop/", "hello")));
    b.until_waiting(2);
    b.put("shop", Place::There(There::at("c", address_of(&at_c))));
    for client in &mut clients {
        let answer = client.answer();
        assert_eq!(answer.status, 200);
        assert!(answer.body.ends_with("\r\n\r\nhello"), "{}", answer.body);
        assert!(answer.body.contains("x-forwarded-for: 127.0.0.1\r\n"), "{}", answer.body);
    }
    assert_eq!(backend.seen(), 2);
}

#[test]
fn a_peer_is_asked_as_a_visitor_is_served() {
    let b = Host::with("shop", Place::Held);
    let wake = Wake { queue: 1, ..Default::default() };
    let listener = b.listen(|settings| settings.wake = wake);
    let a = Host::with("shop", Place::There(There::at("b", address_of(&listener))));
    let (front, _) = a.front();
    let mut waits = Client::connect(&front);
    waits.send(get("/shop/"));
    b.until_waiting(1);
    let answer = Client::connect(&front).get("/shop/");
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    // A visitor that leaves gives its wait up at both.
    drop(waits);
    b.until_waiting(0);
}

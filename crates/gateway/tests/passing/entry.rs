use crate::hosts::*;
use crate::support::*;
use gateway::peer::{self, Peer};
use gateway::{Gateway, NoHooks};
use http::HeaderValue;

fn host(backend: &Backend) -> (Host, Gateway<Host, NoHooks>) {
    let host = Host::with("shop", Place::Here(backend.address));
    let listener = host.listen(|_| {});
    (host, listener)
}

fn request(fields: &[&str]) -> String {
    format!("GET /x HTTP/1.1\r\nHost: a\r\n{}\r\n\r\n", fields.join("\r\n"))
}

const PROOF: &str = "Absolute-Peer: a 5e1f";
const OF_SHOP: &str = "Absolute-Key: shop";
const ONCE: &str = "Absolute-Hops: 1";

#[test]
fn a_stranger_gets_no_answer_but_that_it_is_one() {
    let backend = Backend::start();
    let (_host, listener) = host(&backend);
    assert_eq!(Client::connect(&listener).ask(request(&[PROOF, OF_SHOP, ONCE])).status, 200);
    assert_eq!(backend.seen(), 1);
    for strangers in [
        &[OF_SHOP, ONCE][..],
        // Forged, cut off, longer, and one for another host, which is of the same secret.
        &["Absolute-Peer: a 5e1e", OF_SHOP, ONCE],
        &["Absolute-Peer: a 5e1", OF_SHOP, ONCE],
        &["Absolute-Peer: a 5e1f0", OF_SHOP, ONCE],
        &["Absolute-Peer: a 77aa", OF_SHOP, ONCE],
        &["Absolute-Peer: 5e1f", OF_SHOP, ONCE],
        &[PROOF, "Absolute-Peer: a 77aa", OF_SHOP, ONCE],
        // What else is wrong with it, or asked, is not said.
        &["Absolute-Hops: 9"],
        &["Absolute-Ask: state", ONCE],
    ] {
        let mut client = Client::connect(&listener);
        let more = request(&[PROOF, OF_SHOP, ONCE]);
        let answer = client.ask(request(strangers) + &more);
        assert_eq!((answer.status, answer.body.as_str()), (401, ""), "{strangers:?}");
        assert_eq!(answer.field("connection"), Some("close"));
        assert!(client.is_closed());
    }
    // A body is not waited for.
    let mut client = Client::connect(&listener);
    assert_eq!(client.ask("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n").status, 401);
    assert_eq!(backend.seen(), 1);
}

#[test]
fn http2_is_not_spoken() {
    let backend = Backend::start();
    let (_host, listener) = host(&backend);
    let mut client = Client::connect(&listener);
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    assert!(client.is_closed());
}

#[test]
fn a_request_that_goes_to_and_fro_is_refused() {
    let backend = Backend::start();
    let (_host, listener) = host(&backend);
    let mut client = Client::connect(&listener);
    assert_eq!(client.ask(request(&[PROOF, OF_SHOP, "Absolute-Hops: 2"])).status, 200);
    assert_eq!(client.ask(request(&[PROOF, OF_SHOP, "Absolute-Hops: 3"])).status, 508);
    for hops in ["Absolute-Hops: 0", "Absolute-Hops: -1", "X: 1"] {
        assert_eq!(client.ask(request(&[PROOF, OF_SHOP, hops])).status, 400, "{hops}");
    }
    assert_eq!(client.ask(request(&[PROOF, ONCE])).status, 400, "no key");
    assert_eq!(backend.seen(), 1);
}

#[test]
fn two_hosts_that_each_take_the_other_for_the_owner_end_it() {
    let (a, b) = (Host::new(), Host::new());
    let (at_a, at_b) = (a.listen(|_| {}), b.listen(|_| {}));
    a.put("shop", Place::There(There::at("b", address_of(&at_b))));
    b.put("shop", Place::There(There::at("a", address_of(&at_a))));
    let (front, _) = a.front();
    assert_eq!(Client::connect(&front).get("/shop/").status, 508);
    until("all are over", || at_a.stats().requests[4] + at_b.stats().requests[4] == 3);
}

#[test]
fn questions_are_for_the_host() {
    let backend = Backend::start();
    let (host, listener) = host(&backend);
    let mut client = Client::connect(&listener);
    let answer = client.ask(request(&[PROOF, ONCE, "Absolute-Ask: state"]));
    assert_eq!((answer.status, answer.field("absolute-state")), (204, Some("live")));
    let answer = client.ask(request(&[PROOF, ONCE, OF_SHOP, "Absolute-Ask: prepare"]));
    assert_eq!(answer.status, 421);
    assert_eq!(answer.field("absolute-owner"), Some("c 10.0.0.3:7070 7"));
    let asked = [("state", ""), ("prepare", "shop")];
    let asked = asked.map(|(question, key)| (question.to_owned(), key.to_owned()));
    assert_eq!(host.state().asked, asked);
    assert_eq!(backend.seen(), 0);
}

#[test]
fn an_answer_may_be_too_long_for_a_field() {
    let (_host, listener) = host(&Backend::start());
    let address = address_of(&listener);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let ask = |question: &str, credentials: &'static str| {
        let credentials = HeaderValue::from_static(credentials);
        let peer = Peer { host: "b".to_owned(), credentials, encryption: None, patience: PATIENCE };
        let answer = runtime.block_on(peer::ask_at_length(address, &peer, question));
        answer.map_err(|error| error.to_string())
    };
    let answer = ask("states", "a 5e1f").expect("it is known");
    assert_eq!(answer, "of many tenants ".repeat(100_000));
    let unknown = ask("dance", "a 5e1f").expect_err("it is not known");
    assert_eq!(unknown, "421 Misdirected Request was answered to dance");
    let stranger = ask("states", "a 5e1e").expect_err("it is not of the fleet");
    assert_eq!(stranger, "401 Unauthorized was answered to states");
}

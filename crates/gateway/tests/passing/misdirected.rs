use crate::hosts::*;
use crate::support::*;
use gateway::peer::Miss;
use gateway::refusal::Refusal;
use std::io::Write;

fn elsewhere() -> Place {
    Place::Refused(Refusal::elsewhere(Some(owner("c"))))
}

fn missed(host: &str, miss: Miss) -> (String, String, Miss) {
    ("shop".to_owned(), host.to_owned(), miss)
}

#[test]
fn a_wrong_picture_is_corrected_and_the_request_sent_once_more() {
    let backend = Backend::start();
    let c = Host::with("shop", Place::Here(backend.address));
    let at_c = c.listen(|_| {});
    let b = Host::with("shop", elsewhere());
    let at_b = b.listen(|_| {});
    let a = Host::with("shop", Place::There(There::at("b", address_of(&at_b))));
    let (front, hooks) = a.front();
    let mut client = Client::connect(&front);
    for request in [get("/shop/"), post("/shop/", "hello"), post("/shop/", &"x".repeat(60_000))] {
        a.next(Ok(Some(Place::There(There::at("c", address_of(&at_c))))));
        let answer = client.ask(&request);
        assert_eq!(answer.status, 200);
        let body = request.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        assert!(answer.body.ends_with(&format!("\r\n\r\n{body}")));
        let miss = a.state().missed.pop();
        assert_eq!(miss, Some(missed("b", Miss::Elsewhere(Some(owner("c"))))));
    }
    assert_eq!(backend.seen(), 3);
    until("all are over", || hooks.state().events.len() == 3);
    assert!(hooks.state().events.iter().all(|event| event.peer.as_deref() == Some("c")));
}

#[test]
fn a_request_that_is_corrected_may_be_for_this_host_or_wait() {
    let backend = Backend::start();
    let b = Host::with("shop", elsewhere());
    let at_b = b.listen(|_| {});
    let a = Host::with("shop", Place::There(There::at("b", address_of(&at_b))));
    let (front, _) = a.front();
    let mut client = Client::connect(&front);
    a.next(Ok(Some(Place::Here(backend.address))));
    let answer = client.ask(post("/shop/", "hello"));
    assert!(answer.status == 200 && answer.body.ends_with("hello"), "{answer:?}");
    assert!(answer.body.contains("x-forwarded-for: 127.0.0.1\r\n"), "{}", answer.body);
    assert!(!answer.body.contains("absolute-"), "{}", answer.body);
    a.next(Ok(None));
    client.send(post("/shop/", "hello"));
    a.until_waiting(1);
    a.put("shop", Place::Here(backend.address));
    assert_eq!(client.answer().status, 200);
}

#[test]
fn a_second_correction_is_not_followed() {
    let (b, c) = (Host::with("shop", elsewhere()), Host::with("shop", elsewhere()));
    let (at_b, at_c) = (b.listen(|_| {}), c.listen(|_| {}));
    let a = Host::with("shop", Place::There(There::at("b", address_of(&at_b))));
    let (front, _) = a.front();
    a.next(Ok(Some(Place::There(There::at("c", address_of(&at_c))))));
    let answer = Client::connect(&front).get("/shop/");
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    assert_eq!(a.state().missed.len(), 1);
}

#[test]
fn a_body_that_is_gone_is_not_sent_once_more() {
    let b = Raw::new();
    let a = Host::with("shop", Place::There(There::at("b", b.address())));
    let (front, _) = a.front();
    let mut client = Client::connect(&front);
    client.send("POST /shop/ HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n");
    client.send("x".repeat(80_000));
    let mut stream = b.accept();
    let mut reader = Reader::new(stream.try_clone().expect("a second descriptor"));
    let head = reader.head().expect("a head");
    assert!(head.contains("absolute-key: shop\r\nabsolute-peer: a 5e1f\r\nabsolute-hops: 1\r\n"));
    // More than is kept has come.
    assert_eq!(reader.exactly(70_000).len(), 70_000);
    let answer = "HTTP/1.1 421 Misdirected Request\r\nabsolute-refused: elsewhere\r\n\
                  content-length: 0\r\n\r\n";
    stream.write_all(answer.as_bytes()).expect("written");
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    assert!(a.state().missed.is_empty());
}

#[test]
fn a_host_that_is_gone_is_told_and_another_one_asked() {
    let backend = Backend::start();
    let c = Host::with("shop", Place::Here(backend.address));
    let at_c = c.listen(|_| {});
    let a = Host::with("shop", Place::There(There::at("b", nobody())));
    let (front, _) = a.front();
    a.next(Ok(Some(Place::There(There::at("c", address_of(&at_c))))));
    let answer = Client::connect(&front).ask(post("/shop/", "hello"));
    assert!(answer.status == 200 && answer.body.ends_with("hello"), "{answer:?}");
    assert_eq!(a.state().missed, [missed("b", Miss::Unreachable)]);
    // Or it is refused at once.
    a.next(Err(Refusal::new(503, gateway::refusal::Why::Unreachable).retry_after(3_000)));
    let answer = Client::connect(&front).get("/shop/");
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("3")));
    // Not without an end.
    (0..9).for_each(|_| a.next(Ok(Some(Place::There(There::at("b", nobody()))))));
    let answer = Client::connect(&front).get("/shop/");
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    assert_eq!(a.state().missed.len(), 5);
}

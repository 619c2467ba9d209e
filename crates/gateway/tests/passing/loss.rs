//! Hosts that end, or stand still, in the midst of a request.

use crate::hosts::*;
use crate::support::*;
use gateway::peer::Miss;
use gateway::refusal::Refusal;
use std::io::Write;
use std::net::TcpStream;

/// Takes a connection and the head of a request on it.
fn taken(host: &Raw) -> (TcpStream, Reader<TcpStream>) {
    let stream = host.accept();
    let mut reader = Reader::new(stream.try_clone().expect("a second descriptor"));
    reader.head().expect("a head");
    (stream, reader)
}

#[test]
fn a_host_that_is_killed_in_the_midst_of_an_answer_ends_it() {
    let b = Raw::new();
    let a = Host::with("shop", Place::There(There::at("b", b.address())));
    let (front, _) = a.front();
    let mut client = Client::connect(&front);
    client.send(get("/shop/"));
    let (mut stream, reader) = taken(&b);
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhel").expect("written");
    drop((stream, reader));
    let rest = client.rest();
    assert!(rest.starts_with("HTTP/1.1 200 ") && rest.ends_with("\r\n\r\nhel"), "{rest}");
    assert!(a.state().missed.is_empty());
}

#[test]
fn what_may_have_been_done_is_not_done_again() {
    let backend = Backend::start();
    let b = Raw::new();
    let a = Host::with("shop", Place::There(There::at("b", b.address())));
    let (front, _) = a.front();
    let mut client = Client::connect(&front);
    client.send(post("/shop/", "hello"));
    drop(taken(&b));
    assert_eq!(client.answer().status, 502);
    assert!(a.state().missed.is_empty());
    // A safe one goes elsewhere.
    a.next(Ok(Some(Place::Here(backend.address))));
    client.send(get("/shop/"));
    drop(taken(&b));
    assert_eq!(client.answer().status, 200);
    let missed = ("shop".to_owned(), "b".to_owned(), Miss::Unreachable);
    assert_eq!(a.state().missed, [missed]);
}

#[test]
fn a_host_that_stands_still_is_not_waited_for_once_it_is_gone() {
    let backend = Backend::start();
    let b = Raw::new();
    let there = There::at("b", b.address());
    let a = Host::with("shop", Place::There(there.clone()));
    let (front, _) = a.front();
    // One has half of its answer, one may be sent elsewhere, and one may not.
    let mut clients = [(); 3].map(|()| Client::connect(&front));
    let [answered, safe, unsafe_one] = &mut clients;
    answered.send(get("/shop/"));
    let (mut stream, _reader) = taken(&b);
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhel").expect("written");
    answered.reader.head().expect("an answer");
    assert_eq!(answered.rest_of(3), b"hel");
    safe.send(get("/shop/"));
    let _second = taken(&b);
    unsafe_one.send(post("/shop/", "hello"));
    let _third = taken(&b);
    a.next(Ok(Some(Place::Here(backend.address))));
    there.goes();
    assert_eq!(answered.rest().len(), 0);
    assert_eq!(safe.answer().status, 200);
    assert_eq!(unsafe_one.answer().status, 502);
}

#[test]
fn a_host_that_leaves_serves_what_others_send_before_they_know() {
    let backend = Backend::start();
    let b = Host::with("shop", Place::Here(backend.address));
    let listener = b.listen(|_| {});
    let a = Host::with("shop", Place::There(There::at("b", address_of(&listener))));
    let (front, _) = a.front();
    let mut client = Client::connect(&front);
    assert_eq!(client.get("/shop/").status, 200);
    let at = address_of(&listener);
    listener.begin_to_close(SOON);
    until("it listens no more", || TcpStream::connect(at).is_err());
    assert_eq!(client.ask(post("/shop/", "hello")).status, 200);
    a.next(Err(Refusal::overloaded()));
    assert_eq!(client.ask(post("/shop/", "hello")).status, 503);
    assert_eq!(backend.seen(), 2);
}

#[test]
fn idle_connections_to_a_host_are_dropped_when_it_is_forgotten() {
    let b = Raw::new();
    let there = There::at("b", b.address());
    let run = there.run;
    let a = Host::with("shop", Place::There(there));
    let (front, _) = a.front();
    let mut client = Client::connect(&front);
    client.send(get("/shop/"));
    let (mut stream, mut reader) = taken(&b);
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").expect("written");
    assert_eq!(client.answer().status, 200);
    until("it is over", || front.stats().in_flight == 0);
    front.forget_peer(run);
    assert_eq!(reader.head(), None);
}

//! A host that may not answer for its tenants any more.

use crate::hosts::*;
use crate::support::*;
use std::io::Write;

#[test]
fn nothing_is_sent_to_a_tenant_nor_answered_by_it() {
    let backend = Backend::start();
    let host = Host::with("shop", Place::Here(backend.address));
    let ((front, _), listener) = (host.front(), host.listen(|_| {}));
    let other = Host::with("shop", Place::There(There::at("b", address_of(&listener))));
    let (passing, _) = other.front();
    for front in [&front, &passing] {
        let seen = backend.seen();
        let mut client = Client::connect(front);
        host.fence(true);
        let answer = client.get("/shop/");
        assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
        assert_eq!(backend.seen(), seen);
        host.fence(false);
        backend.hold(true);
        client.send(get("/shop/"));
        until("it is asked", || backend.seen() == seen + 1);
        host.fence(true);
        backend.hold(false);
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
        host.fence(false);
        assert_eq!(client.get("/shop/").status, 200);
    }
}

#[test]
fn an_answer_that_is_under_way_is_cut_off() {
    let tenant = Raw::new();
    let host = Host::with("shop", Place::Here(tenant.address()));
    let (front, _) = host.front();
    for head in ["content-length: 9", "transfer-encoding: chunked"] {
        let mut client = Client::connect(&front);
        client.send(get("/shop/"));
        let mut stream = tenant.accept();
        let mut reader = Reader::new(stream.try_clone().expect("a second descriptor"));
        reader.head().expect("a head");
        let (first, second) = match head.starts_with("content") {
            true => ("hel", "lo you"),
            false => ("3\r\nhel\r\n", "2\r\nlo\r\n0\r\n\r\n"),
        };
        let head = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{first}");
        stream.write_all(head.as_bytes()).expect("written");
        client.reader.head().expect("an answer");
        let first = head.split_once("\r\n\r\n").map_or("", |(_, first)| first);
        assert_eq!(client.rest_of(first.len()), first.as_bytes());
        host.fence(true);
        stream.write_all(second.as_bytes()).expect("written");
        assert_eq!(client.rest(), "", "nothing more, not even an end");
        host.fence(false);
    }
}

#[test]
fn a_tunnel_is_cut_off() {
    let tenant = Raw::new();
    let host = Host::with("shop", Place::Here(tenant.address()));
    let (front, _) = host.front();
    for is_from_tenant in [true, false] {
        let mut client = Client::connect(&front);
        client
            .send("GET /shop/ HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
        let mut stream = tenant.accept();
        let mut reader = Reader::new(stream.try_clone().expect("a second descriptor"));
        reader.head().expect("a head");
        let agreement =
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
        stream.write_all(format!("{agreement}one").as_bytes()).expect("written");
        client.reader.head().expect("an answer");
        assert_eq!(client.rest_of(3), b"one");
        host.fence(true);
        match is_from_tenant {
            true => stream.write_all(b"two").expect("written"),
            false => client.send("two"),
        }
        assert_eq!(client.rest(), "");
        assert_eq!(reader.rest(), b"");
        host.fence(false);
    }
}

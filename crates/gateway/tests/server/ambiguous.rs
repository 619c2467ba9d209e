//! Requests that two programs could read in two ways: each is refused, the connection ends, and the
//! tenant sees nothing of it.

use crate::support::*;
use std::io::Write;
use std::time::Duration;

/// What is sent, with `~` for the end of a line, and the status of the answer.
const REQUESTS: &[(&str, u16)] = &[
    // Where does it end?
    ("POST /t/ HTTP/1.1~Host: a~Content-Length: 5~Content-Length: 5~~hello", 400),
    ("POST /t/ HTTP/1.1~Host: a~Content-Length: 5~Content-Length: 6~~hello", 400),
    ("POST /t/ HTTP/1.1~Host: a~Content-Length: 5, 5~~hello", 400),
    ("POST /t/ HTTP/1.1~Host: a~Content-Length: +5~~hello", 400),
    ("POST /t/ HTTP/1.1~Host: a~Content-Length: -1~~hello", 400),
    ("POST /t/ HTTP/1.1~Host: a~Content-Length: 0x5~~hello", 400),
    ("POST /t/ HTTP/1.1~Host: a~Content-Length: 5 5~~hello", 400),
    ("POST /t/ HTTP/1.1~Host: a~Content-Length: ~~hello", 400),
    ("POST /t/ HTTP/1.1~Host: a~Content-Length: 99999999999999999999~~hello", 400),
    ("POST /t/ HTTP/1.1~Host: a~Content-Length: 6~Transfer-Encoding: chunked~~0~~X", 400),
    ("POST /t/ HTTP/1.1~Host: a~Transfer-Encoding: chunked~Content-Length: 0~~0~~", 400),
    ("POST /t/ HTTP/1.1~Host: a~Transfer-Encoding: gzip, chunked~~0~~", 400),
    ("POST /t/ HTTP/1.1~Host: a~Transfer-Encoding: chunked, chunked~~0~~", 400),
    ("POST /t/ HTTP/1.1~Host: a~Transfer-Encoding: identity~~hello", 400),
    ("POST /t/ HTTP/1.1~Host: a~Transfer-Encoding: xchunked~~0~~", 400),
    ("POST /t/ HTTP/1.1~Host: a~Transfer-Encoding: chunked~Transfer-Encoding: x~~0~~", 400),
    ("POST /t/ HTTP/1.1~Host: a~Transfer-Encoding: \u{b}chunked~~0~~", 400),
    ("POST /t/ HTTP/1.1~Host: a~Transfer-Encoding : chunked~~0~~", 400),
    ("POST /t/ HTTP/1.1~Host: a~Transfer_Encoding: chunked~~0~~", 400),
    ("POST /t/ HTTP/1.1~Host: a~Content_Length: 5~~hello", 400),
    ("POST /t/ HTTP/1.0~Host: a~Transfer-Encoding: chunked~~0~~", 400),
    ("POST /t/ HTTP/1.1~Host: a~Connection: close, Content-Length~Content-Length: 5~~hello", 400),
    // Where do lines end?
    ("GET /t/ HTTP/1.1\nHost: a\n\n", 400),
    ("GET /t/ HTTP/1.1~Host: a\n~", 400),
    ("GET /t/ HTTP/1.1~Host: a~X: a\rb~~", 400),
    ("GET /t/ HTTP/1.1~Host: a~X: a\nTransfer-Encoding: chunked~~", 400),
    ("~GET /t/ HTTP/1.1~Host: a~~", 400),
    ("GET /t/ HTTP/1.1~Host: a~X: a~ b~~", 400),
    ("GET /t/ HTTP/1.1~ Host: a~~", 400),
    // What are names and values?
    ("GET /t/ HTTP/1.1~Host: a~X : a~~", 400),
    ("GET /t/ HTTP/1.1~Host: a~X a: a~~", 400),
    ("GET /t/ HTTP/1.1~Host: a~X\0: a~~", 400),
    ("GET /t/ HTTP/1.1~Host: a~X: a\0b~~", 400),
    ("GET /t/ HTTP/1.1~Host: a~: a~~", 400),
    ("GET /t/ HTTP/1.1~Host: a~nonsense~~", 400),
    ("GET /t/ HTTP/1.1~Host: a~X-User: a~X_User: b~~", 400),
    ("GET /t/ HTTP/1.1~Host: a~X_Forwarded_For: 6.6.6.6~~", 400),
    ("GET /t/ HTTP/1.1~Host: a~Connection: X-Forwarded-For~~", 400),
    // Whom is it for?
    ("GET /t/ HTTP/1.1~~", 400),
    ("GET /t/ HTTP/1.1~Host: a~Host: a~~", 400),
    ("GET /t/ HTTP/1.1~Host: a~Host: b~~", 400),
    ("GET http://b/t/ HTTP/1.1~Host: a~~", 400),
    ("GET http://u@a/t/ HTTP/1.1~Host: u@a~~", 400),
    ("GET /t/ HTTP/1.1~Host: a, b~~", 400),
    ("GET /t/ HTTP/1.1~Host: a/b~~", 400),
    ("GET /t/ HTTP/1.1~Host: a:b~~", 400),
    ("CONNECT a:443 HTTP/1.1~Host: a:443~~", 405),
    // What is the request?
    ("GET  /t/ HTTP/1.1~Host: a~~", 400),
    ("GET /t/ x HTTP/1.1~Host: a~~", 400),
    ("GET\t/t/ HTTP/1.1~Host: a~~", 400),
    ("G(T /t/ HTTP/1.1~Host: a~~", 400),
    ("GET /t/#b HTTP/1.1~Host: a~~", 400),
    ("GET t/ HTTP/1.1~Host: a~~", 400),
    ("GET /t/~Host: a~~", 400),
    ("GET /t/ HTTP/1.2~Host: a~~", 505),
    ("GET /t/ HTTP/2.0~Host: a~~", 505),
    ("GET /t/ http/1.1~Host: a~~", 400),
    ("PRI * HTTP/2.0~~XX~~", 505),
    // What is spoken after it?
    ("GET /t/ HTTP/1.1~Host: a~Connection: Upgrade~Upgrade: a~Upgrade: b~~", 400),
    ("POST /t/ HTTP/1.1~Host: a~Connection: Upgrade~Upgrade: a~Content-Length: 5~~hello", 400),
    ("GET /t/ HTTP/1.0~Host: a~Connection: Upgrade~Upgrade: websocket~~", 400),
    ("GET /t/ HTTP/1.1~Host: a~Connection: Upgrade~Upgrade: a, h2c~HTTP2-Settings: AA~~", 400),
    ("GET /t/ HTTP/1.1~Host: a~HTTP2-Settings: AA~~", 400),
    ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}", 400),
];

#[test]
fn ambiguous_requests_are_refused_and_the_tenant_sees_nothing() {
    let backend = Backend::start();
    let gateway = start(settings(), &Scripted::with("t", &backend));
    for (request, status) in REQUESTS {
        let mut client = Client::connect(&gateway);
        // What follows must not be taken for another request.
        client.send(request.replace('~', "\r\n") + &get("/t/smuggled"));
        assert_eq!(client.answer().status, *status, "{request:?}");
        assert!(client.is_closed(), "{request:?}");
    }
    assert_eq!((backend.seen(), gateway.stats().requests[1]), (0, 0));
    assert_eq!(gateway.stats().requests.iter().sum::<u64>(), REQUESTS.len() as u64);
}

/// As curl sends it of itself where it is asked for HTTP/2 without TLS.
#[test]
fn an_offer_of_http2_is_answered_in_http1() {
    let backend = Backend::start();
    let gateway = start(settings(), &Scripted::with("t", &backend));
    let mut client = Client::connect(&gateway);
    let offer =
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
    for rest in ["\r\n", "Content-Length: 5\r\n\r\nhello"] {
        let answer = client.ask(format!("POST /t/ HTTP/1.1\r\nHost: a\r\n{offer}{rest}"));
        assert_eq!((answer.status, answer.field("connection")), (200, None), "{answer:?}");
        let seen = answer.body.to_ascii_lowercase();
        assert!(!seen.contains("upgrade") && !seen.contains("http2-settings"), "{seen}");
    }
    // Nothing but a request may follow.
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(client.answer().status, 505);
    assert!(client.is_closed());
}

/// Bodies that are found odd only after their request was passed on.
#[test]
fn a_body_that_can_be_read_in_two_ways_ends_its_request() {
    for body in [
        "5;x=y~hello~0~~",
        "0x5~hello~0~~",
        "+5~hello~0~~",
        " 5~hello~0~~",
        "5~helloX~0~~",
        "5~hello\n0~~",
        "5\nhello~0~~",
        "fffffffffffffffff~",
        "0~Content-Length: 5~~",
        "0~Host: b~~",
        "0~a_b: c~~",
        "0~X: a\nY: b~~",
    ] {
        let backend = Backend::start();
        let gateway = start(settings(), &Scripted::with("t", &backend));
        let mut client = Client::connect(&gateway);
        let head = "POST /t/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send(head.to_owned() + &body.replace('~', "\r\n") + &get("/t/smuggled"));
        let rest = client.rest();
        assert!(rest.starts_with("HTTP/1.1 400 "), "{body:?}: {rest}");
        assert_eq!(rest.matches("HTTP/1.1 ").count(), 1, "{body:?}: {rest}");
        let heads = backend.heads.lock().expect("no panic");
        assert!(heads.iter().all(|head| !head.contains("smuggled")), "{body:?}: {heads:?}");
    }
}

#[test]
fn a_request_before_one_that_is_refused_gets_its_answer() {
    let backend = Backend::start();
    let gateway = start(settings(), &Scripted::with("t", &backend));
    let mut client = Client::connect(&gateway);
    client.send(get("/t/") + "GET /t/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + &get("/t/"));
    assert_eq!(client.answer().status, 200);
    assert_eq!(client.answer().status, 400);
    assert!(client.is_closed());
    assert_eq!(backend.seen(), 1);
}

#[test]
fn requests_that_follow_one_another_are_answered_in_order() {
    let backend = Backend::start();
    let gateway = start(settings(), &Scripted::with("t", &backend));
    let mut client = Client::connect(&gateway);
    let all: String = (0..50).map(|number| get(&format!("/t/{number}"))).collect();
    client.send(all);
    for number in 0..50 {
        assert!(client.answer().body.starts_with(&format!("GET /{number} ")), "{number}");
    }
}

#[test]
fn bytes_that_come_one_by_one_are_the_same_request() {
    let backend = Backend::start();
    let gateway = start(settings(), &Scripted::with("t", &backend));
    let mut client = Client::connect(&gateway);
    client.stream.set_nodelay(true).expect("a socket");
    let request =
        "POST /t/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for byte in request.as_bytes() {
        client.send([*byte]);
    }
    let answer = client.answer();
    assert!(answer.status == 200 && answer.body.ends_with("hello"), "{answer:?}");
}

const UPGRADE: &str =
    "GET /t/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[test]
fn what_follows_an_upgrade_that_the_tenant_does_not_agree_to_is_no_request() {
    let backend = Backend::start();
    let gateway = start(settings(), &Scripted::with("t", &backend));
    let mut client = Client::connect(&gateway);
    client.send(UPGRADE.to_owned() + &get("/t/smuggled"));
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    assert!(client.is_closed());
    assert_eq!(backend.seen(), 1);
}

#[test]
fn what_comes_before_the_tenant_agrees_waits_in_the_socket() {
    let backend = Backend::start();
    backend.hold(true);
    let gateway = start(settings(), &Scripted::with("t", &backend));
    let mut client = Client::connect(&gateway);
    client.send(UPGRADE);
    until("it is asked", || backend.seen() == 1);
    client.stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a socket");
    let mut sent = 0;
    while let Ok(count) = client.stream.write(&[0; 64 << 10]) {
        sent += count;
        assert!(sent < 64 << 20, "more than the sockets hold");
    }
    backend.hold(false);
}

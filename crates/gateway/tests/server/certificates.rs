use crate::support::*;
use crate::tls::{certificate, connect};
use gateway::settings::{CertifiedPem, Settings, Tls};
use std::io::{Read, Write};
use std::sync::atomic::Ordering::SeqCst;

fn status(stream: &mut (impl Read + Write)) -> u16 {
    stream.write_all(get("/shop/").as_bytes()).expect("written");
    Reader::new(stream).answer().status
}

fn encrypted(tls: Tls, scripted: &Scripted) -> TestGateway {
    start(Settings { tls: Some(tls), ..settings() }, scripted)
}

#[test]
fn each_name_has_its_certificate() {
    let backend = Backend::start();
    let (one, other) =
        (certificate(&["one.example", "*.wild.example"]), certificate(&["two.example"]));
    let given = Tls::Certificates(vec![one.clone(), other.clone()]);
    let gateway = encrypted(given, &Scripted::with("shop", &backend));
    assert!(gateway.listening()[0].url.starts_with("https://127.0.0.1:"));
    for (name, certificate) in
        [("one.example", &one), ("a.wild.example", &one), ("two.example", &other)]
    {
        let mut stream = connect(&gateway, name, certificate, &[]).expect(name);
        assert_eq!(status(&mut stream), 200, "{name}");
    }
    // The first one is for all other names, for which it does not count.
    assert!(connect(&gateway, "other.example", &one, &[]).is_err());
    let answer = {
        let mut stream = connect(&gateway, "two.example", &other, &[]).expect("a connection");
        stream.write_all(get("/shop/").as_bytes()).expect("written");
        Reader::new(&mut stream).answer()
    };
    assert!(answer.body.contains("x-forwarded-proto: https\r\n"), "{}", answer.body);
}

#[test]
fn a_client_that_speaks_http_in_clear_is_told_and_not_served() {
    let backend = Backend::start();
    let given = certificate(&["one.example"]);
    let tls = Some(Tls::Certificates(vec![given.clone()]));
    let scripted = Scripted::with("shop", &backend);
    let gateway = start(Settings { tls, access: true, ..settings() }, &scripted);
    let mut client = Client::connect(&gateway);
    // Two requests, and more than the kernel holds: the one answer arrives all the same.
    client.send(format!("{}POST /shop/ HTTP/1.1\r\n\r\n{}", get("/shop/"), "x".repeat(200_000)));
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("connection")), (400, Some("close")));
    assert_eq!(answer.field("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.body, "This port speaks TLS: ask https:// in place of http://\n");
    assert!(client.is_closed());
    // The first byte is enough, and that of anything else gets no words.
    let rest_after = |first: &str| {
        let mut client = Client::connect(&gateway);
        client.send(first);
        client.rest()
    };
    assert!(rest_after("P").starts_with("HTTP/1.1 400 "));
    assert!(!rest_after("\r\nGET /shop/ HTTP/1.1\r\n\r\n").contains("HTTP/"));
    scripted.until("two are told", |scripted| scripted.state().events.len() == 2);
    let told = scripted.state().events.iter().map(|event| event.status).collect::<Vec<_>>();
    assert_eq!((told, gateway.stats().requests), (vec![400, 400], [0, 0, 0, 2, 0]));
    assert_eq!(backend.seen(), 0);
    let mut stream = connect(&gateway, "one.example", &given, &[]).expect("a handshake");
    assert_eq!(status(&mut stream), 200);
}

#[test]
fn certificates_are_exchanged_while_the_gateway_runs() {
    let backend = Backend::start();
    let (old, new) = (certificate(&["one.example"]), certificate(&["one.example"]));
    let given = Tls::Certificates(vec![old.clone()]);
    let gateway = encrypted(given, &Scripted::with("shop", &backend));
    let mut kept = connect(&gateway, "one.example", &old, &[]).expect("the old one");
    gateway.set_certificates(std::slice::from_ref(&new)).expect("a certificate");
    assert!(connect(&gateway, "one.example", &old, &[]).is_err());
    assert_eq!(status(&mut connect(&gateway, "one.example", &new, &[]).expect("the new one")), 200);
    assert_eq!(status(&mut kept), 200, "a connection that is there goes on");
    // One that cannot be used changes nothing.
    let mixed = CertifiedPem { key: old.key.clone(), ..new.clone() };
    let nonsense = CertifiedPem { cert: "nonsense".to_owned(), ..new.clone() };
    for bad in [vec![mixed], vec![nonsense], vec![]] {
        assert!(gateway.set_certificates(&bad).is_err());
    }
    assert!(connect(&gateway, "one.example", &new, &[]).is_ok());
}

#[test]
fn a_function_gives_certificates_and_null_ends_the_handshake() {
    let backend = Backend::start();
    let scripted = Scripted::with("shop", &backend);
    let (good, bad) = (certificate(&["good.example"]), certificate(&["bad.example"]));
    scripted.change(|state| {
        state.certificates.insert("good.example".to_owned(), good.clone());
        let unreadable = CertifiedPem { key: "nonsense".to_owned(), ..bad.clone() };
        state.certificates.insert("bad.example".to_owned(), unreadable);
    });
    let gateway = encrypted(Tls::Ask, &scripted);
    for _ in 0..2 {
        let mut stream = connect(&gateway, "good.example", &good, &[]).expect("a certificate");
        assert_eq!(status(&mut stream), 200);
    }
    assert!(connect(&gateway, "bad.example", &bad, &[]).is_err());
    let refused = connect(&gateway, "none.example", &good, &[]).expect_err("none");
    assert!(refused.to_string().contains("alert"), "{refused}");
    assert_eq!(scripted.script().asked.load(SeqCst), 4);
}

#[test]
fn the_protocol_is_agreed_on_in_the_handshake() {
    let backend = Backend::start();
    let one = certificate(&["one.example"]);
    let given = Tls::Certificates(vec![one.clone()]);
    let gateway = encrypted(given, &Scripted::with("shop", &backend));
    for (offered, agreed) in [
        (&[b"h2".as_slice(), b"http/1.1"][..], Some(b"h2".as_slice())),
        (&[b"http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let stream = connect(&gateway, "one.example", &one, offered).expect("a connection");
        assert_eq!(stream.conn.alpn_protocol(), agreed);
    }
    let mut stream = connect(&gateway, "one.example", &one, &[b"h2"]).expect("a connection");
    stream.write_all(crate::http2::PREFACE).expect("written");
    stream.write_all(&crate::http2::get("/shop/")).expect("written");
    assert_eq!(crate::http2::status(&mut stream), Some(200));
}

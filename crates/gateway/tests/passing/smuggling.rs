//! Fields that only gateways may write, from visitors and from tenants.

use crate::hosts::*;
use crate::support::*;
use std::io::Write;

const FIELDS: &str = "Absolute-Key: other\r\nabsolute-peer: a 5e1f\r\nABSOLUTE-HOPS: 2\r\n\
                      Absolute-Ask: state\r\nAbsolute-Owner: c d 1\r\nAbsolute-New: x\r\n";

/// A host with a gateway for visitors whose tenant `near` is its own, and `far` another host's.
fn near_and_far(backend: &Backend) -> (Host, Host, gateway::Gateway<Host, gateway::NoHooks>) {
    let b = Host::with("far", Place::Here(backend.address));
    b.put("other", Place::Here(backend.address));
    let listener = b.listen(|_| {});
    let a = Host::with("near", Place::Here(backend.address));
    a.put("far", Place::There(There::at("b", address_of(&listener))));
    (a, b, listener)
}

#[test]
fn a_visitors_are_taken_off() {
    let backend = Backend::start();
    let (a, b, _listener) = near_and_far(&backend);
    let trusted = gateway::forwarded::Cidr::parse("127.0.0.0/8").expect("a range");
    for trust in [vec![], vec![trusted]] {
        let (front, _) = a.front_with(|settings| settings.trust = trust);
        for path in ["/near/", "/far/"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{FIELDS}\r\n");
            let answer = Client::connect(&front).ask(request);
            assert_eq!(answer.status, 200);
            assert!(!answer.body.to_ascii_lowercase().contains("absolute"), "{}", answer.body);
        }
    }
    assert!(b.state().asked.is_empty());
}

#[test]
fn a_visitors_with_underscores_and_in_trailers_are_refused() {
    let backend = Backend::start();
    let (a, _b, _listener) = near_and_far(&backend);
    let (front, _) = a.front();
    for field in ["absolute_key: other", "Absolute-peer_: x", "ABSOLUTE_HOPS: 0"] {
        for path in ["/near/", "/far/"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
            assert_eq!(Client::connect(&front).ask(request).status, 400, "{field}");
        }
    }
    for path in ["/near/", "/far/"] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             0\r\nAbsolute-Key: other\r\n\r\n"
        );
        assert_eq!(Client::connect(&front).ask(request).status, 400);
    }
    assert_eq!(backend.seen(), 0);
}

#[test]
fn a_tenant_cannot_speak_as_its_gateway() {
    let tenant = Raw::new();
    let b = Host::with("shop", Place::Here(tenant.address()));
    let listener = b.listen(|_| {});
    let a = Host::with("shop", Place::There(There::at("b", address_of(&listener))));
    let (front, hooks) = a.front();
    std::thread::spawn(move || {
        let mut stream = tenant.accept();
        let mut reader = Reader::new(stream.try_clone().expect("a second descriptor"));
        while reader.head().is_some() {
            let answer = "HTTP/1.1 421 Misdirected Request\r\nAbsolute-Owner: c d 1\r\n\
                          Absolute-Refused: elsewhere\r\nContent-Length: 4\r\n\r\nmine";
            stream.write_all(answer.as_bytes()).expect("written");
        }
    });
    let answer = Client::connect(&front).get("/shop/");
    assert_eq!((answer.status, answer.body.as_str()), (421, "mine"));
    assert!(!answer.head.to_ascii_lowercase().contains("absolute"), "{}", answer.head);
    assert!(a.state().missed.is_empty());
    until("it is over", || hooks.state().events.len() == 1);
}

//! Hosts that know one another by certificates.

use crate::hosts::*;
use crate::support::*;
use gateway::peer::{Entry, Identity, Miss, MutualPem};
use gateway::settings::{CertifiedPem, Routing};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::io::Write;

/// A fleet's authority.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("a certificate");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    fn certify(&self, name: &str) -> MutualPem {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a certificate");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let own =
            CertifiedPem { cert: certificate.pem(), key: key.serialize_pem(), names: Vec::new() };
        MutualPem { own, ca: self.pem.clone() }
    }
}

#[test]
fn a_host_with_a_certificate_of_the_fleets_is_served_and_no_other() {
    let backend = Backend::start();
    let (fleet, others) = (Authority::new(), Authority::new());
    let b = Host::with("shop", Place::Here(backend.address));
    let listener = b.listen(|settings| {
        settings.routing = Routing::Peers(Entry::Certificate(fleet.certify("127.0.0.1")));
    });
    assert!(listener.listening()[0].url.starts_with("https://"));
    let there = |own: &MutualPem, name: &str| {
        let identity = Identity::read(own).expect("an identity");
        let encryption = identity.for_host(name).expect("a name");
        Place::There(There::with("b", address_of(&listener), "x", Some(encryption)))
    };
    let a = Host::with("shop", there(&fleet.certify("a"), "127.0.0.1"));
    let (front, _) = a.front();
    let mut client = Client::connect(&front);
    for _ in 0..3 {
        let answer = client.ask(post("/shop/", &"x".repeat(100_000)));
        assert_eq!((answer.status, answer.body.ends_with("xxx")), (200, true));
        assert!(answer.body.contains("x-forwarded-proto: http\r\n"));
    }
    assert_eq!((listener.stats().connections, backend.seen()), (1, 3));
    // A certificate of nobody's that the other one believes, and one that it believes of one whose own
    // is not the fleet's or is another host's.
    let stranger = MutualPem { own: others.certify("a").own, ..fleet.certify("a") };
    let deceived = MutualPem { ca: others.pem.clone(), ..fleet.certify("a") };
    let strangers =
        [(stranger, "127.0.0.1"), (deceived, "127.0.0.1"), (fleet.certify("a"), "127.0.0.2")];
    for (own, name) in strangers {
        a.put("shop", there(&own, name));
        a.next(Err(gateway::refusal::Refusal::overloaded()));
        assert_eq!(client.get("/shop/").status, 503);
        let missed = ("shop".to_owned(), "b".to_owned(), Miss::Unreachable);
        assert_eq!(a.state().missed.pop(), Some(missed));
    }
    // In clear, and with the token of another way.
    let mut clear = Client::connect(&listener);
    assert_eq!(clear.ask("GET / HTTP/1.1\r\nHost: a\r\nAbsolute-Key: shop\r\n\r\n").status, 400);
    assert_eq!(backend.seen(), 3);
}

/// What bodies have in all, as they say before.
const BYTES: usize = 16 << 20;

#[test]
fn large_bodies_pass_one_another_on_an_encrypted_connection() {
    let tenant = Raw::new();
    let fleet = Authority::new();
    let b = Host::with("shop", Place::Here(tenant.address()));
    let listener = b.listen(|settings| {
        settings.routing = Routing::Peers(Entry::Certificate(fleet.certify("127.0.0.1")));
    });
    let identity = Identity::read(&fleet.certify("a")).expect("an identity");
    let encryption = identity.for_host("127.0.0.1").expect("a name");
    let there = There::with("b", address_of(&listener), "x", Some(encryption));
    let (front, hooks) = Host::with("shop", Place::There(there)).front();
    let mut client = Client::connect(&front);
    let part: Vec<u8> = (0..1 << 20).map(|index| (index % 251) as u8).collect();
    client.send(format!("POST /shop/ HTTP/1.1\r\nHost: a\r\nContent-Length: {BYTES}\r\n\r\n"));
    let mut stream = tenant.accept();
    let mut reader = Reader::new(stream.try_clone().expect("a second descriptor"));
    reader.head().expect("a head");
    stream
        .write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {BYTES}\r\n\r\n").as_bytes())
        .expect("written");
    client.reader.head().expect("an answer, though the request has not ended");
    let whole = part.repeat(BYTES / part.len());
    std::thread::scope(|scope| {
        scope.spawn(|| stream.write_all(&whole).expect("written"));
        scope.spawn(|| assert!(reader.exactly(BYTES) == whole));
        let Client { reader, stream } = &mut client;
        scope.spawn(|| assert!(reader.exactly(BYTES) == whole));
        stream.write_all(&whole).expect("written");
    });
    until("it is over", || hooks.state().events.len() == 1);
    let event = hooks.state().events[0].clone();
    assert_eq!((event.bytes_in, event.bytes_out), (BYTES as u64, BYTES as u64));
}

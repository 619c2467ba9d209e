use crate::hosts::*;
use crate::support::*;
use std::io::Write;

/// What bodies have in all, as they say before.
const BYTES: usize = 64 << 20;

#[test]
fn large_bodies_stream_both_ways() {
    let tenant = Raw::new();
    let b = Host::with("shop", Place::Here(tenant.address()));
    let listener = b.listen(|_| {});
    let a = Host::with("shop", Place::There(There::at("b", address_of(&listener))));
    let (front, hooks) = a.front();
    let serving = std::thread::spawn(move || {
        let mut stream = tenant.accept();
        let mut reader = Reader::new(stream.try_clone().expect("a second descriptor"));
        reader.head().expect("a head");
        assert_eq!(reader.exactly(BYTES).len(), BYTES);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {BYTES}\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("written");
        let part = vec![0; 1 << 20];
        (0..BYTES / part.len()).for_each(|_| stream.write_all(&part).expect("written"));
        stream
    });
    let mut client = Client::connect(&front);
    client.send(format!("POST /shop/ HTTP/1.1\r\nHost: a\r\nContent-Length: {BYTES}\r\n\r\n"));
    let part = vec![0; 1 << 20];
    (0..BYTES / part.len()).for_each(|_| client.send(&part));
    client.reader.head().expect("an answer");
    assert_eq!(client.reader.exactly(BYTES).len(), BYTES);
    let _stream = serving.join().expect("no panic");
    until("it is over", || hooks.state().events.len() == 1);
    let event = hooks.state().events[0].clone();
    assert_eq!((event.bytes_in, event.bytes_out), (BYTES as u64, BYTES as u64));
}

use crate::hosts::*;
use crate::support::*;
use std::io::Write;

#[test]
fn a_websocket_goes_through_two_gateways() {
    let tenant = Raw::new();
    let b = Host::with("shop", Place::Here(tenant.address()));
    let listener = b.listen(|_| {});
    let a = Host::with("shop", Place::There(There::at("b", address_of(&listener))));
    let (front, hooks) = a.front();
    let mut client = Client::connect(&front);
    client.send(
        "GET /shop/chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    let mut stream = tenant.accept();
    let mut reader = Reader::new(stream.try_clone().expect("a second descriptor"));
    let head = reader.head().expect("a head").to_ascii_lowercase();
    assert!(head.starts_with("get /chat ") && head.contains("upgrade: websocket\r\n"), "{head}");
    assert!(head.contains("sec-websocket-key: dghl") && !head.contains("absolute-"), "{head}");
    let agreement = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                     Upgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n";
    // A frame, in the same breath.
    stream.write_all(&[agreement.as_bytes(), b"\x81\x05hello"].concat()).expect("written");
    let head = client.reader.head().expect("an answer");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(client.reader.exactly(7), b"\x81\x05hello");
    // Both ways, and more than fits at once.
    let long = [&b"\x82\x7f\0\0\0\0\0\x10\0\0"[..], &vec![7; 1 << 20]].concat();
    for round in 0..3 {
        let (mut to, bytes) = (stream.try_clone().expect("a second descriptor"), long.clone());
        let writing = std::thread::spawn(move || to.write_all(&bytes).expect("written"));
        assert!(client.reader.exactly(long.len()) == long, "{round}");
        writing.join().expect("no panic");
        client.send(b"\x81\x82\0\0\0\0ab");
        assert_eq!(reader.exactly(8), b"\x81\x82\0\0\0\0ab");
    }
    client.stream.shutdown(std::net::Shutdown::Both).expect("an end");
    assert_eq!(reader.rest(), b"");
    drop((stream, reader));
    until("it is over", || hooks.state().events.len() == 1);
    let event = hooks.state().events[0].clone();
    assert_eq!((event.status, event.peer.as_deref()), (101, Some("b")));
    assert_eq!((event.bytes_in, event.bytes_out), (24, 7 + 3 * long.len() as u64));
}

#[test]
fn events_come_one_by_one_through_two_gateways() {
    let tenant = Raw::new();
    let b = Host::with("shop", Place::Here(tenant.address()));
    let listener = b.listen(|_| {});
    let a = Host::with("shop", Place::There(There::at("b", address_of(&listener))));
    let (front, _) = a.front();
    let mut client = Client::connect(&front);
    client.send(get("/shop/"));
    let mut stream = tenant.accept();
    let mut reader = Reader::new(stream.try_clone().expect("a second descriptor"));
    reader.head().expect("a head");
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                transfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("written");
    client.reader.head().expect("a head");
    for _ in 0..3 {
        let event = "9\r\ndata: x\n\n\r\n";
        stream.write_all(event.as_bytes()).expect("written");
        assert_eq!(client.reader.exactly(event.len()), event.as_bytes());
    }
    // A visitor that leaves is told to the tenant.
    drop(client);
    assert_eq!(reader.rest(), b"");
}

//! What a body takes that goes through two gateways. A process of its own, so that no other test
//! takes memory meanwhile.
#![allow(missing_docs, reason = "tests")]

#[path = "passing/hosts.rs"]
#[allow(dead_code, reason = "other tests use it")]
mod hosts;
#[path = "server/memory.rs"]
#[allow(dead_code, reason = "another test uses it")]
mod memory;
#[path = "server/support.rs"]
#[allow(dead_code, reason = "other tests use it")]
mod support;

use hosts::*;
use std::io::Write;
use support::*;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting::new();

const PART: usize = 1 << 20;
/// A quarter of a gigabyte each way: more takes long in a build that is not optimised.
const PARTS: usize = 256;
/// Two gateways, their buffers, and this test's own.
const MOST: usize = 16 << 20;

#[test]
fn a_long_body_goes_through_two_gateways_in_a_few_megabytes() {
    let tenant = Raw::new();
    let b = Host::with("shop", Place::Here(tenant.address()));
    let listener = b.listen(|_| {});
    let a = Host::with("shop", Place::There(There::at("b", address_of(&listener))));
    let (front, _) = a.front();
    let mut client = Client::connect(&front);
    let length = PARTS * PART;
    client.send(format!("POST /shop/ HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
    let mut stream = tenant.accept();
    let mut reader = Reader::new(stream.try_clone().expect("a second descriptor"));
    reader.head().expect("a head");
    ALLOCATOR.forget_most();
    let mut to = client.stream.try_clone().expect("a second descriptor");
    let writing = std::thread::spawn(move || send(&mut to));
    (0..PARTS).for_each(|_| assert_eq!(reader.exactly(PART).len(), PART));
    writing.join().expect("no panic");
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("written");
    let writing = std::thread::spawn(move || send(&mut stream));
    client.reader.head().expect("an answer");
    (0..PARTS).for_each(|_| assert_eq!(client.rest_of(PART).len(), PART));
    writing.join().expect("no panic");
    assert!(ALLOCATOR.most() < MOST, "{} bytes", ALLOCATOR.most());
}

fn send(to: &mut impl Write) {
    let part = vec![0; PART];
    (0..PARTS).for_each(|_| to.write_all(&part).expect("written"));
}

//! The netlink messages of the kernel's list of sockets. No received bytes make the reader go
//! beyond their end or loop for ever, and a message is decoded correctly, whatever stands around
//! it.

#![no_main]

use arbitrary::Arbitrary;
use linux::net::sock_diag::{Message, messages};
use libfuzzer_sys::fuzz_target;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const HEADER_BYTES: usize = 16;
/// The size of an `inet_diag_msg`.
const SOCKET_BYTES: usize = 72;

#[derive(Arbitrary, Debug)]
enum Sent {
    /// A socket, with attributes behind it.
    Socket {
        state: u8,
        port: u16,
        rest: [u8; SOCKET_BYTES - 6],
        attributes: Vec<u8>,
    },
    Other {
        kind: u16,
        body: Vec<u8>,
    },
}

#[derive(Arbitrary, Debug)]
enum Input {
    Received(Vec<u8>),
    Messages(Vec<Sent>),
}

fuzz_target!(|input: Input| match input {
    Input::Received(bytes) => {
        let seen: Vec<Option<(u8, u16)>> = messages(&bytes).map(|message| look(&message)).collect();
        assert!(seen.len() * HEADER_BYTES <= bytes.len());
    }
    Input::Messages(sent) => {
        let bytes: Vec<u8> = sent.iter().flat_map(encoded).collect();
        let seen: Vec<Option<(u8, u16)>> = messages(&bytes).map(|message| look(&message)).collect();
        assert_eq!(seen, sent.iter().map(expected).collect::<Vec<_>>());
    }
});

fn look(message: &Message<'_>) -> Option<(u8, u16)> {
    let socket = message.socket().map(|socket| (socket.state, socket.local_port));
    assert!(!(message.is_last() && message.is_error()));
    assert!(socket.is_none() || !(message.is_last() || message.is_error()));
    socket
}

/// Encodes a `nlmsghdr` and a body, padded to a multiple of four bytes.
fn encoded(sent: &Sent) -> Vec<u8> {
    let (kind, body) = match sent {
        Sent::Socket { state, port, rest, attributes } => {
            let [high, low] = port.to_be_bytes();
            let beginning = [2, *state, 0, 0, high, low];
            (SOCK_DIAG_BY_FAMILY, [&beginning, rest.as_slice(), attributes].concat())
        }
        Sent::Other { kind, body } => (kind_of_other(*kind), body.clone()),
    };
    let length = HEADER_BYTES + body.len();
    let mut bytes = (length as u32).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.resize(HEADER_BYTES, 0);
    bytes.extend_from_slice(&body);
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}

fn kind_of_other(kind: u16) -> u16 {
    if kind == SOCK_DIAG_BY_FAMILY { 0 } else { kind }
}

fn expected(sent: &Sent) -> Option<(u8, u16)> {
    match sent {
        Sent::Socket { state, port, .. } => Some((*state, *port)),
        Sent::Other { .. } => None,
    }
}

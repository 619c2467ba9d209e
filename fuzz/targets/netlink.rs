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
/// The attribute that names the control group of a socket.
const INET_DIAG_CGROUP_ID: u16 = 21;

/// What is compared of a socket: its state, its port and its group.
type Seen = Option<(u8, u16, Option<u64>)>;

#[derive(Arbitrary, Debug)]
enum Sent {
    /// A socket, with attributes behind it.
    Socket {
        state: u8,
        port: u16,
        rest: [u8; SOCKET_BYTES - 6],
        attributes: Vec<(u16, Vec<u8>)>,
        /// What stands behind the last attribute.
        end: Vec<u8>,
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
        let seen: Vec<Seen> = messages(&bytes).map(|message| look(&message)).collect();
        assert!(seen.len() * HEADER_BYTES <= bytes.len());
    }
    Input::Messages(sent) => {
        let bytes: Vec<u8> = sent.iter().flat_map(encoded).collect();
        let seen: Vec<Seen> = messages(&bytes).map(|message| look(&message)).collect();
        assert_eq!(seen, sent.iter().map(expected).collect::<Vec<_>>());
    }
});

fn look(message: &Message<'_>) -> Seen {
    let socket = message.socket().map(|socket| (socket.state, socket.local_port, socket.group));
    assert!(!(message.is_last() && message.is_error()));
    assert!(socket.is_none() || !(message.is_last() || message.is_error()));
    socket
}

/// Encodes a `nlmsghdr` and a body, padded to a multiple of four bytes.
fn encoded(sent: &Sent) -> Vec<u8> {
    let (kind, body) = match sent {
        Sent::Socket { state, port, rest, attributes, end } => {
            let [high, low] = port.to_be_bytes();
            let beginning = [2, *state, 0, 0, high, low];
            let attributes: Vec<u8> = attributes.iter().flat_map(attribute).collect();
            (SOCK_DIAG_BY_FAMILY, [&beginning, rest.as_slice(), attributes.as_slice(), tail(end)].concat())
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

/// Encodes a length, a type and a value, padded to a multiple of four bytes.
fn attribute((kind, value): &(u16, Vec<u8>)) -> Vec<u8> {
    let value = &value[..value.len().min(64)];
    let length = 4 + value.len();
    let mut bytes = [(length as u16).to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}

/// Too short to be an attribute.
fn tail(end: &[u8]) -> &[u8] {
    &end[..end.len().min(3)]
}

fn kind_of_other(kind: u16) -> u16 {
    if kind == SOCK_DIAG_BY_FAMILY { 0 } else { kind }
}

fn expected(sent: &Sent) -> Seen {
    match sent {
        Sent::Socket { state, port, attributes, .. } => {
            let group = attributes.iter().find(|(kind, _)| *kind == INET_DIAG_CGROUP_ID);
            let group = group.and_then(|(_, value)| value.first_chunk());
            Some((*state, *port, group.map(|bytes| u64::from_ne_bytes(*bytes))))
        }
        Sent::Other { .. } => None,
    }
}

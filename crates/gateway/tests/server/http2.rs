//! HTTP/2, frame by frame: a well-behaved library would not send most of this.

use crate::support::*;
use gateway::settings::{Limits, Settings};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

mod frames;
mod outcome;
mod packed_heads;
mod states;
mod windows;

/// The client's first bytes, with empty settings.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Fields as they are encoded without any table.
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            // Longer ones than the prefix has room for take further bytes.
            match text.len() {
                short @ 0..=126 => bytes.push(short as u8),
                long => {
                    bytes.push(127);
                    let mut rest = long - 127;
                    while rest >= 128 {
                        bytes.push((rest % 128 + 128) as u8);
                        rest /= 128;
                    }
                    bytes.push(rest as u8);
                }
            }
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

fn head(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut all =
        vec![(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", path)];
    all.extend(more);
    fields(&all)
}

/// A whole request on the first stream.
pub fn get(path: &str) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, 1, &head(path, &[]))
}

/// The next frame: kind, flags, stream, payload.
fn next(stream: &mut impl Read) -> Option<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    if let Err(error) = stream.read_exact(&mut head) {
        let is_over = error.kind() != std::io::ErrorKind::WouldBlock;
        assert!(is_over, "neither a frame nor the end came");
        return None;
    }
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).ok()?;
    let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    Some((head[3], head[4], id, payload))
}

/// The status of the next answer; `None` if the stream or the connection ends without one.
pub fn status(stream: &mut impl Read) -> Option<u16> {
    loop {
        match next(stream)? {
            (HEADERS, _, _, payload) => return Some(status_of(&payload)),
            (RST_STREAM | GOAWAY, ..) => return None,
            _ => {}
        }
    }
}

/// The first field of an answer is `:status`: one of the table's, or three digits, which a
/// Huffman code of five bits each takes two bytes for.
fn status_of(payload: &[u8]) -> u16 {
    let indexed = [200, 204, 206, 304, 400, 404, 500];
    match payload {
        // The table may have been made smaller first.
        [0x20..=0x3f, rest @ ..] => status_of(rest),
        [index @ 0x88..=0x8e, ..] => indexed[usize::from(index - 0x88)],
        [0x48 | 0x08, length, rest @ ..] if length & 0x80 != 0 => huffman(rest),
        [0x48 | 0x08, 3, rest @ ..] => {
            std::str::from_utf8(&rest[..3]).expect("text").parse().expect("a status")
        }
        _ => panic!("{payload:x?}"),
    }
}

/// Three digits: `0`, `1` and `2` have codes of five bits, the others of six.
fn huffman(bytes: &[u8]) -> u16 {
    let bits = bytes.iter().take(3).fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
    let (mut at, mut status) = (24, 0);
    for _ in 0..3 {
        let five = (bits >> (at - 5) & 0x1f) as u16;
        if five < 3 {
            (status, at) = (status * 10 + five, at - 5);
        } else {
            let six = (bits >> (at - 6) & 0x3f) as u16;
            (status, at) = (status * 10 + six - 0x19 + 3, at - 6);
        }
    }
    status
}

fn connect(gateway: &TestGateway) -> TcpStream {
    let mut stream = TcpStream::connect(address_of(gateway)).expect("a connection");
    stream.set_read_timeout(Some(SOON)).expect("a socket");
    stream.write_all(PREFACE).expect("written");
    stream
}

/// The connection ends; says whether it was said why.
fn ends(stream: &mut TcpStream) -> bool {
    let mut is_told = false;
    while let Some((kind, ..)) = next(stream) {
        is_told |= kind == GOAWAY;
    }
    is_told
}

#[test]
fn it_is_spoken_by_prior_knowledge() {
    let backend = Backend::start();
    let gateway = start(settings(), &Scripted::with("shop", &backend));
    let mut stream = connect(&gateway);
    stream.write_all(&get("/shop/x")).expect("written");
    assert_eq!(status(&mut stream), Some(200));
    let heads = backend.heads.lock().expect("no panic");
    assert!(heads[0].starts_with("GET /x HTTP/1.1\r\n"), "{}", heads[0]);
    assert!(heads[0].to_lowercase().contains("host: a\r\n"), "{}", heads[0]);
    // Also if its first bytes come one by one.
    let mut stream = TcpStream::connect(address_of(&gateway)).expect("a connection");
    stream.set_read_timeout(Some(SOON)).expect("a socket");
    stream.set_nodelay(true).expect("a socket");
    for byte in PREFACE.iter().chain(&get("/none/")) {
        stream.write_all(&[*byte]).expect("written");
    }
    assert_eq!(status(&mut stream), Some(404));
}

#[test]
fn ambiguous_heads_are_refused_and_the_tenant_sees_nothing() {
    let backend = Backend::start();
    let gateway = start(settings(), &Scripted::with("shop", &backend));
    let usual = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/shop/")];
    let with = |more: &[(&'static str, &'static str)]| [&usual[..], more].concat();
    let without =
        |name: &str| -> Vec<_> { usual.into_iter().filter(|(other, _)| *other != name).collect() };
    for head in [
        without(":method"),
        without(":scheme"),
        without(":path"),
        without(":authority"),
        with(&[(":method", "POST")]),
        with(&[(":path", "/other/")]),
        with(&[(":authority", "b")]),
        with(&[(":status", "200")]),
        with(&[(":nonsense", "x")]),
        with(&[(":protocol", "websocket")]),
        [&[("x", "1")][..], &usual].concat(),
        with(&[("host", "b")]),
        with(&[("host", "a"), ("host", "a")]),
        with(&[("connection", "close")]),
        with(&[("keep-alive", "1")]),
        with(&[("proxy-connection", "close")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("upgrade", "websocket")]),
        with(&[("te", "gzip")]),
        with(&[("http2-settings", "AA")]),
        with(&[("Upper", "1")]),
        with(&[("a b", "1")]),
        with(&[("", "1")]),
        with(&[("x", "a\r\nb: c")]),
        with(&[("x", "a\0")]),
        with(&[("content-length", "5")]),
        with(&[("content-length", "0"), ("content-length", "0")]),
        with(&[("content-length", "+0")]),
        with(&[("content_length", "0")]),
        with(&[("x-user", "1"), ("x_user", "2")]),
        with(&[("x_forwarded_for", "6.6.6.6")]),
        [&without(":authority")[..], &[(":authority", "u@a")]].concat(),
        [&without(":authority")[..], &[("host", "a, b")]].concat(),
        [&without(":path")[..], &[(":path", "shop/")]].concat(),
        [&without(":path")[..], &[(":path", "")]].concat(),
        [&without(":path")[..], &[(":path", "/shop/ HTTP/1.1\r\nx: y")]].concat(),
        [&without(":method")[..], &[(":method", "G T")]].concat(),
        [&without(":method")[..], &[(":method", "CONNECT")]].concat(),
    ] {
        let mut stream = connect(&gateway);
        let bytes = frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields(&head));
        stream.write_all(&bytes).expect("written");
        let status = status(&mut stream);
        assert!(matches!(status, None | Some(400 | 405)), "{head:?}: {status:?}");
    }
    assert_eq!(backend.seen(), 0);
}

#[test]
fn a_body_that_is_not_as_long_as_was_said_is_refused() {
    let backend = Backend::start();
    let gateway = start(settings(), &Scripted::with("shop", &backend));
    for (length, body, is_over) in [("5", "four", true), ("3", "four", false), ("0", "x", true)] {
        let mut stream = connect(&gateway);
        let head = head("/shop/", &[("content-length", length)]);
        stream.write_all(&frame(HEADERS, END_HEADERS, 1, &head)).expect("written");
        let flags = if is_over { END_STREAM } else { 0 };
        stream.write_all(&frame(DATA, flags, 1, body.as_bytes())).expect("written");
        let status = status(&mut stream);
        assert!(status.is_none_or(|status| status >= 400), "{length} {body}: {status:?}");
    }
}

#[test]
fn a_head_has_a_largest_size() {
    let backend = Backend::start();
    let limits = Limits { header_bytes: 2_000, headers: 10, ..Limits::default() };
    let gateway = start(Settings { limits, ..settings() }, &Scripted::with("shop", &backend));
    let long = "x".repeat(3_000);
    let names: Vec<String> = (0..11).map(|number| format!("x{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
    for more in [&[("x", long.as_str())][..], &many] {
        let mut stream = connect(&gateway);
        let head = head("/shop/", more);
        let bytes = frame(HEADERS, END_STREAM | END_HEADERS, 1, &head);
        stream.write_all(&bytes).expect("written");
        assert_eq!(status(&mut stream), Some(431));
    }
    assert_eq!(backend.seen(), 0);
}

/// So many frames of each kind, which cost the client little, end the connection or are taken in
/// stride; either way the gateway goes on and holds nothing of them.
#[test]
fn floods_of_each_kind_of_frame_do_no_harm() {
    let backend = Backend::start();
    let scripted = Scripted::asleep("shop");
    let gateway = start(settings(), &scripted);
    let open = |id: u32| frame(HEADERS, END_STREAM | END_HEADERS, id, &head("/shop/", &[]));
    let opened = |id: u32| frame(HEADERS, END_HEADERS, id, &head("/shop/", &[]));
    let odd = |number: u32| number * 2 + 1;
    type Flood<'a> = (&'a str, bool, Box<dyn Fn(u32) -> Vec<u8> + 'a>);
    let floods: [Flood; 10] = [
        ("settings", false, Box::new(|_| frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]))),
        ("pings", false, Box::new(|_| frame(PING, 0, 0, &[0; 8]))),
        ("priorities", false, Box::new(|_| frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]))),
        (
            "rapid resets",
            true,
            Box::new(|number| {
                let reset = frame(RST_STREAM, 0, odd(number), &[0, 0, 0, 8]);
                [open(odd(number)), reset].concat()
            }),
        ),
        ("streams", false, Box::new(|number| open(odd(number)))),
        (
            "resets of nothing",
            true,
            Box::new(|number| frame(RST_STREAM, 0, odd(number), &[0, 0, 0, 8])),
        ),
        ("window updates", false, Box::new(|_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]))),
        (
            "windows too large",
            true,
            Box::new(|_| frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])),
        ),
        (
            "continuations",
            true,
            Box::new(|number| match number {
                0 => frame(HEADERS, END_STREAM, 1, &head("/shop/", &[])),
                _ => frame(CONTINUATION, 0, 1, &fields(&[("x", "y")])),
            }),
        ),
        (
            "empty data",
            false,
            Box::new(|number| match number {
                0 => opened(1),
                _ => frame(DATA, 0, 1, &[]),
            }),
        ),
    ];
    for (name, has_to_end, make) in &floods {
        let mut stream = connect(&gateway);
        stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a socket");
        let bytes: Vec<u8> = (0..20_000).flat_map(make).collect();
        let is_written = stream.write_all(&bytes).is_ok();
        if *has_to_end {
            ends(&mut stream);
        } else if is_written {
            // A request after it is served, or the connection has ended.
            drop(stream);
        }
        let mut other = connect(&gateway);
        other.write_all(&get("/none/")).expect("written");
        assert_eq!(status(&mut other), Some(404), "after {name}");
    }
    until("nothing is left", || gateway.stats().connections <= 1);
    until("nobody waits", || gateway.stats().waiting == 0);
    scripted.change(|state| {
        state.running.insert("shop".to_owned(), backend.address);
    });
    let mut stream = connect(&gateway);
    stream.write_all(&get("/shop/")).expect("written");
    assert_eq!(status(&mut stream), Some(200));
}

#[test]
fn a_reset_gives_the_wait_up() {
    let scripted = Scripted::asleep("shop");
    let gateway = start(settings(), &scripted);
    let mut stream = connect(&gateway);
    stream.write_all(&get("/shop/")).expect("written");
    until("it waits", || gateway.stats().waiting == 1);
    stream.write_all(&frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])).expect("written");
    until("it is given up", || gateway.stats().waiting == 0);
    assert_eq!(gateway.stats().connections, 1);
}

#[test]
fn a_connection_without_requests_has_its_time() {
    let limits = Limits { headers_timeout: Duration::from_millis(100), ..Limits::default() };
    let gateway = start(Settings { limits, ..settings() }, &Scripted::new());
    let mut stream = TcpStream::connect(address_of(&gateway)).expect("a connection");
    stream.set_read_timeout(Some(SOON)).expect("a socket");
    stream.write_all(&PREFACE[..20]).expect("written");
    assert_eq!(next(&mut stream), None, "an unfinished preface");
    // A head without an end.
    let mut stream = connect(&gateway);
    // Sooner than the library would ask for a sign of life.
    stream.set_read_timeout(Some(Duration::from_secs(15))).expect("a socket");
    stream.write_all(&frame(HEADERS, END_STREAM, 1, &head("/x/", &[]))).expect("written");
    assert!(ends(&mut stream));
}

#[test]
fn it_is_told_that_the_gateway_closes() {
    let backend = Backend::start();
    let gateway = start(settings(), &Scripted::with("shop", &backend));
    backend.hold(true);
    let mut stream = connect(&gateway);
    stream.write_all(&get("/shop/")).expect("written");
    until("it is open", || backend.seen() == 1);
    gateway.close_with(Duration::from_secs(600), || ());
    let mut is_told = false;
    let status = loop {
        match next(&mut stream).expect("an answer") {
            (GOAWAY, ..) => {
                is_told = true;
                backend.hold(false);
            }
            (HEADERS, _, _, payload) => break status_of(&payload),
            _ => {}
        }
    };
    assert!(is_told);
    assert_eq!(status, 200);
}

/// Settings of the client: one parameter.
fn setting(id: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat())
}

const INITIAL_WINDOW_SIZE: u16 = 4;

#[test]
fn an_answer_that_is_not_taken_has_its_time() {
    let backend = Backend::start();
    let limits = Limits { body_idle: Duration::from_millis(300), ..Limits::default() };
    let gateway = start(Settings { limits, ..settings() }, &Scripted::with("shop", &backend));
    let mut stream = connect(&gateway);
    // The client takes no byte of any answer, and is there all the same.
    stream.write_all(&setting(INITIAL_WINDOW_SIZE, 0)).expect("sent");
    stream.write_all(&get("/shop/")).expect("sent");
    assert_eq!(status(&mut stream), Some(200));
    let reset = loop {
        match next(&mut stream).expect("a frame") {
            (RST_STREAM, _, id, _) => break id,
            (GOAWAY, ..) => panic!("the connection ends"),
            _ => {}
        }
    };
    assert_eq!(reset, 1);
    until("the tenant is not in use", || gateway.stats().in_flight == 0);
    // The connection goes on.
    stream.write_all(&frame(PING, 0, 0, b"12345678")).expect("sent");
    while next(&mut stream).expect("a frame").0 != PING {}
}

#[test]
fn an_answer_that_is_taken_slowly_arrives() {
    let backend = Backend::start();
    let limits = Limits { body_idle: Duration::from_secs(60), ..Limits::default() };
    let gateway = start(Settings { limits, ..settings() }, &Scripted::with("shop", &backend));
    let mut stream = connect(&gateway);
    stream.write_all(&setting(INITIAL_WINDOW_SIZE, 0)).expect("sent");
    stream.write_all(&get("/shop/")).expect("sent");
    assert_eq!(status(&mut stream), Some(200));
    let mut taken = 0;
    loop {
        stream.write_all(&frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes())).expect("sent");
        let (kind, flags, _, payload) = next(&mut stream).expect("a frame");
        if kind == DATA {
            taken += payload.len();
            if flags & END_STREAM != 0 {
                break;
            }
        }
    }
    assert!(taken > 20, "{taken} bytes");
}

#[test]
fn requests_at_once_are_bounded_in_all() {
    let backend = Backend::start();
    backend.hold(true);
    let limits = Limits { connections: 2, ..Limits::default() };
    let gateway = start(Settings { limits, ..settings() }, &Scripted::with("shop", &backend));
    let heads: Vec<u8> = (0..100)
        .flat_map(|number| {
            frame(HEADERS, END_STREAM | END_HEADERS, 2 * number + 1, &head("/shop/", &[]))
        })
        .collect();
    let mut clients = [connect(&gateway), connect(&gateway)];
    for client in &mut clients {
        client.write_all(&heads).expect("sent");
    }
    // 128 more than connections, and no more.
    until("the others are refused", || gateway.stats().requests[4] == 70);
    until("the first ones are there", || backend.seen() == 130);
    backend.hold(false);
    until("all are over", || gateway.stats().in_flight == 0);
    assert_eq!(gateway.stats().requests, [0, 130, 0, 0, 70]);
}

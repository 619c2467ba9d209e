//! Frames of each kind, as RFC 9113 wants them: sections 4 and 6.

use super::outcome::*;
use super::*;

const ACK: u8 = 1;
const PUSH_PROMISE: u8 = 5;
const PADDED: u8 = 8;
const PRIORITIZED: u8 = 0x20;

/// As large as a frame may be before the other side has allowed more.
const LARGEST_FRAME: usize = 1 << 14;
const LARGEST_WINDOW: [u8; 4] = 0x7fff_ffff_u32.to_be_bytes();

#[test]
fn frames_are_read_as_the_standard_says() {
    let whole = head("/later/", &[]);
    let (begun, rest) = whole.split_at(8);
    let padded = |length: u8| [&[length][..], &whole].concat();
    let trailers = fields(&[("x-sum", "1")]);
    let refused = vec![
        ("too much data", [opened(1), frame(DATA, 0, 1, &[0; LARGEST_FRAME + 1])].concat()),
        ("too long a head", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0; LARGEST_FRAME + 1])),
        (
            "a priority in a head",
            [
                frame(HEADERS, END_STREAM, 1, begun),
                frame(PRIORITY, 0, 1, &depends_on(0)),
                frame(CONTINUATION, END_HEADERS, 1, rest),
            ]
            .concat(),
        ),
        (
            "an unknown kind in a head",
            [
                frame(HEADERS, END_STREAM, 1, begun),
                frame(0xff, 0, 1, b"x"),
                frame(CONTINUATION, END_HEADERS, 1, rest),
            ]
            .concat(),
        ),
        ("a head in a head", [frame(HEADERS, END_STREAM, 1, begun), asked(3)].concat()),
        (
            "another stream's continuation",
            [frame(HEADERS, END_STREAM, 1, begun), frame(CONTINUATION, END_HEADERS, 3, rest)]
                .concat(),
        ),
        (
            "data in a head",
            [
                frame(HEADERS, 0, 1, begun),
                frame(CONTINUATION, 0, 1, &rest[..4]),
                frame(DATA, END_STREAM, 1, b"x"),
            ]
            .concat(),
        ),
        ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 0, rest)),
        (
            "a continuation of a whole head",
            [opened(1), frame(CONTINUATION, END_HEADERS, 1, &trailers)].concat(),
        ),
        (
            "a continuation after the last one",
            [
                frame(HEADERS, 0, 1, begun),
                frame(CONTINUATION, END_HEADERS, 1, rest),
                frame(CONTINUATION, END_HEADERS, 1, &trailers),
            ]
            .concat(),
        ),
        (
            "a continuation after data",
            [opened(1), frame(DATA, 0, 1, b"x"), frame(CONTINUATION, END_HEADERS, 1, &trailers)]
                .concat(),
        ),
        ("data of the connection", frame(DATA, END_STREAM, 0, b"x")),
        ("data of padding alone", [opened(1), frame(DATA, PADDED, 1, b"\x05abcd")].concat()),
        (
            "a head of padding alone",
            frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, &padded(200)),
        ),
        ("a head of the connection", asked(0)),
        (
            "a head that depends on itself",
            frame(
                HEADERS,
                END_STREAM | END_HEADERS | PRIORITIZED,
                1,
                &[&depends_on(1)[..], &whole].concat(),
            ),
        ),
        ("a priority that depends on itself", frame(PRIORITY, 0, 1, &depends_on(1))),
        ("a priority of the connection", frame(PRIORITY, 0, 0, &depends_on(1))),
        ("a short priority", [opened(1), frame(PRIORITY, 0, 1, &[0; 4])].concat()),
        ("a reset of the connection", reset(0, 8)),
        ("a short reset", [opened(1), frame(RST_STREAM, 0, 1, &[0; 3])].concat()),
        ("an acknowledgement with settings", frame(SETTINGS, ACK, 0, &[0, 3, 0, 0, 0, 1])),
        ("settings of a stream", frame(SETTINGS, 0, 1, &[])),
        ("half a setting", frame(SETTINGS, 0, 0, &[0, 3, 0])),
        ("a push of two", setting(2, 2)),
        ("too large a window", setting(4, 1 << 31)),
        ("too small a frame", setting(5, (1 << 14) - 1)),
        ("too large a frame", setting(5, 1 << 24)),
        (
            "a push of the client's",
            [
                opened(1),
                frame(PUSH_PROMISE, END_HEADERS, 1, &[&2_u32.to_be_bytes()[..], &whole].concat()),
            ]
            .concat(),
        ),
        ("a ping of a stream", frame(PING, 0, 1, b"12345678")),
        ("a short ping", frame(PING, 0, 0, b"1234567")),
        ("a stream's going away", frame(GOAWAY, 0, 1, &[0; 8])),
        ("no more window", window(0, 0)),
        ("no more window of a stream", [opened(1), window(1, 0)].concat()),
        ("a short window", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1])),
        ("a window beyond the largest", frame(WINDOW_UPDATE, 0, 0, &LARGEST_WINDOW)),
        (
            "a stream's window beyond the largest",
            [opened(1), frame(WINDOW_UPDATE, 0, 1, &LARGEST_WINDOW)].concat(),
        ),
        (
            "windows made too large by a setting",
            [opened(1), window(1, 0x7fff_ffff - 65_535), setting(4, 65_536)].concat(),
        ),
    ];
    let taken = vec![
        ("an unknown kind", frame(0xff, 0, 0, b"12345678")),
        ("an unknown kind of a stream", [asked(1), frame(0x16, 9, 1, b"x")].concat()),
        ("unknown flags", frame(PING, 0xfe, 0, b"12345678")),
        ("the reserved bit", frame(PING, 0, 1 << 31, b"12345678")),
        ("the largest frame", [opened(1), frame(DATA, 0, 1, &[0; LARGEST_FRAME])].concat()),
        (
            "two continuations",
            [
                frame(HEADERS, END_STREAM, 1, begun),
                frame(CONTINUATION, 0, 1, &rest[..4]),
                frame(CONTINUATION, END_HEADERS, 1, &rest[4..]),
            ]
            .concat(),
        ),
        ("padded data", [opened(1), frame(DATA, PADDED, 1, b"\x02a\0\0")].concat()),
        (
            "a padded head",
            frame(
                HEADERS,
                END_STREAM | END_HEADERS | PADDED,
                1,
                &[&padded(2)[..], &[0; 2]].concat(),
            ),
        ),
        (
            "a head with a priority",
            frame(
                HEADERS,
                END_STREAM | END_HEADERS | PRIORITIZED,
                1,
                &[&depends_on(0)[..], &whole].concat(),
            ),
        ),
        ("a priority of an idle stream", frame(PRIORITY, 0, 1, &depends_on(3))),
        ("an unknown setting", setting(0xff, 1)),
        ("an answer to no ping", frame(PING, ACK, 0, b"12345678")),
        ("a reset with an unknown code", [opened(1), reset(1, 0xff)].concat()),
    ];
    check(refused, taken, |_| ());
}

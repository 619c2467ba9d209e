//! What a stream takes in each of its states: RFC 9113, sections 5.1 and 8.1.

use super::outcome::*;
use super::*;

#[test]
fn a_stream_takes_what_its_state_allows() {
    let trailers = fields(&[("x-sum", "1")]);
    let more_than_allowed: Vec<u8> = (0..129).flat_map(|number| asked(number * 2 + 1)).collect();
    let refused = vec![
        ("data of an idle stream", frame(DATA, 0, 1, b"x")),
        ("a reset of an idle stream", reset(1, 8)),
        ("a window of an idle stream", window(1, 100)),
        ("a continuation of an idle stream", frame(CONTINUATION, END_HEADERS, 1, &trailers)),
        ("data after the end", [asked(1), frame(DATA, END_STREAM, 1, b"x")].concat()),
        ("a head after the end", [asked(1), asked(1)].concat()),
        (
            "a continuation after the end",
            [asked(1), frame(CONTINUATION, END_HEADERS, 1, &trailers)].concat(),
        ),
        ("data after a reset", [opened(1), reset(1, 8), frame(DATA, END_STREAM, 1, b"x")].concat()),
        ("a head after a reset", [opened(1), reset(1, 8), asked(1)].concat()),
        (
            "a continuation after a reset",
            [opened(1), reset(1, 8), frame(CONTINUATION, END_HEADERS, 1, &trailers)].concat(),
        ),
        ("an even stream", asked(2)),
        ("a stream before the last one", [asked(5), asked(3)].concat()),
        ("more streams than are allowed", more_than_allowed),
        (
            "a second head that does not end",
            [opened(1), frame(HEADERS, END_HEADERS, 1, &trailers)].concat(),
        ),
    ];
    let taken = vec![
        // The library drops the name, which no tenant could be told in trailers.
        (
            "trailers with a method",
            [
                opened(1),
                frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields(&[(":method", "GET")])),
            ]
            .concat(),
        ),
        ("a window after the end", [asked(1), window(1, 100)].concat()),
        ("a priority after the end", [asked(1), frame(PRIORITY, 0, 1, &depends_on(0))].concat()),
        ("a reset after the end", [asked(1), reset(1, 8)].concat()),
        (
            "a priority after a reset",
            [opened(1), reset(1, 8), frame(PRIORITY, 0, 1, &depends_on(0))].concat(),
        ),
    ];
    check(refused, taken, |_| ());
}

#[test]
fn a_stream_that_is_answered_takes_nothing_more() {
    let trailers = fields(&[("x-sum", "1")]);
    let refused = vec![
        ("data", frame(DATA, END_STREAM, 1, b"x")),
        ("a head", asked(1)),
        ("a continuation", frame(CONTINUATION, END_HEADERS, 1, &trailers)),
    ];
    let taken = vec![
        ("a priority", frame(PRIORITY, 0, 1, &depends_on(0))),
        ("a window", window(1, 100)),
        ("a reset", reset(1, 8)),
    ];
    check(refused, taken, |stream| {
        stream.write_all(&get("/shop/")).expect("written");
        while !matches!(next(stream).expect("an answer"), (DATA, END_STREAM, ..)) {}
    });
}

//! Heads as RFC 7541 packs them.

use super::outcome::*;
use super::*;

#[test]
fn heads_are_unpacked_as_the_standard_says() {
    // `:method: GET`, `:scheme: http`, `:path: /later/`, `:authority: a`.
    let usual = b"\x82\x86\x04\x07/later/\x01\x01a";
    let with = |more: &[u8]| frame(HEADERS, END_HEADERS | END_STREAM, 1, &[usual, more].concat());
    let refused = vec![
        ("an index beyond the tables", with(&[0xc6])),
        ("a name beyond the tables", with(b"\x7f\x07\x01x")),
        ("the index 0", with(&[0x80])),
        ("a smaller table at the end", with(&[0x20])),
        (
            "a table that was not allowed",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[&[0x3f, 0xe2, 0x1f][..], usual].concat()),
        ),
        ("a short code with too long an end", with(b"\x00\x03x-a\x82\x1f\xff")),
        ("a short code that ends in zeros", with(b"\x00\x03x-a\x81\x18")),
        ("a short code with its end sign", with(b"\x00\x03x-a\x84\xff\xff\xff\xff")),
        ("a text longer than the head", with(b"\x00\x03x-a\x7f\x00x")),
        ("a length without an end", with(b"\x00\x7f\xff\xff\xff\xff\xff\xff\xff\xff")),
    ];
    let taken = vec![
        ("a field of the table", with(&[0x90])),
        ("a name of the table, indexed", with(b"\x7a\x01x")),
        ("a name of the table", with(b"\x0f\x2b\x01x")),
        ("a name of the table, never indexed", with(b"\x1f\x2b\x01x")),
        ("a new name, indexed, and it once more", with(b"\x40\x03x-a\x01x\xbe")),
        ("a new name, never indexed", with(b"\x10\x03x-a\x01x")),
        ("a short code", with(b"\x00\x03x-a\x82\x18\xc7")),
        (
            "a smaller table",
            frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                1,
                &[&[0x20, 0x3f, 0xe1, 0x1f][..], usual].concat(),
            ),
        ),
    ];
    check(refused, taken, |_| ());
}

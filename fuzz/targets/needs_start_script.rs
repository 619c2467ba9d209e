//! A tenant's `package.json`, which is read before its program runs. No content makes the reader
//! panic. All JSON is read, and its strings are those that another reader finds, also in UTF-16
//! and with what Bun allows around it.

#![no_main]

use fuzz::bun_json::{Value, parse};
use libfuzzer_sys::fuzz_target;
use serde_json::Value as Json;

fuzz_target!(|text: &[u8]| {
    let read = parse(text);
    // Of a key that occurs twice, `serde_json` keeps one.
    let Ok(json) = serde_json::from_slice::<Json>(text) else { return };
    let read = read.expect("JSON is read");
    assert!(is_same(&read, &json), "{read:?} is {json}");
    let around = [b"\xef\xbb\xbf// \xff\n/**/", text, b"//\n,"].concat();
    assert_eq!(parse(&around).as_ref(), Ok(&read));
    let text = str::from_utf8(text).expect("JSON is UTF-8");
    let utf16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(parse(&utf16).as_ref(), Ok(&read));
});

fn is_same(read: &Value, json: &Json) -> bool {
    match (read, json) {
        (Value::Object(members), Json::Object(others)) => others.iter().all(|(key, other)| {
            let last = members.iter().rev().find(|(name, _)| name == key);
            last.is_some_and(|(_, value)| is_same(value, other))
        }),
        (Value::Text(text), Json::String(other)) => text == other,
        (Value::Other, Json::Object(_) | Json::String(_)) => false,
        (Value::Other, _) => true,
        _ => false,
    }
}

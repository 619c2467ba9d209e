//! Trace contexts: `traceparent`, as the W3C recommendation has it.

use http::{HeaderMap, HeaderValue};
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

const TRACEPARENT: &str = "traceparent";

/// The context of a request, if it has one that can be read.
pub(crate) fn of(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let value = values.next()?.to_str().ok()?;
    (values.next().is_none() && is_valid(value)).then(|| value.to_owned())
}

/// Gives the request this context. One that cannot be read is replaced, and what belongs to it goes
/// with it.
pub(crate) fn set(headers: &mut HeaderMap, traceparent: &str) {
    if let Ok(value) = HeaderValue::from_str(traceparent) {
        if of(headers).is_none() {
            headers.remove("tracestate");
        }
        headers.insert(TRACEPARENT, value);
    }
}

/// A new context, of a trace that is recorded.
pub(crate) fn begun() -> String {
    format!("00-{:032x}-{:016x}-01", random().max(1), (random() as u64).max(1))
}

/// A number that differs each time. It keeps no secret.
pub(crate) fn random() -> u128 {
    static SEED: OnceLock<RandomState> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let seed = SEED.get_or_init(RandomState::new);
    let half = || u128::from(seed.hash_one(NEXT.fetch_add(1, Ordering::Relaxed)));
    half() << 64 | half()
}

/// The number of a request that waits: each has its own.
pub(crate) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Version, trace, parent and flags: lower-case hexadecimal digits, and no trace or parent that is
/// all zeros. Later versions may have more after it.
pub(crate) fn is_valid(text: &str) -> bool {
    let mut parts = text.split('-');
    let is_hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|byte| b"0123456789abcdef".contains(&byte))
    };
    let is_id = |part: &str, digits| is_hex(part, digits) && part.bytes().any(|byte| byte != b'0');
    let (Some(version), Some(trace), Some(parent), Some(flags)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let has_more = parts.next().is_some();
    is_hex(version, 2)
        && version != "ff"
        && is_id(trace, 32)
        && is_id(parent, 16)
        && is_hex(flags, 2)
        && !(version == "00" && has_more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_read_or_it_is_none() {
        let valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(is_valid(valid));
        assert!(is_valid("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"));
        for text in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert!(!is_valid(text), "{text}");
        }
        let (one, other) = (begun(), begun());
        assert!(is_valid(&one) && is_valid(&other) && one != other);
    }
}

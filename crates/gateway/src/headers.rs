//! Fields that are for one hop, and are not passed on.

use http::HeaderMap;
use http::header::{CONNECTION, HeaderName, HeaderValue, TE, TRAILER};

pub(crate) const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
pub(crate) const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
pub(crate) const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Which of these fields are among the header's. Of a few fields each is looked at in less time than
/// it takes to search for one that is not there.
pub(crate) fn which<const N: usize>(headers: &HeaderMap, fields: [HeaderName; N]) -> [bool; N] {
    let mut found = [false; N];
    for name in headers.keys() {
        for (found, field) in found.iter_mut().zip(&fields) {
            *found |= name == field;
        }
    }
    found
}

/// Takes off what is for one hop, and what `Connection` names. `Trailer` stays, as trailers are
/// passed on, and `TE` where it says that they are wanted.
pub fn take_off_hop_fields(headers: &mut HeaderMap) {
    // One look at the fields there are, instead of a search for each of those there may be.
    let (mut has_connection, mut has_others) = (false, false);
    for (name, value) in headers.iter().filter(|(name, _)| is_for_one_hop(name)) {
        match name == CONNECTION && names_nothing(value) {
            true => has_connection = true,
            false => has_others = true,
        }
    }
    if !has_others {
        if has_connection {
            headers.remove(CONNECTION);
        }
        return;
    }
    let wants_trailers =
        elements(headers, TE).any(|element| element.eq_ignore_ascii_case("trailers"));
    let named: Vec<HeaderName> = elements(headers, CONNECTION)
        .filter_map(|name| name.parse().ok())
        .filter(|name| *name != TRAILER)
        .collect();
    for name in named {
        headers.remove(name);
    }
    while let Some(name) = headers.keys().find(|name| is_for_one_hop(name)).cloned() {
        headers.remove(name);
    }
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

fn is_for_one_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// This value of `Connection` says nothing but whether the connection is kept.
fn names_nothing(value: &HeaderValue) -> bool {
    let value = value.as_bytes();
    value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
}

/// The elements of the lists that fields of this name are.
pub(crate) fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_are_there_are_found() {
        let mut headers = HeaderMap::new();
        assert_eq!(which(&headers, [TE, CONNECTION]), [false, false]);
        headers.append(TE, HeaderValue::from_static("trailers"));
        headers.append("x-other", HeaderValue::from_static("1"));
        assert_eq!(which(&headers, [TE, CONNECTION]), [true, false]);
        assert_eq!(
            which(&headers, [CONNECTION, HeaderName::from_static("x-other")]),
            [false, true]
        );
    }

    #[test]
    fn what_is_for_one_hop_is_taken_off() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip, trailers"),
            ("trailer", "x-sum"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AA"),
            ("proxy-authorization", "x"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        take_off_hop_fields(&mut headers);
        let mut left: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
            .collect();
        left.sort();
        assert_eq!(left, ["te: trailers", "trailer: x-sum", "x-other: 1"]);
    }

    #[test]
    fn a_connection_that_is_kept_or_not_is_all_that_is_taken_off() {
        for values in [&["keep-alive"][..], &["Close"], &["close", "keep-alive"]] {
            let mut headers = HeaderMap::new();
            headers.append("x-other", HeaderValue::from_static("1"));
            for value in values {
                headers.append(CONNECTION, HeaderValue::from_static(value));
            }
            take_off_hop_fields(&mut headers);
            assert_eq!(headers.keys().collect::<Vec<_>>(), ["x-other"], "{values:?}");
        }
        let mut headers = HeaderMap::new();
        headers.append(CONNECTION, HeaderValue::from_static("close"));
        headers.append(CONNECTION, HeaderValue::from_static("x-other"));
        headers.append("x-other", HeaderValue::from_static("1"));
        take_off_hop_fields(&mut headers);
        assert!(headers.is_empty());
    }
}

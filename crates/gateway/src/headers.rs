//! Fields that are for one hop, and are not passed on.

use http::HeaderMap;
use http::header::{CONNECTION, HeaderName, HeaderValue, TE, TRAILER};

/// Takes off what is for one hop, and what `Connection` names. `Trailer` stays, as trailers are
/// passed on, and `TE` where it says that they are wanted.
pub fn take_off_hop_fields(headers: &mut HeaderMap) {
    // One look at the names there are, instead of a search for each of those there may be.
    if !headers.keys().any(is_for_one_hop) {
        return;
    }
    let wants_trailers =
        elements(headers, TE).any(|element| element.eq_ignore_ascii_case("trailers"));
    let named: Vec<HeaderName> = elements(headers, CONNECTION)
        .filter(|element| !is_option(element))
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
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Elements of `Connection` that name no further field.
fn is_option(element: &str) -> bool {
    element.eq_ignore_ascii_case("keep-alive") || element.eq_ignore_ascii_case("close")
}

fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}

//! The field `Forwarded` (RFC 7239), as proxies before the gateway write it.

use http::header::{FORWARDED, HeaderMap};
use std::net::{IpAddr, SocketAddr};

/// What one proxy says of the request that it got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hop {
    /// From whom: an address, or a word for one that is not told.
    pub from: String,
    pub proto: Option<String>,
    pub host: Option<String>,
}

/// The hops, that next to the client first; `None` if one cannot be read.
pub(super) fn hops(headers: &HeaderMap) -> Option<Vec<Hop>> {
    let mut hops = Vec::new();
    for value in headers.get_all(FORWARDED) {
        for element in parts(value.to_str().ok()?, ',')? {
            hops.push(hop(element)?);
        }
    }
    Some(hops)
}

/// What the gateway itself adds.
pub(super) fn element(peer: IpAddr, is_tls: bool) -> String {
    let proto = if is_tls { "https" } else { "http" };
    match peer {
        IpAddr::V4(peer) => format!("for={peer};proto={proto}"),
        IpAddr::V6(peer) => format!("for=\"[{peer}]\";proto={proto}"),
    }
}

fn hop(element: &str) -> Option<Hop> {
    let mut hop = Hop { from: "unknown".to_owned(), ..Hop::default() };
    for pair in parts(element, ';')? {
        let (name, value) = pair.split_once('=')?;
        let value = unquoted(value)?;
        match name.to_ascii_lowercase().as_str() {
            "for" => hop.from = without_port(&value),
            "proto" => hop.proto = Some(value),
            "host" => hop.host = Some(value),
            _ => {}
        }
    }
    Some(hop)
}

/// What stands between separators that are not quoted; `None` if a quote has no end.
fn parts(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let parts = text.split(|letter| {
        let is_end = letter == separator && !is_quoted;
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = is_quoted,
            '"' => is_quoted = !is_quoted,
            _ => {}
        }
        is_end
    });
    let parts = parts.map(str::trim).filter(|part| !part.is_empty()).collect();
    (!is_quoted).then_some(parts)
}

fn unquoted(value: &str) -> Option<String> {
    let Some(quoted) = value.strip_prefix('"') else {
        let is_token = |letter: char| !matches!(letter, '"' | '\\' | '(' | ')' | ' ' | '\t');
        return (!value.is_empty() && value.chars().all(is_token)).then(|| value.to_owned());
    };
    let mut text = String::new();
    let mut letters = quoted.strip_suffix('"')?.chars();
    while let Some(letter) = letters.next() {
        text.push(if letter == '\\' { letters.next()? } else { letter });
    }
    Some(text)
}

/// `192.0.2.1:80` and `[2001:db8::1]:80` without what is not the address.
fn without_port(node: &str) -> String {
    let bare = node.strip_prefix('[').and_then(|node| node.strip_suffix(']'));
    if let Ok(address) = bare.unwrap_or(node).parse::<IpAddr>() {
        return address.to_string();
    }
    node.parse().map_or_else(|_| node.to_owned(), |at: SocketAddr| at.ip().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(values: &[&'static str]) -> Option<Vec<Hop>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(FORWARDED, HeaderValue::from_static(value));
        }
        hops(&headers)
    }

    fn hop(from: &str, proto: Option<&str>, host: Option<&str>) -> Hop {
        let [proto, host] = [proto, host].map(|text| text.map(str::to_owned));
        Hop { from: from.to_owned(), proto, host }
    }

    #[test]
    fn hops_are_read() {
        let given = [
            "for=192.0.2.1:80;Proto=https;host=\"a.b:1\", For=\"[2001:db8::1]:4711\"",
            "for=_hidden;by=10.0.0.1 , for=\"x,;\\\"y\" ,proto=http",
        ];
        let expected = [
            hop("192.0.2.1", Some("https"), Some("a.b:1")),
            hop("2001:db8::1", None, None),
            hop("_hidden", None, None),
            hop("x,;\"y", None, None),
            hop("unknown", Some("http"), None),
        ];
        assert_eq!(read(&given), Some(expected.to_vec()));
        assert_eq!(read(&[]), Some(Vec::new()));
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        for value in ["for=\"1.2.3.4", "for", "for=", "for=a b", "for=\"a\"b", "for=\"a\\\""] {
            assert_eq!(read(&["for=1.2.3.4", value]), None, "{value}");
        }
    }

    #[test]
    fn what_is_added_can_be_read() {
        for peer in ["10.0.0.1", "fd00::1"] {
            let mut headers = HeaderMap::new();
            let element = element(peer.parse().expect("an address"), true);
            headers.insert(FORWARDED, element.parse().expect("a value"));
            assert_eq!(hops(&headers), Some(vec![hop(peer, Some("https"), None)]));
        }
    }
}

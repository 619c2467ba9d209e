//! What a tenant is told of the client: `X-Forwarded-*` and `Forwarded`, which only the gateway, or
//! a proxy before it that it trusts, may write.

mod field;

use crate::peer::{is_ours, take_off_ours};
use field::Hop;
use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use std::net::IpAddr;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOSTS: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl Cidr {
    /// Reads `10.0.0.0/8`, `fd00::/8`, or one address.
    pub fn parse(text: &str) -> Option<Cidr> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let is_number = |bits: &&str| bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = match bits {
            Some(bits) => {
                Some(bits).filter(is_number)?.parse().ok().filter(|bits| *bits <= most)?
            }
            None => most,
        };
        Some(Cidr { address, bits })
    }

    /// Whether the address is in the range. An IPv4 address that is written as an IPv6 one counts
    /// as what it is.
    pub fn has(&self, address: IpAddr) -> bool {
        let bits_of = |address: IpAddr| match address.to_canonical() {
            IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, true),
            IpAddr::V6(address) => (address.to_bits(), false),
        };
        let ((ours, is_ours_4), (theirs, is_theirs_4)) = (bits_of(self.address), bits_of(address));
        let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
        is_ours_4 == is_theirs_4 && (ours ^ theirs) & mask == 0
    }
}

/// What tenants are told of a client's connection, as the values of fields: they are made once.
#[derive(Clone, Debug)]
pub struct Client {
    /// The address at the other end.
    peer: IpAddr,
    peer_value: HeaderValue,
    is_tls: bool,
    /// The port that it came in at; `None` for a socket without one.
    port_value: Option<HeaderValue>,
}

impl Client {
    /// A client at this address, whose connection came in at this port.
    pub fn new(peer: IpAddr, is_tls: bool, port: Option<u16>) -> Client {
        let peer = peer.to_canonical();
        let peer_value = HeaderValue::try_from(peer.to_string());
        let peer_value = peer_value.unwrap_or(HeaderValue::from_static("unknown"));
        Client { peer, peer_value, is_tls, port_value: port.map(HeaderValue::from) }
    }
}

/// What a tenant is told with a request.
#[derive(Debug)]
pub struct Words<'a> {
    /// Who is at the other end of the request's connection.
    pub client: &'a Client,
    /// The host that it is for.
    pub host: HeaderValue,
    /// What was taken off the path.
    pub prefix: Option<String>,
    /// Whose words are believed.
    pub trusted: &'a [Cidr],
}

impl Words<'_> {
    /// Writes it. A client's own words are dropped, and kept only of a peer in one of the ranges, to
    /// which ours are added then.
    pub fn tell(&self, headers: &mut HeaderMap) {
        let Words { client, host, prefix, trusted } = self;
        // One look at the names there are, instead of a search for each of those there may be.
        let has_words = headers.keys().any(is_word_on_clients);
        if has_words && trusted.iter().any(|range| range.has(client.peer)) {
            take_off_ours(headers);
            keep_given(headers, client, trusted);
            headers.remove(REAL_IP);
            let mut hops: Vec<&str> = given_for(headers).collect();
            hops.extend(client.peer_value.to_str());
            let hops = hops.join(", ");
            set(headers, FOR, hops);
        } else {
            if has_words {
                take_off_all(headers);
            }
            headers.insert(FOR, client.peer_value.clone());
        }
        let lacks =
            |headers: &HeaderMap, name: HeaderName| !has_words || !headers.contains_key(name);
        if lacks(headers, PROTO) {
            let proto = if client.is_tls { "https" } else { "http" };
            headers.insert(PROTO, HeaderValue::from_static(proto));
        }
        if lacks(headers, HOSTS) {
            headers.insert(HOSTS, host.clone());
        }
        if lacks(headers, PORT)
            && let Some(port) = client.port_value.clone()
        {
            headers.insert(PORT, port);
        }
        if let Some(prefix) = prefix {
            let outer = headers.get(PREFIX).and_then(|value| value.to_str().ok()).unwrap_or("");
            let whole = format!("{}{prefix}", outer.trim_end_matches('/'));
            set(headers, PREFIX, whole);
        }
    }
}

/// Keeps what a trusted peer says. Many proxies write `X-Forwarded-For` and pass on a `Forwarded`
/// of the client's, so that counts only without the other: then the same is told in both.
fn keep_given(headers: &mut HeaderMap, client: &Client, trusted: &[Cidr]) {
    let hops = believed_hops(headers);
    if hops.is_empty() {
        headers.remove(FORWARDED);
        return;
    }
    let ours = field::element(client.peer, client.is_tls);
    if let Ok(ours) = HeaderValue::try_from(ours) {
        headers.append(FORWARDED, ours);
    }
    let client = client_among(hops.iter().map(|hop| hop.from.as_str()), trusted).map(|(at, _)| at);
    if let Some(Hop { proto, host, .. }) = client.and_then(|at| hops.get(at)) {
        for (name, given) in [(PROTO, proto), (HOSTS, host)] {
            if let Some(given) = given
                && !headers.contains_key(&name)
            {
                set(headers, name, given.clone());
            }
        }
    }
    let hops: Vec<String> = hops.into_iter().map(|hop| hop.from).collect();
    set(headers, FOR, hops.join(", "));
}

/// Whether the field says whom a request is from, as a proxy does, or as another host's gateway does.
/// Also those `X-Forwarded-*` that the gateway does not write: frameworks believe `-Scheme`, `-Ssl`
/// and others as they do `-Proto`.
fn is_word_on_clients(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-forwarded-") || matches!(name, "x-real-ip" | "forwarded") || is_ours(name)
}

/// The address of the client: the last one that no trusted peer has vouched for.
pub fn address_of(headers: &HeaderMap, peer: IpAddr, trusted: &[Cidr]) -> IpAddr {
    let peer = peer.to_canonical();
    if !trusted.iter().any(|range| range.has(peer)) {
        return peer;
    }
    let hops = believed_hops(headers);
    let client = match hops.is_empty() {
        true => {
            let hops: Vec<&str> = given_for(headers).flat_map(|value| value.split(',')).collect();
            client_among(hops.into_iter().map(str::trim), trusted)
        }
        false => client_among(hops.iter().map(|hop| hop.from.as_str()), trusted),
    };
    client.map_or(peer, |(_, address)| address.to_canonical())
}

/// Which hop is the client, and its address: the last one that is not trusted. What stands before
/// a hop that is no address was vouched for by nobody.
fn client_among<'a>(
    hops: impl DoubleEndedIterator<Item = &'a str> + ExactSizeIterator,
    trusted: &[Cidr],
) -> Option<(usize, IpAddr)> {
    let mut client = None;
    for (at, hop) in hops.enumerate().rev() {
        let Ok(address) = hop.parse() else { break };
        client = Some((at, address));
        if !trusted.iter().any(|range| range.has(address)) {
            break;
        }
    }
    client
}

/// What `Forwarded` says, where it counts.
fn believed_hops(headers: &HeaderMap) -> Vec<Hop> {
    if headers.contains_key(FOR) || !headers.contains_key(FORWARDED) {
        return Vec::new();
    }
    field::hops(headers).unwrap_or_default()
}

fn given_for(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let given = headers.get_all(FOR).iter().filter_map(|value| value.to_str().ok());
    given.filter(|hops| !hops.is_empty())
}

fn take_off_all(headers: &mut HeaderMap) {
    while let Some(name) = headers.keys().find(|name| is_word_on_clients(name)).cloned() {
        headers.remove(name);
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn told(given: &[(&'static str, &'static str)], peer: &str, trusted: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let trusted: Vec<Cidr> = trusted.iter().filter_map(|text| Cidr::parse(text)).collect();
        let client = Client::new(ip(peer), true, Some(443));
        let host = HeaderValue::from_static("a.example");
        let prefix = Some("/shop".to_owned());
        Words { client: &client, host, prefix, trusted: &trusted }.tell(&mut headers);
        let mut lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
            .collect();
        lines.sort();
        lines
    }

    const FORGED: [(&str, &str); 10] = [
        ("host", "a.example"),
        ("forwarded", "for=6.6.6.6"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-for", "7.7.7.7"),
        ("x-forwarded-host", "evil"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", "1"),
        ("x-forwarded-scheme", "http"),
        ("x-forwarded-ssl", "on"),
        ("x-real-ip", "6.6.6.6"),
    ];

    #[test]
    fn a_clients_own_words_are_replaced() {
        let expected = [
            "host: a.example",
            "x-forwarded-for: 10.0.0.9",
            "x-forwarded-host: a.example",
            "x-forwarded-port: 443",
            "x-forwarded-prefix: /shop",
            "x-forwarded-proto: https",
        ];
        assert_eq!(told(&FORGED, "10.0.0.9", &[]), expected);
        assert_eq!(told(&FORGED, "::ffff:10.0.0.9", &["10.1.0.0/16"]), expected);
    }

    #[test]
    fn a_trusted_peers_words_are_kept_and_ours_added() {
        let expected = [
            "host: a.example",
            "x-forwarded-for: 6.6.6.6, 7.7.7.7, 10.0.0.9",
            "x-forwarded-host: evil",
            "x-forwarded-port: 1",
            "x-forwarded-prefix: /shop",
            "x-forwarded-proto: http",
            "x-forwarded-scheme: http",
            "x-forwarded-ssl: on",
        ];
        assert_eq!(told(&FORGED, "10.0.0.9", &["10.0.0.0/8"]), expected);
    }

    #[test]
    fn a_trusted_peers_forwarded_counts_where_there_is_no_other() {
        let forwarded =
            ("forwarded", "for=6.6.6.6;proto=https, for=\"[fd01::7]:1\";host=b;proto=http");
        let expected = [
            "forwarded: for=10.0.0.9;proto=https",
            "forwarded: for=6.6.6.6;proto=https, for=\"[fd01::7]:1\";host=b;proto=http",
            "host: a.example",
            "x-forwarded-for: 6.6.6.6, fd01::7, 10.0.0.9",
            "x-forwarded-host: b",
            "x-forwarded-port: 443",
            "x-forwarded-prefix: /shop",
            "x-forwarded-proto: http",
        ];
        assert_eq!(
            told(&[("host", "a.example"), forwarded], "10.0.0.9", &["10.0.0.0/8"]),
            expected
        );
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED, HeaderValue::from_static(forwarded.1));
        let trusted = ["10.0.0.0/8", "fd01::/16"].map(|text| Cidr::parse(text).expect(text));
        assert_eq!(address_of(&headers, ip("10.0.0.9"), &trusted), ip("6.6.6.6"));
        assert_eq!(address_of(&headers, ip("10.0.0.9"), &trusted[..1]), ip("fd01::7"));
        assert_eq!(address_of(&headers, ip("9.9.9.9"), &trusted), ip("9.9.9.9"));
        headers.insert(FORWARDED, HeaderValue::from_static("for=6.6.6.6, for=\"nonsense"));
        assert_eq!(address_of(&headers, ip("10.0.0.9"), &trusted), ip("10.0.0.9"));
        let unread = [("forwarded", "for=\"nonsense")];
        let lines = told(&unread, "10.0.0.9", &["10.0.0.0/8"]);
        assert!(!lines.iter().any(|line| line.starts_with("forwarded")), "{lines:?}");
    }

    #[test]
    fn the_clients_address_is_the_last_that_nothing_vouches_for() {
        let mut headers = HeaderMap::new();
        headers.insert(FOR, HeaderValue::from_static("6.6.6.6, 1.2.3.4, 10.0.0.2"));
        let trusted = [Cidr::parse("10.0.0.0/8").expect("a range")];
        assert_eq!(address_of(&headers, ip("10.0.0.1"), &trusted), ip("1.2.3.4"));
        assert_eq!(address_of(&headers, ip("9.9.9.9"), &trusted), ip("9.9.9.9"));
        headers.insert(FOR, HeaderValue::from_static("6.6.6.6, nonsense"));
        assert_eq!(address_of(&headers, ip("10.0.0.1"), &trusted), ip("10.0.0.1"));
    }

    #[test]
    fn ranges_are_read_and_compared() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("0.0.0.0/0", "1.2.3.4", "::1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::1", "::1", "127.0.0.1"),
            ("192.168.1.128/25", "::ffff:192.168.1.200", "192.168.1.127"),
        ] {
            let range = Cidr::parse(range).expect(range);
            assert!(range.has(ip(inside)), "{inside}");
            assert!(!range.has(ip(outside)), "{outside}");
        }
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0/8",
            "::/129",
            "a/8",
            "10.0.0.0/",
            "10.0.0.0/+8",
        ] {
            assert_eq!(Cidr::parse(text), None, "{text}");
        }
    }
}

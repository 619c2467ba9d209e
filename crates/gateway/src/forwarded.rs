//! What a tenant is told of the client: `X-Forwarded-*` and `Forwarded`, which only the gateway, or
//! a proxy before it that it trusts, may write.

use http::header::{FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue};
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
    proto_value: HeaderValue,
    /// The port that it came in at; `None` for a socket without one.
    port_value: Option<HeaderValue>,
}

impl Client {
    /// A client at this address, whose connection came in at this port.
    pub fn new(peer: IpAddr, is_tls: bool, port: Option<u16>) -> Client {
        let peer_value = HeaderValue::try_from(peer.to_canonical().to_string());
        Client {
            peer,
            peer_value: peer_value.unwrap_or(HeaderValue::from_static("unknown")),
            proto_value: HeaderValue::from_static(if is_tls { "https" } else { "http" }),
            port_value: port.map(HeaderValue::from),
        }
    }
}

/// Writes what the tenant is told, with what was taken off the path. A client's own words are
/// dropped, and kept only of a peer in one of the ranges, to which ours are added then.
pub fn tell(headers: &mut HeaderMap, client: &Client, prefix: Option<&str>, trusted: &[Cidr]) {
    // One look at the names there are, instead of a search for each of those there may be.
    let has_words = headers.keys().any(is_word_on_clients);
    let mut hops = String::new();
    if has_words && trusted.iter().any(|range| range.has(client.peer)) {
        let given = headers.get_all(FOR).iter().filter_map(|value| value.to_str().ok());
        for hop in given.filter(|hop| !hop.is_empty()) {
            hops.push_str(hop);
            hops.push_str(", ");
        }
    } else if has_words {
        for name in [&PROTO, &HOSTS, &PORT, &PREFIX] {
            headers.remove(name);
        }
    }
    if has_words {
        headers.remove(REAL_IP);
        headers.remove(FORWARDED);
    }
    match hops.is_empty() {
        true => drop(headers.insert(FOR, client.peer_value.clone())),
        false => set(headers, FOR, hops + client.peer_value.to_str().unwrap_or("")),
    }
    let lacks = |headers: &HeaderMap, name: HeaderName| !has_words || !headers.contains_key(name);
    if lacks(headers, PROTO) {
        headers.insert(PROTO, client.proto_value.clone());
    }
    if lacks(headers, HOSTS)
        && let Some(host) = headers.get(HOST).cloned()
    {
        headers.insert(HOSTS, host);
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

/// Whether the field says whom a request is from, as a proxy does.
fn is_word_on_clients(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-forwarded-") || matches!(name, "x-real-ip" | "forwarded")
}

/// The address of the client: the last one that no trusted peer has vouched for.
pub fn address_of(headers: &HeaderMap, peer: IpAddr, trusted: &[Cidr]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|range| range.has(address));
    if !is_trusted(peer) {
        return peer.to_canonical();
    }
    let hops = headers.get_all(FOR).iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = hops.flat_map(|value| value.split(',')).map(str::trim).collect();
    let mut address = peer;
    for hop in hops.into_iter().rev() {
        let Ok(hop) = hop.parse() else { break };
        address = hop;
        if !is_trusted(hop) {
            break;
        }
    }
    address.to_canonical()
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
        tell(&mut headers, &client, Some("/shop"), &trusted);
        let mut lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
            .collect();
        lines.sort();
        lines
    }

    const FORGED: [(&str, &str); 8] = [
        ("host", "a.example"),
        ("forwarded", "for=6.6.6.6"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-for", "7.7.7.7"),
        ("x-forwarded-host", "evil"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", "1"),
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
        ];
        assert_eq!(told(&FORGED, "10.0.0.9", &["10.0.0.0/8"]), expected);
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

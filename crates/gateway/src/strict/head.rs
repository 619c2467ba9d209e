//! The head of a request: its line, and the fields that say whom it is for and where it ends.

use super::HeadLimits;
use super::fields::{self, Field, all, is_token};
use crate::peer::is_ours_as_sent;
use crate::refusal::{Refusal, Why};

/// What the gateway has to know of a head before it is parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Where it ends.
    pub framing: Framing,
    /// It asks for another protocol, such as that of WebSockets.
    pub asks_for_upgrade: bool,
}

/// Where the request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// With its head.
    None,
    /// After so many bytes of body.
    Length(u64),
    /// With the last chunk of its body.
    Chunks,
}

/// Names that programs which read `_` as `-`, as many do, would take for those of fields that
/// decide where a request ends, whom it is for, or whom it is from.
const NEVER_WITH_UNDERSCORE: [&str; 9] = [
    "connection",
    "content-length",
    "forwarded",
    "host",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "x-real-ip",
];

/// Which bytes may be in the name of a host.
const IN_NAMES: [bool; 256] = fields::alphanumeric_or(b"-._");

/// The longest method; longer ones than those that are registered are no methods.
const METHOD_BYTES_MAX: usize = 32;

/// Refuses a head by its first bytes, however many of them are here.
pub fn check_start(bytes: &[u8]) -> Result<(), Refusal> {
    let word = bytes.iter().position(|byte| *byte == b' ').unwrap_or(bytes.len());
    let method = &bytes[..word];
    if word > METHOD_BYTES_MAX || (word > 0 && !is_token(method)) || bytes.first() == Some(&b' ') {
        return Err(Refusal::new(400, Why::RequestLine));
    }
    Ok(())
}

impl Head {
    /// Reads a head, with its last empty line.
    pub fn parse(bytes: &[u8], limits: HeadLimits) -> Result<Head, Refusal> {
        let bytes = &bytes[..bytes.len() - 2];
        let mut lines = fields::lines(bytes);
        let request = lines.next().unwrap_or(Err(Refusal::new(400, Why::RequestLine)))?;
        let line = RequestLine::parse(request)?;
        let mut found = Found::default();
        for (index, text) in lines.enumerate() {
            if index >= limits.fields {
                return Err(Refusal::new(431, Why::TooManyFields));
            }
            found.take(fields::parse(text?)?)?;
        }
        if found.has_underscore || !found.named.is_empty() {
            let names = names_in(bytes);
            found.check_named(&names)?;
            if found.has_underscore {
                refuse_twins(&names)?;
            }
        }
        found.check_host(&line)?;
        let framing = found.framing(&line)?;
        // Without `Connection: Upgrade` the field is for the hop before, and is taken off. So is
        // an offer of HTTP/2, which the gateway does not take up: such a request is one of HTTP/1.
        let offers_http2 = found.upgrade.is_some_and(is_http2_offer);
        if found.has_http2_settings && !offers_http2 {
            return Err(Refusal::new(400, Why::Http2Upgrade));
        }
        let asks_for_upgrade = found.upgrade.is_some() && found.is_upgrade_named && !offers_http2;
        if asks_for_upgrade && framing != Framing::None && framing != Framing::Length(0) {
            return Err(Refusal::new(400, Why::UpgradeWithBody));
        }
        if asks_for_upgrade && !line.is_1_1 {
            return Err(Refusal::new(400, Why::UpgradeIn10));
        }
        let framing = if asks_for_upgrade { Framing::None } else { framing };
        Ok(Head { framing, asks_for_upgrade })
    }
}

struct RequestLine<'a> {
    target: &'a [u8],
    is_1_1: bool,
}

impl RequestLine<'_> {
    fn parse(line: &[u8]) -> Result<RequestLine<'_>, Refusal> {
        let bad = |why| Err(Refusal::new(400, why));
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return bad(Why::RequestLine);
        };
        if !is_token(method) || method.len() > METHOD_BYTES_MAX {
            return bad(Why::RequestLine);
        }
        if method == b"CONNECT" {
            return Err(Refusal::new(405, Why::Connect));
        }
        let is_1_1 = match version {
            b"HTTP/1.1" => true,
            b"HTTP/1.0" => false,
            _ if version.starts_with(b"HTTP/") => return Err(Refusal::new(505, Why::Version)),
            _ => return bad(Why::RequestLine),
        };
        let is_visible = all(target, |byte| byte > b' ' && byte != 0x7f && byte != b'#');
        let is_origin = target.starts_with(b"/");
        let is_asterisk = target == b"*" && method == b"OPTIONS";
        if !is_visible || !(is_origin || is_asterisk || authority(target).is_some()) {
            return bad(Why::Target);
        }
        Ok(RequestLine { target, is_1_1 })
    }
}

/// The authority of an absolute target, `http://authority/path`.
fn authority(target: &[u8]) -> Option<&[u8]> {
    let after = |scheme: &str| {
        let start = target.get(..scheme.len())?;
        start.eq_ignore_ascii_case(scheme.as_bytes()).then(|| &target[scheme.len()..])
    };
    let rest = after("http://").or_else(|| after("https://"))?;
    let end = rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len());
    (end > 0).then(|| &rest[..end])
}

/// The fields that count here.
#[derive(Default)]
struct Found<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    is_chunked: bool,
    upgrade: Option<&'a [u8]>,
    is_upgrade_named: bool,
    /// What `Connection` names besides the fields that are for one hop.
    named: Vec<&'a [u8]>,
    has_http2_settings: bool,
    has_underscore: bool,
}

impl<'a> Found<'a> {
    fn take(&mut self, field: Field<'a>) -> Result<(), Refusal> {
        let bad = |why| Err(Refusal::new(400, why));
        self.has_underscore |= field.name.contains(&b'_');
        if field.is("host") {
            if self.host.replace(field.value).is_some() {
                return bad(Why::TwoHosts);
            }
        } else if field.is("content-length") {
            let Some(length) = number(field.value) else { return bad(Why::Length) };
            if self.length.replace(length).is_some() {
                return bad(Why::TwoLengths);
            }
        } else if field.is("transfer-encoding") {
            let is_first = !std::mem::replace(&mut self.is_chunked, true);
            if !is_first || !field.value.eq_ignore_ascii_case(b"chunked") {
                return bad(Why::Encoding);
            }
        } else if field.is("upgrade") {
            if self.upgrade.replace(field.value).is_some() || field.value.is_empty() {
                return bad(Why::Upgrade);
            }
        } else if field.is("connection") {
            self.connection(field)?;
        } else if field.is("http2-settings")
            && std::mem::replace(&mut self.has_http2_settings, true)
        {
            return bad(Why::Http2Upgrade);
        }
        Ok(())
    }

    /// A field that `Connection` names is taken off on the way. The ones that decide anything must
    /// not be, and of those that are there only those for one hop may be.
    fn connection(&mut self, field: Field<'a>) -> Result<(), Refusal> {
        const NEVER_TAKEN_OFF: [&str; 6] =
            ["authorization", "content-length", "cookie", "host", "transfer-encoding", "forwarded"];
        const FOR_ONE_HOP: [&str; 7] = [
            "close",
            "http2-settings",
            "keep-alive",
            "proxy-connection",
            "te",
            "trailer",
            "upgrade",
        ];
        for element in field.elements() {
            let is = |name: &str| element.eq_ignore_ascii_case(name.as_bytes());
            let is_ours = element.len() >= 2 && element[..2].eq_ignore_ascii_case(b"x-");
            if !is_token(element) || is_ours || NEVER_TAKEN_OFF.into_iter().any(is) {
                return Err(Refusal::new(400, Why::Connection));
            }
            self.is_upgrade_named |= is("upgrade");
            if !FOR_ONE_HOP.into_iter().any(is) {
                self.named.push(element);
            }
        }
        Ok(())
    }

    /// A program that does not heed `Connection` would pass on what the gateway takes off.
    fn check_named(&self, names: &[&[u8]]) -> Result<(), Refusal> {
        let is_there = |named: &&[u8]| names.iter().any(|name| name.eq_ignore_ascii_case(named));
        match self.named.iter().any(is_there) {
            true => Err(Refusal::new(400, Why::Connection)),
            false => Ok(()),
        }
    }

    fn check_host(&self, line: &RequestLine<'_>) -> Result<(), Refusal> {
        let bad = |why| Err(Refusal::new(400, why));
        match self.host {
            None if line.is_1_1 => return bad(Why::NoHost),
            Some(host) if !is_host(host) => return bad(Why::Host),
            _ => {}
        }
        match (authority(line.target), self.host) {
            (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
                bad(Why::TwoHosts)
            }
            (Some(authority), None) if !is_host(authority) => bad(Why::Host),
            _ => Ok(()),
        }
    }

    fn framing(&self, line: &RequestLine<'_>) -> Result<Framing, Refusal> {
        match (self.length, self.is_chunked) {
            (Some(_), true) => Err(Refusal::new(400, Why::LengthAndEncoding)),
            (None, true) if !line.is_1_1 => Err(Refusal::new(400, Why::Encoding)),
            (None, true) => Ok(Framing::Chunks),
            (Some(length), false) => Ok(Framing::Length(length)),
            (None, false) => Ok(Framing::None),
        }
    }
}

/// The names of a head's fields, each of which was read before: few heads need all of them at once.
fn names_in(head: &[u8]) -> Vec<&[u8]> {
    let fields = fields::lines(head).skip(1).flatten().map(fields::parse);
    fields.flatten().map(|field| field.name).collect()
}

/// Whether this value of `Upgrade` offers to go on in HTTP/2, as curl does of itself.
pub(crate) fn is_http2_offer(protocol: &[u8]) -> bool {
    protocol.eq_ignore_ascii_case(b"h2c")
}

/// Refuses `content_length`, and `x_user` beside `x-user`.
pub(super) fn refuse_twins(names: &[&[u8]]) -> Result<(), Refusal> {
    let with_dashes = |name: &[u8]| -> Vec<u8> {
        let dash = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
        name.iter().map(dash).collect()
    };
    let mut seen: Vec<(Vec<u8>, bool)> = Vec::with_capacity(names.len());
    for name in names {
        let (read, has_underscore) = (with_dashes(name), name.contains(&b'_'));
        let decides = NEVER_WITH_UNDERSCORE.iter().any(|never| never.as_bytes() == read)
            || read.starts_with(b"x-forwarded-")
            || is_ours_as_sent(&read);
        let has_twin =
            seen.iter().any(|(other, other_has)| *other == read && *other_has != has_underscore);
        if has_twin || (has_underscore && decides) {
            return Err(Refusal::new(400, Why::Underscore));
        }
        seen.push((read, has_underscore));
    }
    Ok(())
}

/// Digits alone: no sign, no list, no space inside. Numbers that a program could take for negative
/// are refused.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok().filter(|text| !text.is_empty())?;
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && i64::try_from(*number).is_ok())
}

/// A name or an address, with a port or without: no user, no list, nothing that a URL could mean
/// otherwise.
pub(super) fn is_host(host: &[u8]) -> bool {
    let (name, port) = match host {
        [b'[', rest @ ..] => match rest.iter().position(|byte| *byte == b']') {
            Some(end) => {
                let is_address =
                    rest[..end].iter().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(byte));
                (if is_address { &rest[..end] } else { &[][..] }, &rest[end + 1..])
            }
            None => return false,
        },
        _ => {
            let end = host.iter().position(|byte| *byte == b':').unwrap_or(host.len());
            let name = &host[..end];
            let is_name = name.iter().all(|byte| IN_NAMES[usize::from(*byte)]);
            (if is_name { name } else { &[][..] }, &host[end..])
        }
    };
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] => {
            let port = digits.iter().try_fold(0u16, |port, digit| {
                let digit = char::from(*digit).to_digit(10)?;
                port.checked_mul(10)?.checked_add(digit as u16)
            });
            !digits.is_empty() && port.is_some()
        }
        _ => false,
    };
    !name.is_empty() && name.len() <= 255 && is_port
}

//! The heads of requests and answers, as they are passed on.

use super::AsSent;
use super::upgrade::Wanted;
use crate::forwarded::Words;
use crate::headers::{take_off_hop_fields, which};
use crate::peer::{Peer, Telling};
use crate::refusal::{Refusal, Why};
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue,
    TRANSFER_ENCODING, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri, Version, response};

/// The fields of most requests have room in it.
const PACKED_BYTES: usize = 1_000;

/// What the names of the cookies of operators' pages begin with: see `lib/dashboard/access.js`.
const OPERATORS_COOKIE: &[u8] = b"absolute-runtime-";

/// The head of a request, for each try to send it.
#[derive(Debug)]
pub(super) struct RequestHead<'a> {
    /// Its method and header fields are those of the head; the fields are in it until the first try.
    request: &'a mut AsSent,
    target: PathAndQuery,
    /// What is added to the fields, for each try, unless another gateway has.
    words: Words<'a>,
    /// What is added for a peer.
    telling: Telling<'a>,
    /// What the headers are made of again for a second try; `None` before the first.
    packed: Option<Packed>,
}

/// Header fields in one piece of memory, each part after its length. A second try is rare, and each
/// has to be prepared for: a copy of the map would take several times as long.
#[derive(Debug)]
struct Packed(Vec<u8>);

impl<'a> RequestHead<'a> {
    /// The head for the tenant of what a client sent. `Content-Length` stays as it is.
    pub fn new(
        request: &'a mut AsSent,
        target: PathAndQuery,
        words: Words<'a>,
        telling: Telling<'a>,
    ) -> RequestHead<'a> {
        let is_http2 = request.version() == Version::HTTP_2;
        let headers = request.headers_mut();
        take_off_hop_fields(headers);
        let [expects, has_cookies, has_host] = which(headers, [EXPECT, COOKIE, HOST]);
        if expects {
            // The gateway answers it when the tenant takes the body.
            headers.remove(EXPECT);
        }
        // That of HTTP/1 is what was agreed on, if there is one.
        if is_http2 || !has_host {
            headers.insert(HOST, words.host.clone());
        }
        if has_cookies {
            if is_http2 {
                join_cookies(headers);
            }
            take_off_operators_cookies(headers);
        }
        RequestHead { request, target, words, telling, packed: None }
    }

    pub fn method(&self) -> &Method {
        self.request.method()
    }

    /// Says whether a body comes with it. Without a length the HTTP library would take a GET for
    /// one that has none, and a tenant might wait for that of a POST.
    pub fn say_whether_it_has_a_body(&mut self, has_body: bool) {
        let is_expected = matches!(*self.method(), Method::POST | Method::PUT | Method::PATCH);
        let headers = self.request.headers_mut();
        if (!has_body && !is_expected) || headers.contains_key(CONTENT_LENGTH) {
            return;
        }
        match has_body {
            true => headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
            false => headers.insert(CONTENT_LENGTH, HeaderValue::from(0)),
        };
    }

    /// It asks for another protocol.
    pub fn asks_for(&mut self, wanted: &Wanted) {
        let is_connect = self.method() == Method::CONNECT;
        let headers = self.request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, wanted.protocol().clone());
        if is_connect {
            wanted.complete(headers);
            *self.request.method_mut() = Method::GET;
        }
    }

    /// A request with this head, for a tenant or for the gateway of another host.
    pub fn with<B>(&mut self, body: B, peer: Option<&Peer>) -> Request<B> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method().clone();
        *request.uri_mut() = Uri::from(self.target.clone());
        let headers = request.headers_mut();
        *headers = match &self.packed {
            None => {
                self.packed = Some(Packed::of(self.request.headers()));
                std::mem::take(self.request.headers_mut())
            }
            Some(packed) => packed.unpack(),
        };
        if self.telling.hops == 0 {
            self.words.tell(headers);
        }
        if let Some(peer) = peer {
            self.telling.tell(peer, headers);
        }
        request
    }
}

impl Packed {
    fn of(headers: &HeaderMap) -> Packed {
        let mut bytes = Vec::with_capacity(PACKED_BYTES);
        for (name, value) in headers {
            for part in [name.as_str().as_bytes(), value.as_bytes()] {
                bytes.extend_from_slice(&(part.len() as u32).to_ne_bytes());
                bytes.extend_from_slice(part);
            }
        }
        Packed(bytes)
    }

    fn unpack(&self) -> HeaderMap {
        let mut rest = self.0.as_slice();
        let mut next = || {
            let (length, after) = rest.split_first_chunk()?;
            let (part, after) = after.split_at_checked(u32::from_ne_bytes(*length) as usize)?;
            rest = after;
            Some(part)
        };
        let mut headers = HeaderMap::new();
        while let (Some(name), Some(value)) = (next(), next()) {
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            {
                headers.append(name, value);
            }
        }
        headers
    }
}

/// Browsers send a host's cookies to all of its ports, and so that of the operator's page to tenants
/// that are served under the same name. It lets act who has it, and is none of theirs.
fn take_off_operators_cookies(headers: &mut HeaderMap) {
    if !headers.get_all(COOKIE).iter().any(|cookies| has_operators(cookies.as_bytes())) {
        return;
    }
    let mut kept: Vec<HeaderValue> = Vec::new();
    for cookies in headers.get_all(COOKIE) {
        let pairs = cookies.as_bytes().split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let others: Vec<&[u8]> =
            pairs.filter(|pair| !pair.is_empty() && !pair.starts_with(OPERATORS_COOKIE)).collect();
        let others = others.join(&b"; "[..]);
        if !others.is_empty() {
            kept.extend(HeaderValue::from_bytes(&others));
        }
    }
    headers.remove(COOKIE);
    for cookies in kept {
        headers.append(COOKIE, cookies);
    }
}

fn has_operators(cookies: &[u8]) -> bool {
    memchr::memmem::find(cookies, OPERATORS_COOKIE).is_some()
}

/// HTTP/2 sends cookies in fields of their own, HTTP/1 in one (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (cookies.next(), cookies.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for cookie in std::iter::once(second).chain(cookies) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(cookie.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, joined);
    }
}

/// Makes a tenant's head one for the client. Returns whether it said in one way only where its body
/// ends: programs differ in what they make of a length beside an encoding, and of several lengths.
pub(super) fn clean_answer(head: &mut response::Parts) -> Result<bool, Refusal> {
    let (mut encodings, mut are_understood) = (0, true);
    let (mut lengths, mut are_numbers) = (0, true);
    for (name, value) in &head.headers {
        if name == TRANSFER_ENCODING {
            encodings += 1;
            are_understood &= is_chunked(value);
        } else if name == CONTENT_LENGTH {
            lengths += 1;
            are_numbers &= is_number(value);
        }
    }
    // Another encoding would be taken off with the field, and never be undone.
    if encodings > 1 || !are_understood {
        return Err(Refusal::new(502, Why::BrokeOff));
    }
    let is_clear = lengths == 0 || (encodings == 0 && lengths == 1 && are_numbers);
    // The body ends where the HTTP library has read that it does, and it says so anew.
    if !is_clear {
        head.headers.remove(CONTENT_LENGTH);
    }
    take_off_hop_fields(&mut head.headers);
    head.version = Version::HTTP_11;
    Ok(is_clear)
}

fn is_chunked(encoding: &HeaderValue) -> bool {
    encoding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")
}

fn is_number(length: &HeaderValue) -> bool {
    length.as_bytes().iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forwarded::Client;

    #[test]
    fn a_second_try_has_the_fields_of_the_first() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("a", "1"), ("cookie", ""), ("a", "\u{e9}, 2"), ("x-b", " ")] {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
            headers.append(HeaderName::from_static(name), value);
        }
        let mut request = Request::new(None);
        *request.headers_mut() = headers.clone();
        let target = PathAndQuery::from_static("/a?b");
        let client = Client::new("10.0.0.9".parse().expect("an address"), false, None);
        let host = HeaderValue::from_static("h");
        let words = Words { client: &client, host, prefix: None, trusted: &[] };
        words.tell(&mut headers);
        let telling = Telling { key: "a", hops: 0 };
        let mut head = RequestHead { request: &mut request, target, words, telling, packed: None };
        for _ in 0..3 {
            let request = head.with((), None);
            assert_eq!((request.headers(), request.uri()), (&headers, &Uri::from_static("/a?b")));
        }
    }

    #[test]
    fn tenants_see_no_cookie_of_the_operators_page() {
        let left = |fields: &[&'static str]| -> Vec<String> {
            let mut headers = HeaderMap::new();
            for cookies in fields {
                headers.append(COOKIE, HeaderValue::from_static(cookies));
            }
            take_off_operators_cookies(&mut headers);
            headers.get_all(COOKIE).iter().map(|it| it.to_str().unwrap().to_owned()).collect()
        };
        let none: Vec<String> = Vec::new();
        assert_eq!(left(&["absolute-runtime-3900=t0k3n"]), none);
        assert_eq!(left(&["a=1; absolute-runtime-3900=t; b=2;"]), ["a=1; b=2"]);
        assert_eq!(left(&["a=1", " absolute-runtime-1=t;absolute-runtime-2=t"]), ["a=1"]);
        let others = "a=absolute-runtime-1; xabsolute-runtime-1=2";
        assert_eq!(left(&[others, "b=\"1\";;c"]), [others, "b=\"1\"; c"]);
        assert_eq!(left(&["b=\"1\";;c"]), ["b=\"1\";;c"]);
    }

    #[test]
    fn cookies_are_joined() {
        let mut headers = HeaderMap::new();
        for cookie in ["a=1", "b=2; c=3", "d=4"] {
            headers.append(COOKIE, HeaderValue::from_static(cookie));
        }
        join_cookies(&mut headers);
        let left: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(left, ["a=1; b=2; c=3; d=4"]);
    }
}

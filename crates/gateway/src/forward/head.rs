//! The heads of requests and answers, as they are passed on.

use super::AsSent;
use super::sending::write_fields;
use super::upgrade::Wanted;
use crate::forwarded::Words;
use crate::headers::{take_off_hop_fields, which};
use crate::peer::{Peer, Telling};
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING,
    UPGRADE,
};
use http::uri::PathAndQuery;
use http::{Method, Version, response};

/// What the names of the cookies of operators' pages begin with: see `lib/dashboard/access.js`.
const OPERATORS_COOKIE: &[u8] = b"absolute-runtime-";

/// The head of a request, for each try to send it.
#[derive(Debug)]
pub(super) struct RequestHead<'a> {
    /// Its method and its header fields are those of the head.
    request: &'a mut AsSent,
    target: PathAndQuery,
    /// What is added for a peer.
    telling: Telling<'a>,
}

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
        // Otherwise another gateway has told it.
        if telling.hops == 0 {
            words.tell(headers);
        }
        RequestHead { request, target, telling }
    }

    pub fn method(&self) -> &Method {
        self.request.method()
    }

    /// Says whether a body comes with it. Without that a tenant would take a request for one that has
    /// none, and might wait for that of a POST.
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

    pub fn fields(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// Writes it as HTTP/1 has it, for a tenant or for the gateway of another host.
    pub fn write(&self, buffer: &mut Vec<u8>, peer: Option<&Peer>) {
        for part in [self.method().as_str(), " ", self.target.as_str(), " HTTP/1.1\r\n"] {
            buffer.extend_from_slice(part.as_bytes());
        }
        write_fields(buffer, self.fields());
        if let Some(peer) = peer {
            write_fields(buffer, &self.telling.fields(peer));
        }
        buffer.extend_from_slice(b"\r\n");
    }

    /// An empty map with room for fields: the head is not needed any more.
    pub fn spent(&mut self) -> HeaderMap {
        let mut fields = std::mem::take(self.request.headers_mut());
        fields.clear();
        fields
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

/// Makes a tenant's head one for the client.
pub(super) fn clean_answer(head: &mut response::Parts) {
    take_off_hop_fields(&mut head.headers);
    head.version = Version::HTTP_11;
}

#[cfg(test)]
mod tests {
    use super::*;

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

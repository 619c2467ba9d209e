//! The head of a request of HTTP/2. Its framing leaves no doubt where a request ends; what is
//! checked is what a tenant, which gets it as HTTP/1, could read in another way.

use super::HeadLimits;
use super::fields::is_token;
use super::head::{is_host, number, refuse_twins};
use crate::headers::{HTTP2_SETTINGS, KEEP_ALIVE, PROXY_CONNECTION};
use crate::refusal::{Refusal, Why};
use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{Method, Request};

/// Checks a head, and returns the one host that it is for.
pub fn check<B>(head: &Request<B>, limits: HeadLimits) -> Result<&str, Refusal> {
    let bad = |why| Err(Refusal::new(400, why));
    let is_connect = head.method() == Method::CONNECT;
    let protocol = head.extensions().get::<hyper::ext::Protocol>();
    if is_connect && protocol.is_none() {
        return Err(Refusal::new(405, Why::Connect));
    }
    if protocol.is_some_and(|protocol| !is_connect || !is_token(protocol.as_str().as_bytes())) {
        return bad(Why::Upgrade);
    }
    // Browsers send each cookie as a field of its own; the tenant gets one.
    let cookies = head.headers().get_all(COOKIE).iter().skip(1).count();
    if head.headers().len() - cookies > limits.fields {
        return Err(Refusal::new(431, Why::TooManyFields));
    }
    for name in [&CONNECTION, &KEEP_ALIVE, &PROXY_CONNECTION, &TRANSFER_ENCODING, &UPGRADE] {
        if head.headers().contains_key(name) {
            return bad(Why::Connection);
        }
    }
    if head.headers().contains_key(HTTP2_SETTINGS) {
        return bad(Why::Http2Upgrade);
    }
    if head.headers().get_all(TE).iter().any(|value| value != "trailers") {
        return bad(Why::Encoding);
    }
    let mut lengths = head.headers().get_all(CONTENT_LENGTH).iter();
    if lengths.next().is_some_and(|length| number(length.as_bytes()).is_none()) {
        return bad(Why::Length);
    }
    if lengths.next().is_some() {
        return bad(Why::TwoLengths);
    }
    if head.headers().keys().any(|name| name.as_str().contains('_')) {
        let names: Vec<&[u8]> =
            head.headers().keys().map(|name| name.as_str().as_bytes()).collect();
        refuse_twins(&names)?;
    }
    let target = head.uri().path();
    let is_asterisk = target == "*" && head.method() == Method::OPTIONS;
    if !is_asterisk && !target.starts_with('/') {
        return bad(Why::Target);
    }
    host(head)
}

/// `:authority`, with which `Host` agrees if it is there.
fn host<B>(head: &Request<B>) -> Result<&str, Refusal> {
    let bad = |why| Err(Refusal::new(400, why));
    let mut hosts = head.headers().get_all(HOST).iter();
    let host = match hosts.next().map(|host| host.to_str()) {
        Some(Ok(host)) => Some(host),
        Some(Err(_)) => return bad(Why::Host),
        None => None,
    };
    if hosts.next().is_some() {
        return bad(Why::TwoHosts);
    }
    let authority = head.uri().authority().map(|authority| authority.as_str());
    let one = match (authority, host) {
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            return bad(Why::TwoHosts);
        }
        (Some(one), _) | (None, Some(one)) => one,
        (None, None) => return bad(Why::NoHost),
    };
    if is_host(one.as_bytes()) { Ok(one) } else { bad(Why::Host) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const LIMITS: HeadLimits = HeadLimits { bytes: 1_000, fields: 5 };

    fn of(uri: &str, fields: &[(&'static str, &str)]) -> Result<String, Why> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        check(&request, LIMITS).map(str::to_owned).map_err(|refusal| refusal.why)
    }

    #[test]
    fn a_request_is_for_one_host() {
        assert_eq!(of("http://a.b:80/x", &[]), Ok("a.b:80".to_owned()));
        assert_eq!(of("http://a/x", &[("host", "A")]), Ok("a".to_owned()));
        assert_eq!(of("/x", &[("host", "a")]), Ok("a".to_owned()));
        assert_eq!(of("/x", &[]), Err(Why::NoHost));
        assert_eq!(of("http://a/x", &[("host", "b")]), Err(Why::TwoHosts));
        assert_eq!(of("http://a/x", &[("host", "a"), ("host", "a")]), Err(Why::TwoHosts));
        assert_eq!(of("http://u@a/x", &[]), Err(Why::Host));
        assert_eq!(of("/x", &[("host", "a, b")]), Err(Why::Host));
    }

    #[test]
    fn fields_of_the_other_version_are_refused() {
        for (name, value, why) in [
            ("connection", "close", Why::Connection),
            ("keep-alive", "1", Why::Connection),
            ("proxy-connection", "close", Why::Connection),
            ("transfer-encoding", "chunked", Why::Connection),
            ("upgrade", "h2c", Why::Connection),
            ("http2-settings", "AA", Why::Http2Upgrade),
            ("te", "gzip", Why::Encoding),
            ("content-length", "+1", Why::Length),
            ("content-length", "1, 1", Why::Length),
            ("content_length", "1", Why::Underscore),
            ("x_forwarded_for", "1", Why::Underscore),
        ] {
            assert_eq!(of("http://a/", &[(name, value)]), Err(why), "{name}: {value}");
        }
        let two = [("content-length", "1"), ("content-length", "1")];
        assert_eq!(of("http://a/", &two), Err(Why::TwoLengths));
        assert_eq!(of("http://a/", &[("x-u", "1"), ("x_u", "2")]), Err(Why::Underscore));
        assert!(of("http://a/", &[("te", "trailers"), ("content-length", "0")]).is_ok());
    }

    #[test]
    fn fields_are_counted_and_crumbs_of_cookies_are_one() {
        let fields = ["a", "b", "c", "d", "e", "f"].map(|name| (name, "1"));
        assert!(of("http://a/", &fields[..5]).is_ok());
        assert_eq!(of("http://a/", &fields), Err(Why::TooManyFields));
        assert!(of("http://a/", &[("cookie", "a=b"); 20]).is_ok());
    }

    #[test]
    fn connect_needs_a_protocol() {
        let connect = |protocol: Option<&'static str>| {
            let mut request = Request::connect("http://a/x").body(()).expect("a request");
            if let Some(protocol) = protocol {
                request.extensions_mut().insert(hyper::ext::Protocol::from_static(protocol));
            }
            check(&request, LIMITS).map(str::to_owned).map_err(|refusal| refusal.why)
        };
        assert_eq!(connect(None), Err(Why::Connect));
        assert_eq!(connect(Some("websocket")), Ok("a".to_owned()));
        assert_eq!(connect(Some("a b")), Err(Why::Upgrade));
    }
}

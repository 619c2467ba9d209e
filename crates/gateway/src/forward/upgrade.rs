//! Requests for another protocol than HTTP, such as that of WebSockets: `Upgrade` of HTTP/1, and
//! `CONNECT` with a protocol of HTTP/2 (RFC 8441), which becomes an `Upgrade` at the tenant.

use crate::refusal::{Refusal, Why};
use crate::trace;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    UPGRADE,
};
use http::{Method, Request, StatusCode, Version, response};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;

const WEBSOCKET: &str = "websocket";

/// What a request asks for.
#[derive(Debug)]
pub(super) struct Wanted {
    protocol: HeaderValue,
    /// The client's stream, once it was told that the tenant has agreed.
    client: OnUpgrade,
    is_http2: bool,
}

impl Wanted {
    /// What the request asks for, if it asks for a protocol.
    pub fn of<B>(request: &mut Request<B>) -> Option<Wanted> {
        let is_http2 = request.version() == Version::HTTP_2;
        let protocol = match is_http2 {
            true if request.method() == Method::CONNECT => {
                let protocol = request.extensions().get::<Protocol>()?;
                HeaderValue::from_str(protocol.as_str()).ok()?
            }
            true => return None,
            false => asked(request)?,
        };
        Some(Wanted { protocol, client: hyper::upgrade::on(request), is_http2 })
    }

    pub fn protocol(&self) -> &HeaderValue {
        &self.protocol
    }

    pub fn is_websocket(&self) -> bool {
        self.protocol.as_bytes().eq_ignore_ascii_case(WEBSOCKET.as_bytes())
    }

    /// Adds what a client of HTTP/2 leaves out.
    pub fn complete(&self, headers: &mut HeaderMap) {
        if self.is_websocket() {
            headers.insert(SEC_WEBSOCKET_KEY, new_key());
        }
    }

    /// Makes the head of the tenant's agreement, whose fields for one hop are off, one for the
    /// client. `agreed` is the protocol that the tenant named.
    pub fn agree(
        self,
        head: &mut response::Parts,
        agreed: Option<HeaderValue>,
    ) -> Result<OnUpgrade, Refusal> {
        let agreed = agreed.filter(|agreed| has_word(&self.protocol, agreed.as_bytes()));
        let agreed = agreed.ok_or(Refusal::new(502, Why::BrokeOff))?;
        head.headers.remove(CONTENT_LENGTH);
        if self.is_http2 {
            head.headers.remove(SEC_WEBSOCKET_ACCEPT);
            head.status = StatusCode::OK;
        } else {
            head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            head.headers.insert(UPGRADE, agreed);
        }
        Ok(self.client)
    }

    /// The tenant has answered something else. To a client that has sent `CONNECT` every success
    /// would be an agreement.
    pub fn decline(&self, status: StatusCode) -> Result<(), Refusal> {
        match self.is_http2 && status.is_success() {
            true => Err(Refusal::new(502, Why::BrokeOff)),
            false => Ok(()),
        }
    }
}

/// What an HTTP/1 request asks for by `Upgrade`. HTTP/2 is not among it: that is spoken with the
/// gateway.
fn asked<B>(request: &Request<B>) -> Option<HeaderValue> {
    let headers = request.headers();
    let protocol = headers.get(UPGRADE)?;
    let is_named = headers.get_all(CONNECTION).iter().any(|value| has_word(value, b"upgrade"));
    (request.version() == Version::HTTP_11 && is_named && !has_word(protocol, b"h2c"))
        .then(|| protocol.clone())
}

/// Whether this word is in the list.
pub(super) fn has_word(list: &HeaderValue, word: &[u8]) -> bool {
    let mut words = list.as_bytes().split(|byte| *byte == b',');
    words.any(|found| found.trim_ascii().eq_ignore_ascii_case(word))
}

/// 16 bytes that are another time others, in base64. They need not be secret.
fn new_key() -> HeaderValue {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = trace::random();
    // 21 digits of six bits, then one of two bits.
    let digit = |shift: u32| DIGITS[(bits >> shift) as usize & 63];
    let mut key: Vec<u8> = (0..21).map(|index| digit(122 - 6 * index)).collect();
    key.push(DIGITS[((bits & 3) << 4) as usize]);
    key.extend_from_slice(b"==");
    HeaderValue::from_bytes(&key).unwrap_or(HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAA=="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_16_bytes_in_base64() {
        let (one, other) = (new_key(), new_key());
        assert_ne!(one, other);
        let text = one.to_str().expect("text");
        assert!(text.len() == 24 && text.ends_with("=="), "{text}");
        assert!(b"AQgw".contains(&text.as_bytes()[21]), "{text}");
    }
}

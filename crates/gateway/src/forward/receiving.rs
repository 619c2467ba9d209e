//! What comes from a tenant: the heads of its answers, and where their bodies end.

use super::upgrade::has_word;
use crate::strict::{Chunks, HeadLimits};
use bytes::{Bytes, BytesMut};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use http::{Response, StatusCode, Version, response};
use http_body::Frame;
use hyper::ext::ReasonPhrase;
use std::mem::MaybeUninit;

/// Bytes of one head, as the HTTP library takes of a client.
const HEAD_BYTES_MAX: usize = 400 << 10;
/// Header fields of one head, or trailers.
const FIELDS_MAX: usize = 100;
const TRAILERS: HeadLimits = HeadLimits { bytes: 16 << 10, fields: FIELDS_MAX };

/// What came is not HTTP, or may be read in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The head of an answer.
pub(super) struct Head {
    pub parts: response::Parts,
    pub rest: Rest,
    /// The connection stays open after the answer.
    pub is_kept: bool,
}

/// What is to come of an answer's body.
#[derive(Debug, Default)]
pub(super) enum Rest {
    #[default]
    Nothing,
    Length(u64),
    Chunks(Chunks),
    /// All that comes until the connection ends.
    ToEnd,
}

/// Takes the head of an answer, if it is there, and the interim ones before it. `searched` is how
/// much was searched for its end before; `fields` gives an empty map for its fields.
pub(super) fn take_head(
    received: &mut BytesMut,
    searched: &mut usize,
    is_for_head: bool,
    mut fields: impl FnMut() -> HeaderMap,
) -> Result<Option<Head>, Malformed> {
    while let Some(end) = end_of_head(received, searched)? {
        let bytes = received.split_to(end).freeze();
        let head = parse(&bytes, is_for_head, &mut fields)?;
        if head.is_some() {
            return Ok(head);
        }
    }
    Ok(None)
}

/// Where the first head ends: with an empty line.
fn end_of_head(bytes: &[u8], searched: &mut usize) -> Result<Option<usize>, Malformed> {
    let from = *searched;
    for line_end in memchr::memchr_iter(b'\n', &bytes[from..]) {
        let next = from + line_end + 1;
        // Programs differ in whether a line ends here.
        if !bytes[..next].ends_with(b"\r\n") {
            return Err(Malformed);
        }
        if bytes[next..].starts_with(b"\r\n") {
            *searched = 0;
            return Some(next + 2).filter(|end| *end <= HEAD_BYTES_MAX).map(Some).ok_or(Malformed);
        }
    }
    // The line before an empty one that is not there yet may end here.
    *searched = bytes.len().saturating_sub(2);
    if bytes.len() < HEAD_BYTES_MAX { Ok(None) } else { Err(Malformed) }
}

/// Parses a head; `None`: it is an interim one.
fn parse(
    bytes: &Bytes,
    is_for_head: bool,
    fields: impl FnOnce() -> HeaderMap,
) -> Result<Option<Head>, Malformed> {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut room) {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
        _ => return Err(Malformed),
    }
    let status = StatusCode::from_u16(parsed.code.unwrap_or(0)).map_err(|_| Malformed)?;
    if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(None);
    }
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = status;
    head.headers = fields();
    head.headers.reserve(parsed.headers.len());
    let is_new = parsed.version == Some(1);
    head.version = if is_new { Version::HTTP_11 } else { Version::HTTP_10 };
    let (mut is_kept, mut rest) = (is_new, None);
    for field in &*parsed.headers {
        let (name, value) = owned(bytes, field)?;
        match name {
            CONNECTION => is_kept &= !has_word(&value, b"close"),
            // Programs differ in which of two is meant.
            CONTENT_LENGTH | TRANSFER_ENCODING if rest.is_some() => return Err(Malformed),
            CONTENT_LENGTH => rest = Some(Rest::of_length(number(&value).ok_or(Malformed)?)),
            TRANSFER_ENCODING if is_new && is_chunked(&value) => {
                rest = Some(Rest::Chunks(Chunks::default()));
            }
            // Another encoding would be taken off with the field, and never be undone.
            TRANSFER_ENCODING => return Err(Malformed),
            _ => {}
        }
        head.headers.append(name, value);
    }
    if let Some(reason) = parsed.reason.filter(|reason| Some(*reason) != status.canonical_reason())
        && let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes())
    {
        head.extensions.insert(reason);
    }
    let has_no_body = matches!(
        status,
        StatusCode::SWITCHING_PROTOCOLS | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    let has_none = has_no_body || is_for_head;
    let rest = if has_none { Rest::Nothing } else { rest.unwrap_or(Rest::ToEnd) };
    Ok(Some(Head { parts: head, rest, is_kept }))
}

/// The field, whose value stays in the memory that it came in.
fn owned(
    bytes: &Bytes,
    field: &httparse::Header<'_>,
) -> Result<(HeaderName, HeaderValue), Malformed> {
    let name = HeaderName::from_bytes(field.name.as_bytes());
    let value = HeaderValue::from_maybe_shared(bytes.slice_ref(field.value));
    Ok((name.map_err(|_| Malformed)?, value.map_err(|_| Malformed)?))
}

fn number(text: &HeaderValue) -> Option<u64> {
    let is_number = text.as_bytes().iter().all(u8::is_ascii_digit);
    is_number.then(|| text.to_str().ok()?.parse().ok()).flatten()
}

fn is_chunked(encoding: &HeaderValue) -> bool {
    encoding.as_bytes().eq_ignore_ascii_case(b"chunked")
}

impl Rest {
    fn of_length(length: u64) -> Rest {
        if length == 0 { Rest::Nothing } else { Rest::Length(length) }
    }

    pub fn is_over(&self) -> bool {
        matches!(self, Rest::Nothing)
    }

    /// How much of it is to come, where that is known.
    pub fn length(&self) -> Option<u64> {
        match self {
            Rest::Nothing => Some(0),
            Rest::Length(left) => Some(*left),
            Rest::Chunks(_) | Rest::ToEnd => None,
        }
    }

    /// Takes the next part of it, if it is there.
    pub fn take(&mut self, received: &mut BytesMut) -> Result<Option<Frame<Bytes>>, Malformed> {
        match self {
            Rest::Nothing => Ok(None),
            _ if received.is_empty() => Ok(None),
            Rest::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(received.len());
                *self = Rest::of_length(*left - count as u64);
                Ok(Some(Frame::data(received.split_to(count).freeze())))
            }
            Rest::ToEnd => Ok(Some(Frame::data(received.split().freeze()))),
            Rest::Chunks(chunks) => {
                let (frame, is_over) = take_chunk(chunks, received)?;
                if is_over {
                    *self = Rest::Nothing;
                }
                Ok(frame)
            }
        }
    }
}

/// Takes what is there of a chunk, or the trailers, and says whether the body is over.
fn take_chunk(
    chunks: &mut Chunks,
    received: &mut BytesMut,
) -> Result<(Option<Frame<Bytes>>, bool), Malformed> {
    loop {
        if matches!(chunks, Chunks::Size) && !take_off_extensions(received)? {
            return Ok((None, false));
        }
        let is_data = matches!(chunks, Chunks::Data(_));
        let is_end = matches!(chunks, Chunks::Trailers);
        let (count, is_over) = chunks.inspect(received, TRAILERS).map_err(|_| Malformed)?;
        if count == 0 {
            return Ok((None, false));
        }
        let taken = received.split_to(count).freeze();
        if is_data {
            return Ok((Some(Frame::data(taken)), false));
        }
        if is_end {
            return Ok((trailers(&taken)?.map(Frame::trailers), is_over));
        }
    }
}

/// Takes off what a tenant says about a chunk behind its size, which has to be ignored (RFC 9112,
/// 7.1.1). `false` while its end is not there.
fn take_off_extensions(received: &mut BytesMut) -> Result<bool, Malformed> {
    let digits = received.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if !matches!(received.get(digits), Some(b';' | b' ' | b'\t')) {
        return Ok(true);
    }
    let line = &received[..received.len().min(TRAILERS.bytes)];
    let Some(end) = memchr::memchr(b'\n', line) else {
        return if line.len() < TRAILERS.bytes { Ok(false) } else { Err(Malformed) };
    };
    if digits == 0 || !received[..end].ends_with(b"\r") {
        return Err(Malformed);
    }
    let size = received.split_to(end - 1);
    let rest = received.split();
    for part in [&size[..digits], &rest] {
        received.extend_from_slice(part);
    }
    Ok(true)
}

fn trailers(bytes: &Bytes) -> Result<Option<HeaderMap>, Malformed> {
    let mut room = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let Ok(httparse::Status::Complete((_, fields))) = httparse::parse_headers(bytes, &mut room)
    else {
        return Err(Malformed);
    };
    let mut trailers = HeaderMap::new();
    for field in fields {
        let (name, value) = owned(bytes, field)?;
        trailers.append(name, value);
    }
    Ok(Some(trailers).filter(|trailers| !trailers.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(rest: &mut Rest, received: &mut BytesMut) -> Result<String, Malformed> {
        let mut parts = Vec::new();
        while let Some(frame) = rest.take(received)? {
            parts.push(match frame.into_data() {
                Ok(data) => String::from_utf8_lossy(&data).into_owned(),
                Err(frame) => format!("{:?}", frame.into_trailers().expect("trailers")),
            });
        }
        Ok(parts.join("|"))
    }

    fn head_of(text: &str, is_for_head: bool) -> Result<Option<(Head, BytesMut)>, Malformed> {
        let mut received = BytesMut::from(text);
        let head = take_head(&mut received, &mut 0, is_for_head, HeaderMap::new)?;
        Ok(head.map(|head| (head, received)))
    }

    /// What is left of the body, and whether the connection is kept.
    fn said(fields: &str) -> Result<String, Malformed> {
        let head = head_of(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), false)?;
        let head = head.expect("a head").0;
        Ok(format!("{:?} {}", head.rest, head.is_kept))
    }

    #[test]
    fn a_head_is_taken_when_all_of_it_is_there() {
        let text =
            "HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 299 Mine\r\nX-A: 1\r\nx-a:2\r\n\r\nrest";
        let end = text.len() - 4;
        let (mut received, mut searched) = (BytesMut::new(), 0);
        for (at, byte) in text.bytes().enumerate() {
            received.extend_from_slice(&[byte]);
            let head = take_head(&mut received, &mut searched, false, HeaderMap::new);
            let head = head.expect("well formed");
            assert_eq!(head.is_some(), at + 1 == end, "{at}");
            let Some(head) = head else { continue };
            let values = head.parts.headers.get_all("x-a").iter();
            let values: Vec<_> = values.map(HeaderValue::as_bytes).collect();
            assert_eq!((head.parts.status.as_u16(), values), (299, vec![&b"1"[..], b"2"]));
            assert_eq!(head.parts.extensions.get(), Some(&ReasonPhrase::from_static(b"Mine")));
        }
        assert_eq!(received, "rest");
    }

    #[test]
    fn a_head_says_where_its_body_ends() {
        for (fields, is) in [
            ("Content-Length: 2\r\n", "Length(2) true"),
            ("Content-Length: 0\r\n", "Nothing true"),
            ("Transfer-Encoding: Chunked\r\n", "Chunks(Size) true"),
            ("Connection: x, Close\r\nConnection: keep-alive\r\n", "ToEnd false"),
        ] {
            assert_eq!(said(fields).as_deref(), Ok(is), "{fields}");
        }
        for length in ["2, 3", "2, 2", "+2", "", "-1", "2,", "0x2", "18446744073709551616"] {
            assert!(said(&format!("Content-Length: {length}\r\n")).is_err(), "{length}");
        }
        let (length, chunked) = ("Content-Length: 2\r\n", "Transfer-Encoding: chunked\r\n");
        for (one, other) in
            [(length, length), (length, chunked), (chunked, length), (chunked, chunked)]
        {
            assert!(said(&format!("{one}A: b\r\n{other}")).is_err(), "{one}{other}");
        }
        for encoding in ["gzip", "gzip, chunked", "chunked, chunked", "identity", ""] {
            assert!(said(&format!("Transfer-Encoding: {encoding}\r\n")).is_err(), "{encoding}");
        }
        let length = "Content-Length: 2\r\n\r\n";
        for (status, is_for_head) in [(204, false), (304, false), (101, false), (200, true)] {
            let head = head_of(&format!("HTTP/1.1 {status} A\r\n{length}"), is_for_head);
            assert!(head.expect("well formed").expect("a head").0.rest.is_over(), "{status}");
        }
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for text in [
            "x\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "\r\n\r\n",
            // Where some programs find the end of a line, or of the head, and others do not.
            "HTTP/1.1 200 OK\nA: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n\n",
            "HTTP/1.1 200 OK\n\n",
            "HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n",
            "HTTP/1.1 200 OK\rA: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\r\n\r\n",
        ] {
            assert!(head_of(text, false).is_err(), "{text}");
        }
        let fields = "a: b\r\n".repeat(FIELDS_MAX);
        assert!(head_of(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), false).is_ok());
        assert!(head_of(&format!("HTTP/1.1 200 OK\r\n{fields}a: b\r\n\r\n"), false).is_err());
    }

    #[test]
    fn a_head_has_a_largest_size() {
        let of = |bytes: usize, end: &str| {
            let fixed = "HTTP/1.1 200 OK\r\nA: ".len() + end.len();
            head_of(&format!("HTTP/1.1 200 OK\r\nA: {}{end}", "b".repeat(bytes - fixed)), false)
        };
        let (end, unended) = ("\r\n\r\n", "\r\nB: c");
        assert!(of(HEAD_BYTES_MAX, end).is_ok_and(|head| head.is_some()));
        assert!(of(HEAD_BYTES_MAX - 1, unended).is_ok_and(|head| head.is_none()));
        assert!(of(HEAD_BYTES_MAX + 1, end).is_err());
        assert!(of(HEAD_BYTES_MAX, unended).is_err());
    }

    #[test]
    fn a_body_is_taken_up_to_its_end() {
        let chunked = "4;a=\"b\"\r\nwiki\r\n2 \r\nok\r\n0\r\nX-A: 1\r\n\r\n";
        let trailers = format!(
            "wiki|ok|{:?}",
            HeaderMap::from_iter([(HeaderName::from_static("x-a"), HeaderValue::from_static("1"))])
        );
        for (body, is, of) in [
            ("wikiok", "wikiok", Rest::Length(6)),
            (chunked, trailers.as_str(), Rest::Chunks(Chunks::default())),
        ] {
            let mut rest = of;
            let mut received = BytesMut::from(format!("{body}more").as_str());
            assert_eq!(parts(&mut rest, &mut received).as_deref(), Ok(is));
            assert!(rest.is_over() && received == "more", "{received:?}");
        }
        // Byte by byte.
        let (mut rest, mut received, mut all) =
            (Rest::Chunks(Chunks::default()), BytesMut::new(), String::new());
        for byte in chunked.bytes() {
            assert!(!rest.is_over());
            received.extend_from_slice(&[byte]);
            all += &parts(&mut rest, &mut received).expect("well formed");
        }
        assert!(rest.is_over());
        assert_eq!(all, trailers.replace('|', ""));
        for bad in
            ["x\r\n", ";a\r\n", "\r\n", "2;a\nok\r\n", "2\r\nokx\r\n", "10000000000000000\r\n"]
        {
            let mut rest = Rest::Chunks(Chunks::default());
            assert!(parts(&mut rest, &mut BytesMut::from(bad)).is_err(), "{bad}");
        }
    }
}

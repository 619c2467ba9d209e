//! Tells the protocol of an answer from its first bytes. Pure: bytes in, verdict out.

/// The most that is read of an answer: enough to tell all kinds apart.
pub const ENOUGH_BYTES: usize = 256;

/// The protocol of an answer, told from its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerKind {
    /// HTTP/1 with any status: the tenant serves.
    Http1,
    Tls,
    Http2,
    /// Another protocol than these.
    Foreign,
    /// The bytes so far fit several protocols.
    Undecided,
}

impl AnswerKind {
    /// The protocol of an answer that begins with these bytes.
    pub fn of(bytes: &[u8]) -> AnswerKind {
        // A client must skip empty lines before the status line.
        let text = bytes.trim_ascii_start();
        let is_like = |whole: &[u8]| whole.starts_with(&text[..text.len().min(whole.len())]);
        let verdict = if is_like(b"HTTP/1.") {
            if text.len() < b"HTTP/1.".len() { AnswerKind::Undecided } else { AnswerKind::Http1 }
        } else if is_tls(bytes) {
            AnswerKind::Tls
        } else {
            http2(bytes)
        };
        // Blanks alone would leave the verdict open for ever.
        if verdict == AnswerKind::Undecided && bytes.len() >= ENOUGH_BYTES {
            AnswerKind::Foreign
        } else {
            verdict
        }
    }
}

/// Whether these bytes begin a TLS record: a handshake or an alert, of major version 3.
fn is_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [0x15 | 0x16, 3, ..])
}

/// An HTTP/2 server begins with a SETTINGS frame: three bytes of length, a type, flags, and stream
/// 0.
fn http2(bytes: &[u8]) -> AnswerKind {
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    let fits = |(index, byte): (usize, &u8)| match index {
        0 | 5..9 => *byte == 0,
        3 => matches!(*byte, SETTINGS | GOAWAY),
        _ => true,
    };
    match bytes {
        [0x15 | 0x16] => AnswerKind::Undecided,
        _ if !bytes.iter().take(9).enumerate().all(fits) => AnswerKind::Foreign,
        _ if bytes.len() < 9 => AnswerKind::Undecided,
        _ => AnswerKind::Http2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_begins_like_http_1_is_an_answer() {
        for answer in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.0 500\n",
            "\r\n\r\nHTTP/1.1 103 Early Hints\r\n",
            "HTTP/1.1 000 Nope",
            "HTTP/1.",
        ] {
            assert_eq!(AnswerKind::of(answer.as_bytes()), AnswerKind::Http1, "{answer:?}");
        }
        for part in ["", "\r\n", "H", "HTTP/1"] {
            assert_eq!(AnswerKind::of(part.as_bytes()), AnswerKind::Undecided, "{part:?}");
        }
    }

    #[test]
    fn other_protocols_are_told_apart() {
        for other in
            ["SSH-2.0-OpenSSH_9.6\r\n", "ok", "HTTP/2 200", "ICY 200 OK", "\u{0}\u{0}\u{6}\u{9}"]
        {
            assert_eq!(AnswerKind::of(other.as_bytes()), AnswerKind::Foreign, "{other:?}");
        }
        assert_eq!(AnswerKind::of(&[0x15, 3, 1, 0, 2, 2, 70]), AnswerKind::Tls);
        assert_eq!(AnswerKind::of(&[0x16]), AnswerKind::Undecided);
        assert_eq!(AnswerKind::of(&[0, 0, 18, 4, 0, 0, 0, 0, 0, 0, 3]), AnswerKind::Http2);
        assert_eq!(AnswerKind::of(&[0, 0, 18, 4]), AnswerKind::Undecided);
    }

    #[test]
    fn blanks_alone_become_foreign() {
        assert_eq!(AnswerKind::of(&[b'\n'; ENOUGH_BYTES - 1]), AnswerKind::Undecided);
        assert_eq!(AnswerKind::of(&[b'\n'; ENOUGH_BYTES]), AnswerKind::Foreign);
    }
}

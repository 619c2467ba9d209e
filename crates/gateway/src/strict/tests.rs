use super::*;

const LIMITS: HeadLimits = HeadLimits { bytes: 1_000, fields: 10 };

fn inspector() -> Inspector {
    Inspector::new(LIMITS)
}

/// What becomes of these bytes: how many are passed on in all, and the refusal after them.
fn outcome(bytes: &[u8], piece: usize) -> (usize, Option<Why>) {
    let mut inspector = inspector();
    let (mut passed, mut shown) = (0, 0);
    loop {
        shown = (shown + piece).min(bytes.len());
        match inspector.inspect(&bytes[passed..shown]) {
            Verdict::Pass(count) => passed += count,
            Verdict::Wait if shown == bytes.len() => return (passed, None),
            Verdict::Wait => {}
            Verdict::Refuse(refusal) => return (passed, Some(refusal.why)),
        }
        if passed == bytes.len() {
            return (passed, None);
        }
    }
}

/// The outcome, which must not depend on how the bytes arrive.
fn of(text: &str) -> (usize, Option<Why>) {
    let whole = outcome(text.as_bytes(), usize::MAX >> 1);
    for piece in [1, 2, 3, 7] {
        assert_eq!(outcome(text.as_bytes(), piece), whole, "in pieces of {piece}: {text:?}");
    }
    whole
}

fn is_passed(text: &str) {
    assert_eq!(of(text), (text.len(), None), "{text:?}");
}

/// The request is refused, and no byte of it is passed on.
fn is_refused(text: &str, why: Why) {
    assert_eq!(of(text), (0, Some(why)), "{text:?}");
}

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
}

#[test]
fn ordinary_requests_are_passed_on() {
    is_passed(&get(""));
    is_passed("GET / HTTP/1.0\r\n\r\n");
    is_passed("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    is_passed("GET http://a.b:80/x?y HTTP/1.1\r\nHost: A.b:80\r\n\r\n");
    is_passed("GET /ü?q=a;b&c=%20 HTTP/1.1\r\nHost: [::1]:3000\r\n\r\n");
    is_passed(&get("X-Empty:\r\nCookie: a=b; c=\"d\"\r\nUser_Agent: x\r\nX: \tü\t \r\n"));
    is_passed(&get("Connection: keep-alive, TE\r\n"));
    is_passed(&post("Content-Length: 5\r\n", "hello"));
    is_passed(&post("Content-Length: 0\r\n", ""));
    is_passed(&post(
        "Transfer-Encoding: Chunked\r\n",
        "5\r\nhello\r\n00a\r\n0123456789\r\n0\r\n\r\n",
    ));
    is_passed(&post("Transfer-Encoding: chunked\r\n", "0\r\nChecksum: x\r\nDigest: y\r\n\r\n"));
}

#[test]
fn requests_follow_one_another() {
    let two = get("") + &post("Content-Length: 3\r\n", "abc");
    is_passed(&(two.clone() + &two));
    let chunked = post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n");
    is_passed(&(chunked.clone() + &two + &chunked));
    // What is not a request after a body is refused, and the body stays passed on.
    let text = post("Content-Length: 3\r\n", "abcX");
    assert_eq!(of(&text), (text.len() - 1, None));
    let text = post("Content-Length: 3\r\n", "abc\r\nGET / HTTP/1.1\r\n\r\n");
    assert_eq!(of(&text).1, Some(Why::RequestLine));
}

#[test]
fn bytes_of_http2_are_passed_on_as_they_are() {
    is_passed("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    is_refused("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", Why::Version);
    let later = get("") + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    assert_eq!(of(&later).1, Some(Why::Version));
}

#[test]
fn a_length_is_said_once_and_plainly() {
    is_refused(&post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), Why::TwoLengths);
    is_refused(&post("Content-Length: 5\r\ncontent-length: 6\r\n", "hello"), Why::TwoLengths);
    for length in [
        "5, 5",
        "+5",
        "-5",
        "0x5",
        "5 5",
        "",
        "5;",
        "\"5\"",
        "18446744073709551616",
        "5e0",
        "٥",
        "9223372036854775808",
    ] {
        is_refused(&post(&format!("Content-Length: {length}\r\n"), "hello"), Why::Length);
    }
}

#[test]
fn a_request_has_a_length_or_an_encoding() {
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
    ] {
        is_refused(&post(fields, "0\r\n\r\n"), Why::LengthAndEncoding);
    }
    for encoding in [
        "gzip",
        "gzip, chunked",
        "chunked, chunked",
        "identity",
        "xchunked",
        "chunked;q=1",
        "",
        "\"chunked\"",
        "chunked,",
    ] {
        is_refused(
            &post(&format!("Transfer-Encoding: {encoding}\r\n"), "0\r\n\r\n"),
            Why::Encoding,
        );
    }
    is_refused(
        &post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", ""),
        Why::Encoding,
    );
    is_refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Why::Encoding);
    is_refused(&post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"), Why::FieldValue);
}

#[test]
fn lines_end_in_carriage_return_and_line_feed() {
    is_refused("GET / HTTP/1.1\nHost: a\n\n", Why::LineEnd);
    is_refused("GET / HTTP/1.1\r\nHost: a\n\r\n", Why::LineEnd);
    is_refused(&get("X: a\rb\r\n"), Why::LineEnd);
    is_refused(&get("X: a\nTransfer-Encoding: chunked\r\n"), Why::LineEnd);
    is_refused(&get("X: a\r\r\n"), Why::LineEnd);
    is_refused("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Why::RequestLine);
    is_refused("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Why::RequestLine);
}

#[test]
fn names_and_values_have_no_odd_characters() {
    for name in
        ["Content-Length ", " Content-Length", "Content Length", "X\t", "X\0", "(X)", "X@", "ü", ""]
    {
        let why = match name.starts_with(' ') {
            true => Why::FoldedField,
            false => Why::FieldName,
        };
        is_refused(&get(&format!("{name}: 5\r\n")), why);
    }
    is_refused(&get("X: a\r\n b\r\n"), Why::FoldedField);
    is_refused(&get("X: a\r\n\tb\r\n"), Why::FoldedField);
    is_refused(&get("nonsense\r\n"), Why::FieldWithoutColon);
    is_refused(&get("X: a\0b\r\n"), Why::FieldValue);
    is_refused(&get("X: a\x7fb\r\n"), Why::FieldValue);
    is_refused(&get("X: \x0ca\r\n"), Why::FieldValue);
    is_refused(&get("X: a\x0c\r\n"), Why::FieldValue);
}

#[test]
fn a_request_is_for_one_host() {
    is_refused("GET / HTTP/1.1\r\n\r\n", Why::NoHost);
    is_refused(&get("Host: a\r\n"), Why::TwoHosts);
    is_refused(&get("host: b\r\n"), Why::TwoHosts);
    is_refused("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", Why::TwoHosts);
    is_refused("GET http://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n", Why::TwoHosts);
    for host in [
        "", "a b", "a,b", "a/b", "u@a", "a:b", "a:99999", "a:-1", "[::1", "[zz]", "a#", "a?",
        "a\\b", "a:1:2", "[::1]x",
    ] {
        is_refused(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), Why::Host);
    }
}

#[test]
fn a_request_line_is_three_words() {
    for line in [
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /a b HTTP/1.1",
        "GET /",
        "GET",
        " GET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "G(T / HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTPS/1.1",
        "GET /  HTTP/1.1",
    ] {
        is_refused(&format!("{line}\r\nHost: a\r\n\r\n"), Why::RequestLine);
    }
    for version in ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/1.10", "HTTP/01.1", "HTTP/1"] {
        is_refused(&format!("GET / {version}\r\nHost: a\r\n\r\n"), Why::Version);
    }
    for target in ["a", "*", "ftp://a/", "http:///x", "/a#b", "//\0", "/\x7f", "?x"] {
        is_refused(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"), Why::Target);
    }
    is_refused("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", Why::Connect);
    is_refused("\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03", Why::RequestLine);
}

#[test]
fn names_with_underscores_are_no_second_spelling() {
    for name in [
        "content_length",
        "Transfer_Encoding",
        "HOST_",
        "x_forwarded_for",
        "X-Forwarded_Proto",
        "x_real_ip",
    ] {
        let text = get(&format!("{name}: 1\r\n"));
        match name {
            "HOST_" => is_passed(&text),
            _ => is_refused(&text, Why::Underscore),
        }
    }
    is_refused(&get("X-User: a\r\nX_User: b\r\n"), Why::Underscore);
    is_refused(&get("x_user: a\r\nx-user: b\r\n"), Why::Underscore);
    is_passed(&get("x_user: a\r\nx_user: b\r\n"));
}

#[test]
fn connection_takes_off_nothing_that_decides() {
    for name in [
        "Content-Length",
        "host",
        "Cookie",
        "authorization",
        "X-Forwarded-For",
        "x-user",
        "a b",
        "transfer-encoding",
    ] {
        is_refused(&get(&format!("Connection: close, {name}\r\n")), Why::Connection);
    }
    // What is there is not taken off, in whichever order.
    is_refused(&get("Connection: Origin\r\nOrigin: http://b\r\n"), Why::Connection);
    is_refused(&get("CF-Connecting-IP: 1\r\nConnection: cf-connecting-ip\r\n"), Why::Connection);
    is_passed(&get("Connection: keep-alive, TE\r\nKeep-Alive: 1\r\nTE: trailers\r\n"));
    is_passed(&get("Connection: close, absent\r\n"));
}

#[test]
fn after_an_upgrade_nothing_is_passed_on_before_the_tenant_agrees() {
    let upgrade = get("Connection: Upgrade\r\nUpgrade: websocket\r\n");
    let both = upgrade.clone() + &get("");
    assert_eq!(of(&both), (upgrade.len(), None));
    let mut inspector = inspector();
    assert_eq!(inspector.inspect(both.as_bytes()), Verdict::Pass(upgrade.len()));
    assert_eq!(inspector.inspect(b"frames"), Verdict::Wait);
    inspector.allow_other_protocol();
    assert_eq!(inspector.inspect(b"frames"), Verdict::Pass(6));
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    is_refused(&post(&format!("{fields}Content-Length: 5\r\n"), "hello"), Why::UpgradeWithBody);
    is_refused(
        &post(&format!("{fields}Transfer-Encoding: chunked\r\n"), "0\r\n\r\n"),
        Why::UpgradeWithBody,
    );
    // A field for the hop before: the request ends with its head.
    is_passed(&(get("Upgrade: websocket\r\n") + &get("")));
    is_refused(&get("Upgrade: websocket\r\nUpgrade: h2c\r\n"), Why::Upgrade);
    is_refused(
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        Why::UpgradeIn10,
    );
}

#[test]
fn an_offer_of_http2_is_not_taken_up() {
    let offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n";
    is_passed(&(get(offer) + &get("")));
    is_passed(&(post(&format!("{offer}Content-Length: 5\r\n"), "hello") + &get("")));
    for fields in [
        "HTTP2-Settings: AA\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\nHTTP2-Settings: AA\r\n",
        &format!("{offer}HTTP2-Settings: AA\r\n"),
    ] {
        is_refused(&get(fields), Why::Http2Upgrade);
    }
}

#[test]
fn chunks_have_plain_sizes_and_whole_ends() {
    let chunked = |body: &str| post("Transfer-Encoding: chunked\r\n", body);
    let head = chunked("").len();
    for (body, why) in [
        ("5;x=y\r\nhello\r\n0\r\n\r\n", Why::ChunkSize),
        ("0x5\r\nhello\r\n0\r\n\r\n", Why::ChunkSize),
        ("+5\r\nhello\r\n", Why::ChunkSize),
        (" 5\r\nhello\r\n", Why::ChunkSize),
        ("5 \r\nhello\r\n", Why::ChunkSize),
        ("\r\nhello\r\n", Why::ChunkSize),
        ("5\nhello\r\n", Why::ChunkSize),
        ("fffffffffffffffff\r\n", Why::ChunkSize),
        ("5\rhello", Why::ChunkSize),
    ] {
        assert_eq!(of(&chunked(body)), (head, Some(why)), "{body:?}");
    }
    assert_eq!(of(&chunked("5\r\nhelloX\r\n")).1, Some(Why::ChunkEnd));
    assert_eq!(of(&chunked("5\r\nhello\n0\r\n\r\n")).1, Some(Why::ChunkEnd));
    for trailer in [
        "Content-Length: 5",
        "Host: b",
        "X-Forwarded-For: 1",
        "X-Real-IP: 1",
        "Authorization: x",
        "Keep-Alive: 1",
        "Expect: 100-continue",
        "a_b: c",
    ] {
        assert_eq!(
            of(&chunked(&format!("0\r\n{trailer}\r\n\r\n"))).1,
            Some(Why::Trailer),
            "{trailer}"
        );
    }
    assert_eq!(of(&chunked("0\r\nX: a\nY: b\r\n\r\n")).1, Some(Why::LineEnd));
}

#[test]
fn heads_and_trailers_have_a_largest_size() {
    let long = "a".repeat(LIMITS.bytes);
    is_refused(&get(&format!("X: {long}\r\n")), Why::HeadTooLarge);
    is_refused(&format!("GET /{long}"), Why::HeadTooLarge);
    is_refused(&get(&"X: a\r\n".repeat(LIMITS.fields)), Why::TooManyFields);
    is_passed(&get(&"X: a\r\n".repeat(LIMITS.fields - 1)));
    let trailers = post("Transfer-Encoding: chunked\r\n", &format!("0\r\nX: {long}\r\n\r\n"));
    assert_eq!(of(&trailers).1, Some(Why::HeadTooLarge));
    // A method without end is no request.
    is_refused(&"A".repeat(33), Why::RequestLine);
}

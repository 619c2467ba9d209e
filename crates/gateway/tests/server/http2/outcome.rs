//! What becomes of bytes that a client sends: refused, or taken.

use super::*;

const ACK: u8 = 1;
const NO_ERROR: u32 = 0;

pub type Case<'a> = (&'a str, Vec<u8>);

/// Sends what has to be refused, each over a connection of its own, and what is taken. `before` is
/// what comes first on each connection.
pub fn check(refused: Vec<Case>, taken: Vec<Case>, before: impl Fn(&mut TcpStream)) {
    let backend = Backend::start();
    let scripted = Scripted::with("shop", &backend);
    scripted.change(|state| {
        state.existing.insert("later".to_owned());
    });
    let gateway = start(settings(), &scripted);
    let mut wrong = Vec::new();
    for (cases, has_to_go_on) in [(refused, false), (taken, true)] {
        for (name, bytes) in cases {
            let mut stream = connect(&gateway);
            before(&mut stream);
            if goes_on(&mut stream, &bytes) != has_to_go_on {
                wrong.push(format!("{name}: {}", if has_to_go_on { "refused" } else { "taken" }));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let mut other = connect(&gateway);
    other.write_all(&get("/shop/")).expect("written");
    assert_eq!(status(&mut other), Some(200), "the gateway goes on");
}

/// Sends the bytes, and says whether the connection and its streams go on. An error may end the
/// stream or all of the connection. Which code it has is the library's matter: it names a general
/// one where the standard has one of sizes, of windows and of compression.
fn goes_on(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    let code = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().expect("four bytes"));
    // With the answer to the second one all is said that the bytes lead to.
    for ping in [b"the next", b"the last"] {
        let bytes = if ping == b"the next" { bytes } else { &[] };
        // The gateway may have closed before all is written.
        let _ = stream.write_all(&[bytes, &frame(PING, 0, 0, ping)].concat());
        loop {
            match next(stream) {
                None => return false,
                Some((GOAWAY, _, _, payload)) => {
                    assert_ne!(code(&payload[4..]), NO_ERROR);
                    return false;
                }
                Some((RST_STREAM, _, _, payload)) => {
                    assert_ne!(code(&payload), NO_ERROR);
                    return false;
                }
                Some((PING, ACK, _, payload)) if payload == ping => break,
                _ => {}
            }
        }
    }
    true
}

/// A request to a tenant that never runs, whose stream stays open to the client's body.
pub fn opened(id: u32) -> Vec<u8> {
    let fields = fields(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/later/"),
    ]);
    frame(HEADERS, END_HEADERS, id, &fields)
}

/// A request of which all has come, and that is not answered yet.
pub fn asked(id: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, id, &head("/later/", &[]))
}

pub fn reset(id: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, id, &code.to_be_bytes())
}

pub fn window(id: u32, more: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, id, &more.to_be_bytes())
}

/// Depends on a stream, with the weight 16.
pub fn depends_on(id: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &[15]].concat()
}

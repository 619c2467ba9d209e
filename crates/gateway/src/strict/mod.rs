//! Requests of HTTP/1 that two programs could read in two ways are refused here, before the HTTP
//! library parses them: it takes some of them, each library in its own way, and so may a tenant.
//!
//! An [`Inspector`] sees the bytes of one connection in their order. It says how many of them may
//! be passed on, and follows bodies to know where the next request begins.

mod chunks;
mod fields;
mod head;
pub(crate) mod http2;
#[cfg(test)]
mod tests;

use crate::refusal::{Refusal, Why};
pub(crate) use chunks::{Chunks, is_forbidden_trailer};
use memchr::memmem::Finder;
use std::sync::LazyLock;

pub(crate) use head::is_http2_offer;
pub use head::{Framing, Head};

/// How large a request's head may be.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of the request line and the header fields together.
    pub bytes: usize,
    /// Header fields.
    pub fields: usize,
}

/// The first bytes of HTTP/2 without TLS.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Made once, as that takes longer than most searches.
static END_OF_HEAD: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));

/// Inspects what a client sends on one connection.
#[derive(Debug)]
pub struct Inspector {
    limits: HeadLimits,
    state: State,
    /// How much of an incomplete head was searched for its end.
    searched: usize,
    heads: u64,
}

#[derive(Debug)]
enum State {
    /// Nothing was received yet, so it may be HTTP/2.
    First,
    /// A head is to come, or its first part is here.
    Head,
    /// The body of a request has so many bytes left.
    Body(u64),
    /// The body of a request is in chunks.
    Chunks(Chunks),
    /// The last request asked for another protocol. What follows belongs to that if the tenant
    /// agrees, and to nothing otherwise.
    Upgrade,
    /// The bytes are not HTTP/1.
    Other,
}

/// What is to be done with bytes that were received.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// So many of them may be passed on. The others are shown again, together with later ones.
    Pass(usize),
    /// Nothing can be said before more have come.
    Wait,
    /// The connection ends here.
    Refuse(Refusal),
}

impl Inspector {
    /// Inspects a connection from its first byte.
    pub fn new(limits: HeadLimits) -> Inspector {
        Inspector { limits, state: State::First, searched: 0, heads: 0 }
    }

    /// Inspects a connection that is known to speak HTTP/1.
    pub fn http1(limits: HeadLimits) -> Inspector {
        Inspector { limits, state: State::Head, searched: 0, heads: 0 }
    }

    /// Whether the connection speaks HTTP/2; `None` while too little of it was inspected.
    pub fn is_http2(&self) -> Option<bool> {
        match self.state {
            State::First => None,
            State::Other => Some(true),
            _ => Some(false),
        }
    }

    /// The connection speaks another protocol from here on: the tenant has agreed to it.
    pub fn allow_other_protocol(&mut self) {
        self.state = State::Other;
    }

    /// The connection is between two requests, or has had none. An idle one may be closed.
    pub fn is_between_requests(&self) -> bool {
        matches!(self.state, State::First | State::Head)
    }

    /// How many heads were passed on.
    pub fn heads(&self) -> u64 {
        self.heads
    }

    /// The last request asked for another protocol, to which its tenant has not agreed yet.
    pub fn awaits_agreement(&self) -> bool {
        matches!(self.state, State::Upgrade)
    }

    /// Inspects the bytes that follow those that were passed on.
    pub fn inspect(&mut self, bytes: &[u8]) -> Verdict {
        let mut passed = 0;
        loop {
            let rest = &bytes[passed..];
            let step = match rest.is_empty() {
                true => Ok(0),
                false => self.step(rest),
            };
            match step {
                // What came before the fault is passed on first.
                Err(_) if passed > 0 => return Verdict::Pass(passed),
                Err(refusal) => return Verdict::Refuse(refusal),
                Ok(0) if passed > 0 => return Verdict::Pass(passed),
                Ok(0) => return Verdict::Wait,
                Ok(count) => passed += count,
            }
        }
    }

    /// Takes one step; returns how many bytes it passes on.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        match &mut self.state {
            State::First => {
                let compared = bytes.len().min(HTTP2_PREFACE.len());
                if bytes[..compared] != HTTP2_PREFACE[..compared] {
                    self.state = State::Head;
                    return self.head(bytes);
                }
                if compared == HTTP2_PREFACE.len() {
                    self.state = State::Other;
                    return Ok(bytes.len());
                }
                Ok(0)
            }
            State::Head => self.head(bytes),
            State::Body(left) => {
                let count = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= count as u64;
                if *left == 0 {
                    self.state = State::Head;
                }
                Ok(count)
            }
            State::Chunks(chunks) => {
                let (count, is_over) = chunks.inspect(bytes, self.limits)?;
                if is_over {
                    self.state = State::Head;
                }
                Ok(count)
            }
            // They wait for the tenant's answer.
            State::Upgrade => Ok(0),
            State::Other => Ok(bytes.len()),
        }
    }

    fn head(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let limit = self.limits.bytes;
        let seen = &bytes[..bytes.len().min(limit)];
        // A head that can only be refused is refused at its first line, and at its first byte.
        head::check_start(seen)?;
        let from = self.searched.saturating_sub(3).min(seen.len());
        let Some(end) = END_OF_HEAD.find(&seen[from..]) else {
            // Without this look a client that ends lines otherwise would wait for an answer.
            let mut ends = memchr::memchr_iter(b'\n', &seen[from..]).map(|end| from + end);
            if ends.any(|end| end == 0 || seen[end - 1] != b'\r') {
                return Err(Refusal::new(400, Why::LineEnd));
            }
            self.searched = seen.len();
            return match bytes.len() > limit {
                true => Err(Refusal::new(431, Why::HeadTooLarge)),
                false => Ok(0),
            };
        };
        self.searched = 0;
        let length = from + end + 4;
        let head = Head::parse(&bytes[..length], self.limits)?;
        self.heads += 1;
        self.state = match head.framing {
            Framing::None if head.asks_for_upgrade => State::Upgrade,
            Framing::None => State::Head,
            Framing::Length(0) => State::Head,
            Framing::Length(length) => State::Body(length),
            Framing::Chunks => State::Chunks(Chunks::default()),
        };
        Ok(length)
    }
}

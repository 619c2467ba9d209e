//! A body in chunks. Sizes are plain hexadecimal numbers: extensions, which nobody sends and each
//! program cuts off in its own way, are refused.

use super::HeadLimits;
use super::fields;
use crate::peer::is_ours_as_sent;
use crate::refusal::{Refusal, Why};

/// The longest size: more digits would be 2^60 bytes and more.
const SIZE_DIGITS_MAX: usize = 15;

/// Trailers that would change where a request ends, whom it is for, or what it may do.
const NEVER_IN_TRAILERS: [&str; 20] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "max-forwards",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-real-ip",
];

/// Where in the body the next byte stands.
#[derive(Debug, Default)]
pub enum Chunks {
    /// At a chunk's size.
    #[default]
    Size,
    /// In a chunk's data, with so many bytes left.
    Data(u64),
    /// At the line end after a chunk's data.
    DataEnd,
    /// After the last chunk, in the trailers.
    Trailers,
}

impl Chunks {
    /// Returns how many bytes may be passed on, and whether the body is over with them.
    pub fn inspect(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<(usize, bool), Refusal> {
        match self {
            Chunks::Size => Ok((self.size(bytes)?, false)),
            Chunks::Data(left) => {
                let count = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= count as u64;
                if *left == 0 {
                    *self = Chunks::DataEnd;
                }
                Ok((count, false))
            }
            Chunks::DataEnd => match bytes {
                [b'\r', b'\n', ..] => {
                    *self = Chunks::Size;
                    Ok((2, false))
                }
                [b'\r'] => Ok((0, false)),
                _ => Err(Refusal::new(400, Why::ChunkEnd)),
            },
            Chunks::Trailers => trailers(bytes, limits),
        }
    }

    fn size(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let bad = || Refusal::new(400, Why::ChunkSize);
        let digits = bytes.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits > SIZE_DIGITS_MAX {
            return Err(bad());
        }
        match &bytes[digits..] {
            [] | [b'\r'] => Ok(0),
            [b'\r', b'\n', ..] => {
                let text = std::str::from_utf8(&bytes[..digits]).map_err(|_| bad())?;
                *self = match u64::from_str_radix(text, 16).map_err(|_| bad())? {
                    0 => Chunks::Trailers,
                    size => Chunks::Data(size),
                };
                Ok(digits + 2)
            }
            _ => Err(bad()),
        }
    }
}

/// Whether a trailer of this name is refused.
pub fn is_forbidden_trailer(name: &[u8]) -> bool {
    const FORWARDED: &[u8] = b"x-forwarded-";
    let start = &name[..name.len().min(FORWARDED.len())];
    NEVER_IN_TRAILERS.iter().any(|never| name.eq_ignore_ascii_case(never.as_bytes()))
        || start.eq_ignore_ascii_case(FORWARDED)
        || is_ours_as_sent(name)
        || name.contains(&b'_')
}

fn trailers(bytes: &[u8], limits: HeadLimits) -> Result<(usize, bool), Refusal> {
    if bytes.starts_with(b"\r\n") {
        return Ok((2, true));
    }
    let seen = &bytes[..bytes.len().min(limits.bytes)];
    let Some(end) = memchr::memmem::find(seen, b"\r\n\r\n") else {
        return match bytes.len() > limits.bytes {
            true => Err(Refusal::new(431, Why::HeadTooLarge)),
            false => Ok((0, false)),
        };
    };
    for (index, line) in fields::lines(&bytes[..end + 2]).enumerate() {
        let field = fields::parse(line?)?;
        if index >= limits.fields {
            return Err(Refusal::new(431, Why::TooManyFields));
        }
        if is_forbidden_trailer(field.name) {
            return Err(Refusal::new(400, Why::Trailer));
        }
    }
    Ok((end + 4, true))
}

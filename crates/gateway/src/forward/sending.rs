//! A request on its way to a tenant: its head, and its body in the framing that the head says.

use super::head::RequestHead;
use super::line::Line;
use super::request_body::Source;
use crate::peer::Peer;
use crate::refusal::{Refusal, Why};
use bytes::{Buf, Bytes};
use http::header::{CONTENT_LENGTH, HeaderMap};
use http_body::Frame;
use std::io::{self, IoSlice, Write};
use std::task::{Context, Poll, ready};

/// Parts of a body up to this size are copied behind what is before them: the kernel takes one piece
/// in less time than several.
const COPIED_BYTES: usize = 4 << 10;

/// A request on its way. It is over when it is sent, and when it was cut off.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// What is to be sent first, and how much of it was.
    buffer: Vec<u8>,
    sent: usize,
    /// A large part of the body, which is sent after the buffer, and what ends it.
    part: Bytes,
    part_end: &'static [u8],
    /// What is to come of the body.
    body: Option<(Source, Framing)>,
    /// Something was written, of which not all may be sent.
    needs_flush: bool,
    has_begun: bool,
    has_sent: bool,
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Framing {
    /// By its length, of which so much is to come.
    Length(u64),
    Chunks,
}

impl Framing {
    /// As the head says.
    pub fn of(head: &HeaderMap) -> Result<Framing, Refusal> {
        let Some(length) = head.get(CONTENT_LENGTH) else { return Ok(Framing::Chunks) };
        let length = length.to_str().ok().and_then(|length| length.parse().ok());
        length.map(Framing::Length).ok_or(Refusal::new(400, Why::Length))
    }
}

/// Why a request was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Its body broke off.
    Body,
    /// The tenant takes no more of it.
    Tenant,
}

impl Sending {
    /// Another request begins.
    pub fn begin(
        &mut self,
        head: &RequestHead<'_>,
        peer: Option<&Peer>,
        body: Option<(Source, Framing)>,
    ) {
        self.end();
        (self.has_begun, self.has_sent) = (false, false);
        head.write(&mut self.buffer, peer);
        self.body = body;
    }

    /// The kernel has taken at least a byte of it.
    pub fn has_sent(&self) -> bool {
        self.has_sent
    }

    pub fn is_over(&self) -> bool {
        self.body.is_none() && self.unsent() == 0 && !self.needs_flush
    }

    /// Sends what there is, until all is sent. A part of the body is taken when all before it was
    /// sent; but for the first one, which goes with the head if it is there.
    pub fn poll(&mut self, line: &Line, context: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        if !std::mem::replace(&mut self.has_begun, true)
            && let Poll::Ready(Err(cut)) = self.poll_body(context)
        {
            return Poll::Ready(Err(cut));
        }
        loop {
            if ready!(self.poll_write(line, context)).is_err() {
                self.end();
                return Poll::Ready(Err(Cut::Tenant));
            }
            if self.body.is_none() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_body(context))?;
        }
    }

    fn end(&mut self) {
        self.buffer.clear();
        (self.sent, self.part, self.part_end, self.body) = (0, Bytes::new(), b"", None);
        self.needs_flush = false;
    }

    fn unsent(&self) -> usize {
        self.buffer.len() - self.sent + self.part.len() + self.part_end.len()
    }

    fn poll_write(&mut self, line: &Line, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.unsent() > 0 {
            let parts = [&self.buffer[self.sent..], &self.part, self.part_end].map(IoSlice::new);
            let is_one = self.part.is_empty() && self.part_end.is_empty();
            let parts = if is_one { &parts[..1] } else { &parts[..] };
            match ready!(line.poll_send(context, parts))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.advance(count),
            }
        }
        if self.needs_flush {
            ready!(line.poll_flush_sent(context))?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, count: usize) {
        (self.has_sent, self.needs_flush) = (true, true);
        let of_buffer = count.min(self.buffer.len() - self.sent);
        let of_part = (count - of_buffer).min(self.part.len());
        self.sent += of_buffer;
        if self.sent == self.buffer.len() {
            self.buffer.clear();
            self.sent = 0;
        }
        self.part.advance(of_part);
        self.part_end = &self.part_end[count - of_buffer - of_part..];
    }

    /// Takes the next part of the body, or its end.
    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        let Some((source, framing)) = &mut self.body else { return Poll::Ready(Ok(())) };
        let part = ready!(source.poll(context)).map_err(|_| Cut::Body)?;
        let is_last = part.as_ref().is_none_or(Frame::is_trailers);
        let (data, trailers) = match part.map(Frame::into_data) {
            None => (Bytes::new(), None),
            Some(Ok(data)) => (data, None),
            Some(Err(frame)) => (Bytes::new(), frame.into_trailers().ok()),
        };
        let is_over = match framing {
            Framing::Length(left) => {
                // What does not keep to its length would run into the next request.
                *left = left.checked_sub(data.len() as u64).ok_or(Cut::Body)?;
                if is_last && *left > 0 {
                    return Poll::Ready(Err(Cut::Body));
                }
                let is_over = *left == 0;
                self.push(data, b"");
                is_over
            }
            Framing::Chunks => {
                if is_last {
                    self.push_end(trailers.unwrap_or_default());
                } else if !data.is_empty() {
                    // A vector takes all that is written.
                    let _ = write!(self.buffer, "{:x}\r\n", data.len());
                    self.push(data, b"\r\n");
                }
                is_last
            }
        };
        if is_over {
            self.body = None;
        }
        Poll::Ready(Ok(()))
    }

    fn push(&mut self, data: Bytes, end: &'static [u8]) {
        if data.len() <= COPIED_BYTES {
            self.buffer.extend_from_slice(&data);
            self.buffer.extend_from_slice(end);
        } else {
            (self.part, self.part_end) = (data, end);
        }
    }

    fn push_end(&mut self, trailers: HeaderMap) {
        self.buffer.extend_from_slice(b"0\r\n");
        write_fields(&mut self.buffer, &trailers);
        self.buffer.extend_from_slice(b"\r\n");
    }
}

/// Writes fields as HTTP/1 has them.
pub(super) fn write_fields(buffer: &mut Vec<u8>, fields: &HeaderMap) {
    for (name, value) in fields {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            buffer.extend_from_slice(part);
        }
    }
}

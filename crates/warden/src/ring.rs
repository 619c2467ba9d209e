//! What a tenant has written while no host was there to read it: the newest, in pieces with the
//! time at which each was read, and how many lines are lost before them.
//!
//! The warden hands it over as a memory file, which both ends have open. The host notes at its
//! beginning what its user was told ([`told`]); if that host is lost, too, the rest comes first in
//! what the next one is handed.
//!
//! | offset | holds |
//! |---|---|
//! | 0 | 1 once the lost lines were told, 4 bytes |
//! | 4 | how many pieces were told, 4 bytes |
//! | 8 | lost lines of standard output, 8 bytes |
//! | 16 | lost lines of standard error, 8 bytes |
//! | 24 | the pieces: time (8 bytes), length (4 bytes), stream (1 byte), zero (3 bytes), text |

use std::collections::VecDeque;

use crate::planted::{Bug, planted};
use crate::protocol::{put, take};

/// The most text that is kept of a tenant.
pub const ROOM_BYTES: usize = 256 << 10;

/// The most pieces: so a tenant that writes single bytes takes little more room than its text.
const PIECES_MAX: usize = 4_096;

/// The longest piece. What is lost is lost by pieces.
const PIECE_BYTES_MAX: usize = 4 << 10;

const HEADER_BYTES: usize = 24;
const PIECE_HEADER_BYTES: usize = 16;

/// Where a tenant has written something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// Text that was read at once; not by lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// When, in milliseconds of Unix time.
    pub at_unix_ms: u64,
    /// Where it was written.
    pub stream: Stream,
    /// What.
    pub text: Vec<u8>,
}

/// What a memory file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// How many lines of standard output are lost. If there are any, the first piece of it begins
    /// a line; else it goes on with what was read before.
    pub lost_stdout_lines: u64,
    /// The same of standard error.
    pub lost_stderr_lines: u64,
    /// What is left, the oldest first.
    pub pieces: Vec<Piece>,
}

/// What is to be written to the beginning of the memory file once this much was told: the numbers
/// of lost lines, and so many pieces.
pub fn told(lost_lines: bool, pieces: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    put(&mut bytes, 0, u32::from(lost_lines).to_le_bytes());
    put(&mut bytes, 4, pieces.to_le_bytes());
    bytes
}

/// The newest of what a tenant writes.
#[derive(Debug, Default)]
pub struct Ring {
    text: VecDeque<u8>,
    pieces: VecDeque<Held>,
    lost_lines: [u64; 2],
    /// The rest of a line is in the pieces whose beginning was dropped.
    is_cut: [bool; 2],
}

#[derive(Clone, Copy, Debug)]
struct Held {
    at_unix_ms: u64,
    stream: Stream,
    bytes: usize,
}

impl Ring {
    /// Adds what was read, and drops the oldest where there is no room.
    pub fn push(&mut self, at_unix_ms: u64, stream: Stream, text: &[u8]) {
        for part in text.chunks(PIECE_BYTES_MAX) {
            match self.pieces.back_mut() {
                Some(last)
                    if (last.at_unix_ms, last.stream) == (at_unix_ms, stream)
                        && last.bytes + part.len() <= PIECE_BYTES_MAX =>
                {
                    last.bytes += part.len();
                }
                _ => self.pieces.push_back(Held { at_unix_ms, stream, bytes: part.len() }),
            }
            self.text.extend(part);
            while self.text.len() > ROOM_BYTES || self.pieces.len() > PIECES_MAX {
                self.drop_oldest();
            }
        }
    }

    fn drop_oldest(&mut self) {
        let Some(Held { stream, bytes, .. }) = self.pieces.pop_front() else { return };
        let dropped: Vec<u8> = self.text.drain(..bytes).collect();
        if !planted(Bug::LostLinesAreNotCounted) {
            self.lost_lines[stream as usize] += lines_in(&dropped);
        }
        self.is_cut[stream as usize] = dropped.last() != Some(&b'\n');
    }

    /// Whether nothing was written and nothing is lost.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.lost_lines == [0; 2] && self.is_cut == [false; 2]
    }

    /// What it holds. A line of which the beginning was dropped is lost as a whole.
    pub fn written(&self) -> Written {
        let Ring { mut lost_lines, mut is_cut, .. } = *self;
        let mut pieces = Vec::with_capacity(self.pieces.len());
        let mut begin = 0;
        for Held { at_unix_ms, stream, bytes } in self.pieces.iter().copied() {
            let mut text: Vec<u8> = self.text.range(begin..begin + bytes).copied().collect();
            begin += bytes;
            if std::mem::take(&mut is_cut[stream as usize]) {
                match text.iter().position(|byte| *byte == b'\n') {
                    Some(end) => {
                        lost_lines[stream as usize] += 1;
                        text.drain(..=end);
                    }
                    None => {
                        is_cut[stream as usize] = true;
                        continue;
                    }
                }
            }
            if !text.is_empty() {
                pieces.push(Piece { at_unix_ms, stream, text });
            }
        }
        // A line that has not ended yet, and whose beginning is lost.
        let [stdout, stderr] = [0, 1].map(|at| lost_lines[at] + u64::from(is_cut[at]));
        Written { lost_stdout_lines: stdout, lost_stderr_lines: stderr, pieces }
    }

    /// Goes on with what a host was handed and has not told.
    pub fn after(handed: &[u8]) -> Ring {
        let mut ring = Ring::default();
        let Some((lost_were_told, pieces_told, written)) = read(handed) else { return ring };
        if !lost_were_told {
            ring.lost_lines = [written.lost_stdout_lines, written.lost_stderr_lines];
        }
        for Piece { at_unix_ms, stream, text } in written.pieces.into_iter().skip(pieces_told) {
            ring.push(at_unix_ms, stream, &text);
        }
        ring
    }
}

impl Written {
    /// What the memory file is to hold.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        put(&mut bytes, 8, self.lost_stdout_lines.to_le_bytes());
        put(&mut bytes, 16, self.lost_stderr_lines.to_le_bytes());
        for Piece { at_unix_ms, stream, text } in &self.pieces {
            let mut header = [0; PIECE_HEADER_BYTES];
            put(&mut header, 0, at_unix_ms.to_le_bytes());
            put(&mut header, 8, (text.len() as u32).to_le_bytes());
            header[12] = *stream as u8;
            bytes.extend(header);
            bytes.extend(text);
        }
        bytes
    }

    /// What a memory file holds, also if some of it was told. `None` for other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Written> {
        read(bytes).map(|(_, _, written)| written)
    }
}

/// Whether the lost lines were told, how many pieces were, and all that is in there.
fn read(bytes: &[u8]) -> Option<(bool, usize, Written)> {
    let (header, mut rest) = bytes.split_at_checked(HEADER_BYTES)?;
    let lost_were_told = u32::from_le_bytes(take(header, 0)) != 0;
    let pieces_told = u32::from_le_bytes(take(header, 4)) as usize;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (header, text) = rest.split_at_checked(PIECE_HEADER_BYTES)?;
        let bytes = u32::from_le_bytes(take(header, 8)) as usize;
        let (text, after) = text.split_at_checked(bytes)?;
        let stream = match header[12] {
            0 => Stream::Stdout,
            1 => Stream::Stderr,
            _ => return None,
        };
        let at_unix_ms = u64::from_le_bytes(take(header, 0));
        pieces.push(Piece { at_unix_ms, stream, text: text.to_owned() });
        rest = after;
    }
    let lost = |offset| u64::from_le_bytes(take(header, offset));
    let written = Written { lost_stdout_lines: lost(8), lost_stderr_lines: lost(16), pieces };
    Some((lost_were_told, pieces_told, written))
}

fn lines_in(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    use Stream::{Stderr, Stdout};

    fn text_of(written: &Written, stream: Stream) -> String {
        let its = written.pieces.iter().filter(|piece| piece.stream == stream);
        let bytes: Vec<u8> = its.flat_map(|piece| piece.text.clone()).collect();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_was_written_comes_back_in_its_order_with_its_times() {
        let mut ring = Ring::default();
        assert!(ring.is_empty());
        ring.push(1, Stdout, b"a\nb");
        ring.push(1, Stdout, b"c\n");
        ring.push(1, Stderr, b"x\n");
        ring.push(2, Stdout, b"d\n");
        let written = Written::from_bytes(&ring.written().to_bytes()).unwrap();
        let piece = |at_unix_ms, stream, text: &str| Piece {
            at_unix_ms,
            stream,
            text: text.as_bytes().to_owned(),
        };
        let pieces =
            vec![piece(1, Stdout, "a\nbc\n"), piece(1, Stderr, "x\n"), piece(2, Stdout, "d\n")];
        assert_eq!(written, Written { pieces, ..Written::default() });
    }

    #[test]
    fn the_newest_is_kept_by_whole_lines_and_the_lost_ones_are_counted() {
        let mut ring = Ring::default();
        const LINES: u64 = 100_000;
        ring.push(0, Stderr, b"an error\n");
        for line in 0..LINES {
            // Lines that end in other pieces than they begin in.
            ring.push(line / 500, Stdout, format!("line {line}").as_bytes());
            ring.push(line / 500, Stdout, b"\n");
        }
        assert!(ring.text.len() <= ROOM_BYTES);
        let written = ring.written();
        assert_eq!(written.lost_stderr_lines, 1);
        let kept = text_of(&written, Stdout);
        let first = written.lost_stdout_lines;
        assert_eq!(kept.lines().count() as u64, LINES - first);
        assert_eq!(kept.lines().next(), Some(format!("line {first}").as_str()));
        assert!(kept.ends_with(&format!("line {}\n", LINES - 1)));
        assert!(kept.len() > ROOM_BYTES - 2 * PIECE_BYTES_MAX, "{}", kept.len());
    }

    #[test]
    fn single_bytes_take_little_room() {
        let mut ring = Ring::default();
        for at in 0..1_000_000 {
            ring.push(at, if at % 2 == 0 { Stdout } else { Stderr }, b"\n");
        }
        assert_eq!(ring.pieces.len(), PIECES_MAX);
        let written = ring.written();
        assert_eq!(written.pieces.len(), PIECES_MAX);
        let lost = written.lost_stdout_lines + written.lost_stderr_lines;
        assert_eq!(lost, 1_000_000 - PIECES_MAX as u64);
    }

    #[test]
    fn a_line_without_an_end_that_is_too_long_is_one_lost_line() {
        let mut ring = Ring::default();
        ring.push(1, Stdout, &vec![b'x'; ROOM_BYTES + 1]);
        let Written { lost_stdout_lines, pieces, .. } = ring.written();
        assert_eq!((lost_stdout_lines, pieces), (1, Vec::new()));
        ring.push(2, Stdout, b"y\nz");
        let written = ring.written();
        assert_eq!((written.lost_stdout_lines, text_of(&written, Stdout)), (1, "z".to_owned()));
    }

    #[test]
    fn what_a_lost_host_has_not_told_comes_first() {
        let mut ring = Ring::default();
        ring.push(1, Stdout, &vec![b'\n'; ROOM_BYTES + 1]);
        ring.push(2, Stdout, b"told\n");
        ring.push(3, Stdout, b"not told\n");
        let handed = ring.written();
        assert!(handed.lost_stdout_lines > 0);
        let mut bytes = handed.to_bytes();

        assert_eq!(Ring::after(&bytes).written(), handed);
        let pieces = handed.pieces.len() as u32;
        bytes[..8].copy_from_slice(&told(true, pieces - 1));
        let mut next = Ring::after(&bytes);
        next.push(4, Stdout, b"new\n");
        let written = next.written();
        assert_eq!(written.lost_stdout_lines, 0);
        assert_eq!(text_of(&written, Stdout), "not told\nnew\n");
        bytes[..8].copy_from_slice(&told(true, pieces));
        assert!(Ring::after(&bytes).is_empty());
    }

    #[test]
    fn other_bytes_are_nothing() {
        let whole = {
            let mut ring = Ring::default();
            ring.push(1, Stderr, b"text");
            ring.written().to_bytes()
        };
        for length in (0..HEADER_BYTES).chain(HEADER_BYTES + 1..whole.len()) {
            assert_eq!(Written::from_bytes(&whole[..length]), None, "{length}");
        }
        assert!(Ring::after(b"").is_empty());
    }
}

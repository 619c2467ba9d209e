//! The cutter: bytes in, whole lines or pieces of long lines out.

use super::Lines;
use memchr::{memchr, memchr_iter, memrchr};
use rustix::buffer::spare_capacity;
use std::io;
use std::os::fd::OwnedFd;

/// The longest line, without its end, that is delivered in one piece.
pub const LINE_BYTES: usize = 64 << 10;
/// The most lines of one delivery, however short they are: each costs the receiver work.
pub const MOST_LINES: usize = 1 << 10;

/// Cuts a stream of bytes into lines.
#[derive(Default)]
pub struct LineCutter {
    /// Bytes that were cut off already, then those that were not.
    bytes: Vec<u8>,
    /// How many of `bytes` were cut off.
    cut: usize,
    /// How many of the bytes after `cut` are known to hold no line end.
    searched: usize,
}

impl LineCutter {
    /// Reads up to this many bytes. The caller then calls [`cut`](Self::cut) until it returns
    /// `None`.
    pub fn read(&mut self, pipe: &OwnedFd, bytes: usize) -> io::Result<usize> {
        self.drop_cut();
        self.bytes.reserve(bytes);
        Ok(rustix::io::read(pipe, spare_capacity(&mut self.bytes))?)
    }

    /// The bytes that the last read has added.
    pub fn newest(&self, bytes: usize) -> &[u8] {
        &self.bytes[self.bytes.len() - bytes..]
    }

    /// Adds bytes that came by another way than a pipe. The caller then calls
    /// [`cut`](Self::cut) until it returns `None`.
    pub fn push(&mut self, bytes: &[u8]) {
        self.drop_cut();
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the beginning of a line whose end has not come.
    pub fn take_begun(&mut self) -> Vec<u8> {
        self.drop_cut();
        std::mem::take(&mut self.bytes)
    }

    /// Frees the buffer while there is nothing to read: most tenants are quiet most of the time.
    pub fn free_buffer(&mut self) {
        self.drop_cut();
        self.bytes.shrink_to_fit();
    }

    fn drop_cut(&mut self) {
        self.bytes.drain(..std::mem::take(&mut self.cut));
    }

    /// The next whole lines, at most [`MOST_LINES`] and together at most [`LINE_BYTES`], or the
    /// next piece of a longer line.
    pub fn cut(&mut self) -> Option<Lines> {
        let left = &self.bytes[self.cut..];
        let (text, count, ends, bytes) = if let Some(last) = last_end(left, self.searched) {
            let (end, count) = end_of_most(&left[..last]);
            (joined(&left[..end]), count, count, end + 1)
        } else if is_too_long(left) {
            let piece = whole_characters(&left[..LINE_BYTES]);
            (decode(&left[..piece]), 1, 0, piece)
        } else {
            self.searched = left.len();
            return None;
        };
        self.cut += bytes;
        self.searched = 0;
        Some(Lines { text, count, ends, written_at_ms: None })
    }

    /// The last line, if it had no end.
    pub fn finish(&mut self) -> Option<Lines> {
        let rest = self.take_begun();
        let text = (!rest.is_empty()).then(|| decode(&rest))?;
        Some(Lines { text, count: 1, ends: 0, written_at_ms: None })
    }
}

/// The end of the last line of the next delivery, and the number of its lines.
fn end_of_most(lines: &[u8]) -> (usize, usize) {
    // The iterator is lazy: to find that there are too many, only the first are looked at.
    let ends = || memchr_iter(b'\n', lines);
    if lines.len() >= MOST_LINES
        && let Some(end) = ends().nth(MOST_LINES - 1)
    {
        return (end, MOST_LINES);
    }
    (lines.len(), ends().count() + 1)
}

/// The end of the last line within [`LINE_BYTES`]. The first `searched` bytes hold no line end.
fn last_end(bytes: &[u8], searched: usize) -> Option<usize> {
    let window = &bytes[searched..bytes.len().min(LINE_BYTES + 1)];
    let end_of_longest = || bytes.get(LINE_BYTES..)?.starts_with(b"\r\n").then_some(LINE_BYTES + 1);
    memrchr(b'\n', window).map(|offset| searched + offset).or_else(end_of_longest)
}

/// Whether a line that does not end in these bytes is too long. A trailing `\r` may turn out to be
/// part of the line end.
fn is_too_long(bytes: &[u8]) -> bool {
    bytes.get(LINE_BYTES..).is_some_and(|more| !matches!(more, b"" | b"\r"))
}

/// Replaces each `\r\n` between lines by `\n`.
fn joined(lines: &[u8]) -> String {
    if memchr(b'\r', lines).is_none() {
        return decode(lines);
    }
    let mut text = Vec::with_capacity(lines.len());
    for line in lines.split(|byte| *byte == b'\n') {
        text.extend_from_slice(without_return(line));
        text.push(b'\n');
    }
    text.pop();
    decode(&text)
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The length of `bytes` without an incomplete character at the end.
pub(super) fn whole_characters(bytes: &[u8]) -> usize {
    let tail = bytes.len().saturating_sub(3);
    for start in (tail..bytes.len()).rev() {
        let needed = match bytes[start] {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if start + needed > bytes.len() { start } else { bytes.len() };
    }
    bytes.len()
}

/// Converts to text. Most output is valid UTF-8; checking for that first is thirty times as fast
/// as replacing invalid bytes.
fn decode(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::PIPE_BYTES;
    use super::*;

    /// The lines of `input`, read in portions of at most `portion` bytes.
    fn lines(input: &[u8], portion: usize) -> Vec<String> {
        let mut cutter = LineCutter::default();
        let mut lines = Vec::new();
        for chunk in input.chunks(portion) {
            cutter.bytes.extend_from_slice(chunk);
            while let Some(Lines { text, count, .. }) = cutter.cut() {
                assert_eq!(text.split('\n').count(), count);
                assert!(count <= MOST_LINES);
                lines.extend(text.split('\n').map(str::to_owned));
            }
        }
        lines.extend(cutter.finish().map(|last| last.text));
        lines
    }

    #[test]
    fn line_ends_are_removed_however_the_reads_fall() {
        let input = "a\r\nb\n\nc\rd\r\n\r\nlast\r".as_bytes();
        for portion in 1..input.len() + 1 {
            assert_eq!(
                lines(input, portion),
                ["a", "b", "", "c\rd", "", "last\r"],
                "portions of {portion}"
            );
        }
    }

    #[test]
    fn no_final_newline_and_no_output() {
        assert_eq!(lines(b"no end", 100), ["no end"]);
        assert_eq!(lines(b"end\n", 100), ["end"]);
        assert_eq!(lines(b"", 100), [] as [String; 0]);
    }

    #[test]
    fn split_and_invalid_characters() {
        let input = "grüße 🦀\n".as_bytes();
        for portion in 1..input.len() + 1 {
            assert_eq!(lines(input, portion), ["grüße 🦀"]);
        }
        assert_eq!(lines(b"a\xffb\xc3\nc\n", 3), ["a\u{fffd}b\u{fffd}", "c"]);
    }

    #[test]
    fn lines_of_64_kib_are_whole_and_longer_ones_come_in_pieces() {
        for portion in [1000, 4096, PIPE_BYTES, 1 << 20] {
            for end in ["\n", "\r\n", ""] {
                let whole = "x".repeat(LINE_BYTES);
                assert_eq!(lines(format!("{whole}{end}").as_bytes(), portion), [whole.as_str()]);
                let longer = format!("{whole}{whole}y");
                let pieces = [whole.clone(), whole.clone(), "y".into()];
                assert_eq!(lines(format!("{longer}{end}").as_bytes(), portion), pieces);
            }
        }
    }

    #[test]
    fn very_short_lines_are_not_more_at_once_than_others() {
        for more in [0, 1, MOST_LINES - 1, MOST_LINES, 64 * MOST_LINES] {
            for end in ["\n", "\r\n"] {
                let input = end.repeat(MOST_LINES + more);
                assert_eq!(lines(input.as_bytes(), input.len()), vec![""; MOST_LINES + more]);
            }
        }
    }

    #[test]
    fn a_long_line_among_short_ones() {
        for portion in [1000, PIPE_BYTES, 1 << 20] {
            let long = "y".repeat(LINE_BYTES + 1);
            let found = lines(format!("a\nb\n{long}\nc\n").as_bytes(), portion);
            assert_eq!(found, ["a", "b", &long[1..], "y", "c"], "portions of {portion}");
        }
    }

    #[test]
    fn a_piece_never_cuts_a_character() {
        for shift in 0..4 {
            let line = format!("{}{}", "x".repeat(shift), "🦀".repeat(40_000));
            let pieces = lines(format!("{line}\n").as_bytes(), PIPE_BYTES);
            assert!(pieces.len() > 1 && pieces.iter().all(|piece| piece.len() <= LINE_BYTES));
            assert_eq!(pieces.concat(), line);
        }
    }
}

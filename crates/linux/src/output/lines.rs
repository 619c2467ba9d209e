//! Cuts a tenant's output into lines: bytes from its pipes in, whole lines out.
//!
//! Reading pauses while the sink has not taken the last lines; the pipe then fills, and the kernel
//! makes the tenant wait. Lines of up to 64 KiB arrive whole; longer lines arrive in pieces of 64
//! KiB, so that no line can fill the memory.

use crate::threads::clock;
use crate::threads::watched::watch;
use memchr::{memchr, memchr_iter, memrchr};
use rustix::buffer::spare_capacity;
use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use tokio::sync::watch as flag;

/// The longest line, without its end, that is delivered in one piece.
pub const LINE_BYTES: usize = 64 << 10;
/// The most lines of one delivery, however short they are: each costs the receiver work.
pub const MOST_LINES: usize = 1 << 10;
/// After this many lines the engine's other tasks get a turn, even in the middle of one read.
const LINES_PER_TURN: usize = 4 * MOST_LINES;
/// The default capacity of a pipe.
const PIPE_BYTES: usize = 64 << 10;
/// The capacity of a pipe that is being flooded. Each time a pipe is full or empty, its writer or
/// reader sleeps and has to be woken; a pipe four times as large makes that a fourth as frequent.
/// Not for all pipes, since the kernel limits the total capacity of a user's pipes.
const FLOODED_PIPE_BYTES: usize = 256 << 10;
/// This much output within `FLOOD_MS` is a flood. It is more than the queue to JavaScript holds,
/// so output whose lines are handled slowly never counts as one: there a larger pipe would only
/// hold more lines that an exit has to wait for.
const FLOOD_BYTES: usize = 1 << 20;
const FLOOD_MS: u64 = 20;
/// How much of the last output is kept to explain a failed start or an exit. Each stream has half
/// of it, whatever the other writes.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: usize = 4 << 10;
/// How much is kept of one line.
const TAIL_LINE_BYTES: usize = 1 << 10;

/// Standard output or standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// One or more lines, joined by `\n`, without the end of the last one.
#[derive(Debug)]
pub struct Lines {
    pub text: String,
    pub count: usize,
}

/// The receiver of lines.
pub trait LineSink: Sync {
    /// Takes lines. No more output is read until the future is done.
    fn deliver(&self, stream: Stream, lines: Lines) -> impl Future<Output = ()> + Send;
}

/// Delivers all output of the pipe, until its end. `ended` turns true when the process tree is
/// gone: from then on no more is read than the pipe can hold, even if a process outside the tree
/// has the write end open.
pub async fn pump(pipe: OwnedFd, stream: Stream, sink: &impl LineSink, mut ended: flag::Receiver<bool>) {
    let mut cutter = LineCutter::default();
    if let Err(error) = read_to_end(pipe, stream, sink, &mut cutter, &mut ended).await {
        tracing::warn!(%error, ?stream, "reading a tenant's output failed");
    }
    if let Some(lines) = cutter.finish() {
        sink.deliver(stream, lines).await;
    }
}

async fn read_to_end(
    pipe: OwnedFd,
    stream: Stream,
    sink: &impl LineSink,
    cutter: &mut LineCutter,
    ended: &mut flag::Receiver<bool>,
) -> io::Result<()> {
    let pipe = watch(pipe)?;
    // Bytes that the tree can have left in the pipe, once it is gone.
    let mut left_bytes = None;
    let mut capacity = Capacity::new();
    loop {
        if left_bytes.is_none() && *ended.borrow() {
            left_bytes = Some(fcntl_getpipe_size(pipe.get_ref())?);
        }
        if left_bytes == Some(0) {
            return Ok(());
        }
        match cutter.read(pipe.get_ref(), capacity.bytes) {
            Ok(0) => return Ok(()),
            Ok(bytes) => {
                left_bytes = left_bytes.map(|left_bytes| left_bytes.saturating_sub(bytes));
                capacity.after_read(pipe.get_ref(), bytes, clock::steady_ms());
                // Bounded, so that other tasks get their turn beside a tenant that writes without
                // end, and beside one with very many short lines in a single read.
                let mut lines_left = LINES_PER_TURN;
                while let Some(lines) = cutter.cut() {
                    if lines_left < lines.count {
                        tokio::task::yield_now().await;
                        lines_left = LINES_PER_TURN;
                    }
                    lines_left -= lines.count;
                    sink.deliver(stream, lines).await;
                }
                tokio::task::yield_now().await;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if left_bytes.is_some() {
                    return Ok(());
                }
                capacity.found_empty(pipe.get_ref());
                cutter.free_buffer();
                tokio::select! {
                    ready = pipe.readable() => ready?.clear_ready(),
                    _ = ended.changed() => {}
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// The pipe's capacity, chosen by how fast output is written and taken.
struct Capacity {
    bytes: usize,
    read_bytes: usize,
    since_ms: u64,
}

impl Capacity {
    fn new() -> Capacity {
        Capacity { bytes: PIPE_BYTES, read_bytes: 0, since_ms: 0 }
    }

    fn after_read(&mut self, pipe: &OwnedFd, bytes: usize, now_ms: u64) {
        self.read_bytes += bytes;
        if self.read_bytes >= FLOOD_BYTES {
            let is_flood = now_ms - self.since_ms <= FLOOD_MS;
            (self.read_bytes, self.since_ms) = (0, now_ms);
            self.set(pipe, if is_flood { FLOODED_PIPE_BYTES } else { PIPE_BYTES });
        }
    }

    fn found_empty(&mut self, pipe: &OwnedFd) {
        self.set(pipe, PIPE_BYTES);
    }

    /// Leaves the capacity as it is where the kernel refuses the new one, for example because the
    /// pipe holds more than that.
    fn set(&mut self, pipe: &OwnedFd, bytes: usize) {
        if self.bytes != bytes {
            self.bytes = fcntl_setpipe_size(pipe, bytes).unwrap_or(self.bytes);
        }
    }
}

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
        let (text, count, bytes) = if let Some(last) = last_end(left, self.searched) {
            let (end, count) = end_of_most(&left[..last]);
            (joined(&left[..end]), count, end + 1)
        } else if is_too_long(left) {
            let piece = whole_characters(&left[..LINE_BYTES]);
            (decode(&left[..piece]), 1, piece)
        } else {
            self.searched = left.len();
            return None;
        };
        self.cut += bytes;
        self.searched = 0;
        Some(Lines { text, count })
    }

    /// The last line, if it had no end.
    pub fn finish(&mut self) -> Option<Lines> {
        self.drop_cut();
        let rest = std::mem::take(&mut self.bytes);
        (!rest.is_empty()).then(|| Lines { text: decode(&rest), count: 1 })
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

/// The first part of a line, as kept in the [`Tail`].
fn beginning_of(line: &str) -> &str {
    &line[..whole_characters(&line.as_bytes()[..line.len().min(TAIL_LINE_BYTES)])]
}

/// The length of `bytes` without an incomplete character at the end.
fn whole_characters(bytes: &[u8]) -> usize {
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

/// The last lines of a process's output, which usually tell why it did not start, or why it ended.
#[derive(Default)]
pub struct Tail {
    /// The lines in the order in which they were read.
    lines: VecDeque<(Stream, String)>,
}

impl Tail {
    pub fn add(&mut self, stream: Stream, text: &str) {
        let newest = text.rsplit('\n').take(TAIL_LINES).collect::<Vec<_>>();
        for line in newest.into_iter().rev() {
            self.lines.push_back((stream, beginning_of(line).to_owned()));
            while !self.fits(&[Stream::Stdout, Stream::Stderr], 1) {
                self.drop_oldest();
            }
        }
    }

    /// Whether the lines of these streams take at most one `part`th of the room.
    fn fits(&self, streams: &[Stream], part: usize) -> bool {
        let lengths =
            || self.lines.iter().filter(|(stream, _)| streams.contains(stream)).map(|(_, line)| line.len());
        lengths().count() <= TAIL_LINES / part && lengths().sum::<usize>() <= TAIL_BYTES / part
    }

    /// Drops the oldest line of a stream that has more than its half.
    fn drop_oldest(&mut self) {
        let loud = [Stream::Stdout, Stream::Stderr].map(|stream| (stream, !self.fits(&[stream], 2)));
        let oldest = self.lines.iter().position(|(stream, _)| loud.contains(&(*stream, true)));
        self.lines.remove(oldest.unwrap_or(0));
    }

    pub fn text(&self) -> String {
        self.lines.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `input`, read in portions of at most `portion` bytes.
    fn lines(input: &[u8], portion: usize) -> Vec<String> {
        let mut cutter = LineCutter::default();
        let mut lines = Vec::new();
        for chunk in input.chunks(portion) {
            cutter.bytes.extend_from_slice(chunk);
            while let Some(Lines { text, count }) = cutter.cut() {
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
            assert_eq!(lines(input, portion), ["a", "b", "", "c\rd", "", "last\r"], "portions of {portion}");
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

    #[test]
    fn the_tail_keeps_the_last_lines_only() {
        let mut tail = Tail::default();
        for n in 0..100 {
            tail.add(Stream::Stdout, &format!("line {n}\nand {n}"));
        }
        assert_eq!(tail.text().lines().count(), TAIL_LINES);
        assert!(tail.text().ends_with("line 99\nand 99"));
        for line in ["x".repeat(1 << 20), "🦀".repeat(1 << 10), format!("x{}", "🦀".repeat(1 << 10))] {
            for _ in 0..10 {
                tail.add(Stream::Stdout, &line);
                assert!(tail.text().len() <= TAIL_BYTES + TAIL_LINES);
                assert!(line.starts_with(tail.text().lines().last().unwrap()));
            }
        }
    }

    #[test]
    fn neither_stream_pushes_the_last_lines_of_the_other_out_of_the_tail() {
        for (quiet, loud) in [(Stream::Stderr, Stream::Stdout), (Stream::Stdout, Stream::Stderr)] {
            let mut tail = Tail::default();
            tail.add(loud, "before");
            tail.add(quiet, "why\nit ends");
            for n in 0..1_000 {
                tail.add(loud, &format!("noise {n}"));
            }
            let text = tail.text();
            assert!(text.starts_with("why\nit ends\nnoise 982\n") && text.ends_with("\nnoise 999"), "{text}");
            tail.add(quiet, &"more\n".repeat(1_000));
            let lines = tail.text().lines().filter(|line| line.starts_with("noise")).count();
            assert_eq!(lines, TAIL_LINES / 2, "each has its half");
        }
    }

    struct Seen(std::sync::Mutex<Vec<String>>);

    impl LineSink for Seen {
        async fn deliver(&self, _: Stream, lines: Lines) {
            self.0.lock().unwrap().extend(lines.text.split('\n').map(str::to_owned));
            // Takes lines more slowly than they are written.
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_writer_outside_the_tree_does_not_delay_the_end() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        rustix::io::ioctl_fionbio(&reader, true).unwrap();
        rustix::io::write(&writer, b"from the tree\n").unwrap();
        let outsider = std::thread::spawn(move || {
            let noise = b"noise\n".repeat(1_000);
            while rustix::io::write(&writer, &noise).is_ok() {}
        });
        let lines = Seen(Default::default());
        let (_tell, ended) = flag::channel(true);
        pump(reader, Stream::Stdout, &lines, ended).await;
        outsider.join().unwrap();
        let lines = lines.0.into_inner().unwrap();
        assert_eq!(lines[0], "from the tree");
        assert!(lines.len() * 6 < 4 * PIPE_BYTES, "{} lines", lines.len());
    }

    #[tokio::test]
    async fn very_many_lines_in_one_pipe_leave_turns_to_others() {
        const LINES: usize = 16 * LINES_PER_TURN;
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        rustix::io::ioctl_fionbio(&reader, true).unwrap();
        fcntl_setpipe_size(&writer, LINES).unwrap();
        assert_eq!(rustix::io::write(&writer, &b"\n".repeat(LINES)).unwrap(), LINES);
        drop(writer);

        struct Counted(std::sync::atomic::AtomicUsize);
        impl LineSink for Counted {
            async fn deliver(&self, _: Stream, lines: Lines) {
                self.0.fetch_add(lines.count, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let counted = Counted(Default::default());
        let (_tell, ended) = flag::channel(true);
        let count = || counted.0.load(std::sync::atomic::Ordering::Relaxed);
        let others = async {
            let mut most_between = 0;
            while count() < LINES {
                let before = count();
                tokio::task::yield_now().await;
                most_between = most_between.max(count() - before);
            }
            most_between
        };
        let ((), most_between) = tokio::join!(biased; pump(reader, Stream::Stdout, &counted, ended), others);
        assert!(most_between <= LINES_PER_TURN, "{most_between} lines in a row");
    }

    #[test]
    fn a_pipe_holds_more_while_much_comes_in_little_time_and_it_is_not_found_empty() {
        let (pipe, _writer) = rustix::pipe::pipe().unwrap();
        let mut capacity = Capacity::new();
        let mut after = |bytes, now_ms| {
            match bytes {
                0 => capacity.found_empty(&pipe),
                bytes => capacity.after_read(&pipe, bytes, now_ms),
            }
            assert_eq!(fcntl_getpipe_size(&pipe).unwrap(), capacity.bytes);
            capacity.bytes
        };
        assert_eq!(after(FLOOD_BYTES, 1_000), PIPE_BYTES);
        assert_eq!(after(FLOOD_BYTES - 1, 1_000), PIPE_BYTES);
        assert_eq!(after(1, 1_000 + FLOOD_MS), FLOODED_PIPE_BYTES);
        assert_eq!(after(FLOOD_BYTES - 1, 1_000 + FLOOD_MS), FLOODED_PIPE_BYTES);
        assert_eq!(after(1, 1_001 + 2 * FLOOD_MS), PIPE_BYTES, "it comes slower");
        assert_eq!(after(FLOOD_BYTES, 1_001 + 2 * FLOOD_MS), FLOODED_PIPE_BYTES);
        assert_eq!(after(0, 1_001 + 2 * FLOOD_MS), PIPE_BYTES, "it is empty");
    }
}

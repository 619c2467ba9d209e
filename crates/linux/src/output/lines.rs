//! Cuts a tenant's output into lines: bytes from its pipes in, whole lines out.
//!
//! Reading pauses while the sink has not taken the last lines; the pipe then fills, and the kernel
//! makes the tenant wait. Lines of up to 64 KiB arrive whole; longer lines arrive in pieces of 64
//! KiB, so that no line can fill the memory.

mod cutter;
mod tail;

pub use self::cutter::{LINE_BYTES, LineCutter, MOST_LINES};
pub use self::tail::Tail;

use crate::threads::clock;
use crate::threads::watched::watch;
use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size};
use std::io;
use std::os::fd::OwnedFd;
use tokio::sync::watch as flag;

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
    /// How many of them came with their ends: all, or of a piece of a longer line none.
    pub ends: usize,
    /// When they were written, in milliseconds since the epoch; `None`: just now.
    pub written_at_ms: Option<u64>,
}

/// How far the output of a tree is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// The tree is there.
    Running,
    /// The tree is gone: no more is read than the pipe can hold, even if a process outside the tree
    /// has the write end open.
    Ended,
    /// Another host goes on: nothing more is read.
    LetGo,
}

/// The receiver of lines.
pub trait LineSink: Sync {
    /// Takes lines. No more output is read until the future is done.
    fn deliver(&self, stream: Stream, lines: Lines) -> impl Future<Output = ()> + Send;

    /// These bytes were taken from the pipe.
    fn has_read(&self, _stream: Stream, _bytes: &[u8]) {}
}

/// Makes reads of this end of a pipe not wait, as [`pump`] needs it.
pub fn unblocked(pipe: &OwnedFd) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(pipe, true)?)
}

/// Delivers all output of the pipe, until its end, or until the tree is let go: the beginning of a
/// line that was read then stays in the cutter.
pub async fn pump(
    pipe: OwnedFd,
    stream: Stream,
    sink: &impl LineSink,
    cutter: &mut LineCutter,
    mut course: flag::Receiver<Course>,
) {
    if let Err(error) = read_to_end(pipe, stream, sink, cutter, &mut course).await {
        tracing::warn!(%error, ?stream, "reading a tenant's output failed");
    }
    if *course.borrow() == Course::LetGo {
        return;
    }
    if let Some(lines) = cutter.finish() {
        sink.deliver(stream, lines).await;
    }
}

/// Delivers the whole lines that the cutter has. Bounded, so that other tasks get their turn beside
/// a tenant that writes without end, and beside one with very many short lines in a single read.
pub async fn deliver_lines(
    cutter: &mut LineCutter,
    stream: Stream,
    written_at_ms: Option<u64>,
    sink: &impl LineSink,
) {
    let mut lines_left = LINES_PER_TURN;
    while let Some(lines) = cutter.cut() {
        if lines_left < lines.count {
            tokio::task::yield_now().await;
            lines_left = LINES_PER_TURN;
        }
        lines_left -= lines.count;
        sink.deliver(stream, Lines { written_at_ms, ..lines }).await;
    }
}

async fn read_to_end(
    pipe: OwnedFd,
    stream: Stream,
    sink: &impl LineSink,
    cutter: &mut LineCutter,
    course: &mut flag::Receiver<Course>,
) -> io::Result<()> {
    let pipe = watch(pipe)?;
    // Bytes that the tree can have left in the pipe, once it is gone.
    let mut left_bytes = None;
    let mut capacity = Capacity::new();
    loop {
        match *course.borrow() {
            Course::LetGo => return Ok(()),
            Course::Ended if left_bytes.is_none() => {
                left_bytes = Some(fcntl_getpipe_size(pipe.get_ref())?);
            }
            Course::Ended | Course::Running => {}
        }
        if left_bytes == Some(0) {
            return Ok(());
        }
        match cutter.read(pipe.get_ref(), capacity.bytes) {
            Ok(0) => return Ok(()),
            Ok(bytes) => {
                left_bytes = left_bytes.map(|left_bytes| left_bytes.saturating_sub(bytes));
                sink.has_read(stream, cutter.newest(bytes));
                capacity.after_read(pipe.get_ref(), bytes, clock::steady_ms());
                deliver_lines(cutter, stream, None, sink).await;
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
                    _ = course.changed() => {}
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

#[cfg(test)]
mod tests {
    use super::*;

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
        let (_tell, course) = flag::channel(Course::Ended);
        pump(reader, Stream::Stdout, &lines, &mut LineCutter::default(), course).await;
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
        let (_tell, course) = flag::channel(Course::Ended);
        let mut cutter = LineCutter::default();
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
        let ((), most_between) = tokio::join!(biased; pump(reader, Stream::Stdout, &counted, &mut cutter, course), others);
        assert!(most_between <= LINES_PER_TURN, "{most_between} lines in a row");
    }

    #[tokio::test]
    async fn a_pipe_that_is_let_go_is_read_no_more_and_the_begun_line_is_kept() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        rustix::io::ioctl_fionbio(&reader, true).unwrap();
        rustix::io::write(&writer, b"whole\nbegun").unwrap();
        let lines = Seen(Default::default());
        let mut cutter = LineCutter::default();
        let (tell, course) = flag::channel(Course::Running);
        let next = reader.try_clone().unwrap();
        let let_go = async {
            while lines.0.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            tell.send_replace(Course::LetGo);
        };
        tokio::join!(pump(reader, Stream::Stdout, &lines, &mut cutter, course), let_go);
        assert_eq!(lines.0.into_inner().unwrap(), ["whole"]);
        assert_eq!(cutter.take_begun(), b"begun");
        rustix::io::write(&writer, b" ended\n").unwrap();
        let mut room = [0; 16];
        assert_eq!(rustix::io::read(&next, &mut room).unwrap(), 7, "it is left to the next host");
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

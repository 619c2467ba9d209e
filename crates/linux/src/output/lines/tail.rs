//! The last lines of a process's output, kept to explain a failed start or an exit.

use super::Stream;
use super::cutter::whole_characters;
use std::collections::VecDeque;

/// How much of the last output is kept to explain a failed start or an exit. Each stream has half
/// of it, whatever the other writes.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: usize = 4 << 10;
/// How much is kept of one line.
const TAIL_LINE_BYTES: usize = 1 << 10;

/// The last lines of a process's output, which usually tell why it did not start, or why it ended.
#[derive(Default)]
pub struct Tail {
    /// The lines in the order in which they were read.
    lines: VecDeque<(Stream, String)>,
}

impl Tail {
    /// Adds lines, separated by `\n`; the oldest make room.
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
        let lengths = || {
            self.lines
                .iter()
                .filter(|(stream, _)| streams.contains(stream))
                .map(|(_, line)| line.len())
        };
        lengths().count() <= TAIL_LINES / part && lengths().sum::<usize>() <= TAIL_BYTES / part
    }

    /// Drops the oldest line of a stream that has more than its half.
    fn drop_oldest(&mut self) {
        let loud =
            [Stream::Stdout, Stream::Stderr].map(|stream| (stream, !self.fits(&[stream], 2)));
        let oldest = self.lines.iter().position(|(stream, _)| loud.contains(&(*stream, true)));
        self.lines.remove(oldest.unwrap_or(0));
    }

    pub fn text(&self) -> String {
        self.lines.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n")
    }
}

/// The first part of a line, as kept in the [`Tail`].
fn beginning_of(line: &str) -> &str {
    &line[..whole_characters(&line.as_bytes()[..line.len().min(TAIL_LINE_BYTES)])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_keeps_the_last_lines_only() {
        let mut tail = Tail::default();
        for n in 0..100 {
            tail.add(Stream::Stdout, &format!("line {n}\nand {n}"));
        }
        assert_eq!(tail.text().lines().count(), TAIL_LINES);
        assert!(tail.text().ends_with("line 99\nand 99"));
        for line in
            ["x".repeat(1 << 20), "🦀".repeat(1 << 10), format!("x{}", "🦀".repeat(1 << 10))]
        {
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
            assert!(
                text.starts_with("why\nit ends\nnoise 982\n") && text.ends_with("\nnoise 999"),
                "{text}"
            );
            tail.add(quiet, &"more\n".repeat(1_000));
            let lines = tail.text().lines().filter(|line| line.starts_with("noise")).count();
            assert_eq!(lines, TAIL_LINES / 2, "each has its half");
        }
    }
}

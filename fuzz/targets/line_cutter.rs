//! A tenant's output, in whatever pieces it arrives, is cut into the lines that a simple cutter
//! finds in all of it at once: none is lost, none is longer than allowed, and the result does not
//! depend on where the pieces end.

#![no_main]

use arbitrary::Arbitrary;
use linux::output::lines::{LINE_BYTES, LineCutter};
use libfuzzer_sys::fuzz_target;
use rustix::pipe::{PipeFlags, pipe_with};

/// More parts take longer and test nothing more.
const PARTS_MAX: usize = 16;
/// The capacity of the tenant's pipe, and so the most that one read returns.
const PIPE_BYTES: usize = 64 << 10;

#[derive(Arbitrary, Debug)]
enum Part {
    Bytes(Vec<u8>),
    Text(String),
    /// A repeated character: long lines take many bytes, which a fuzzer would need long to
    /// generate.
    Filling {
        with: Filling,
        count: u32,
        around_limit: bool,
    },
    LineEnd {
        has_return: bool,
    },
    Read,
    Rest,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Filling {
    Letter,
    Umlaut,
    Euro,
    Emoji,
    Invalid,
    Return,
    EmptyLine,
}

impl Filling {
    fn bytes(self) -> &'static [u8] {
        match self {
            Filling::Letter => b"x",
            Filling::Umlaut => "ü".as_bytes(),
            Filling::Euro => "€".as_bytes(),
            Filling::Emoji => "🙂".as_bytes(),
            Filling::Invalid => b"\xff",
            Filling::Return => b"\r",
            Filling::EmptyLine => b"\n",
        }
    }
}

fuzz_target!(|parts: Vec<Part>| {
    let (pipe, writer) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
    let mut cutter = LineCutter::default();
    let mut lines: Vec<String> = Vec::new();
    let mut all: Vec<u8> = Vec::new();
    let mut pending: Vec<u8> = Vec::new();
    let mut read = |pending: &mut Vec<u8>, lines: &mut Vec<String>| {
        for piece in pending.chunks(PIPE_BYTES) {
            assert_eq!(rustix::io::write(&writer, piece).expect("room in the pipe"), piece.len());
            assert_eq!(cutter.read(&pipe, PIPE_BYTES).expect("what was written"), piece.len());
            while let Some(cut) = cutter.cut() {
                lines.extend(cut.text.split('\n').map(str::to_owned));
            }
        }
        pending.clear();
    };
    for part in parts.iter().take(PARTS_MAX) {
        let bytes = match part {
            Part::Bytes(bytes) => bytes.clone(),
            Part::Text(text) => text.clone().into_bytes(),
            Part::Filling { with, count, around_limit } => filling(*with, *count, *around_limit),
            Part::LineEnd { has_return: true } => b"\r\n".to_vec(),
            Part::LineEnd { has_return: false } => b"\n".to_vec(),
            Part::Read | Part::Rest => {
                read(&mut pending, &mut lines);
                continue;
            }
        };
        all.extend_from_slice(&bytes);
        pending.extend_from_slice(&bytes);
    }
    read(&mut pending, &mut lines);
    if let Some(last) = cutter.finish() {
        lines.push(last.text);
    }
    assert_eq!(lines, plainly(&all));
    // If the whole output is UTF-8, no character was cut in two.
    if let Ok(text) = str::from_utf8(&all) {
        let replaced = |text: &str| text.matches(char::REPLACEMENT_CHARACTER).count();
        assert_eq!(lines.iter().map(|line| replaced(line)).sum::<usize>(), replaced(text));
    }
});

fn filling(with: Filling, count: u32, around_limit: bool) -> Vec<u8> {
    let piece = with.bytes();
    let count = count as usize;
    let times = if around_limit { LINE_BYTES / piece.len() - 4 + count % 8 } else { count % 2_048 };
    piece.repeat(times)
}

/// Cuts all output at once, in the simplest way.
fn plainly(all: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = all;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let line = &rest[..end.unwrap_or(rest.len())];
        let content = if end.is_some() { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
        let may_end_later = end.is_none() && line.len() == LINE_BYTES + 1 && line.ends_with(b"\r");
        if content.len() > LINE_BYTES && !may_end_later {
            let piece = whole_characters(&rest[..LINE_BYTES]);
            lines.push(String::from_utf8_lossy(&rest[..piece]).into_owned());
            rest = &rest[piece..];
        } else {
            lines.push(String::from_utf8_lossy(content).into_owned());
            rest = &rest[end.map_or(rest.len(), |end| end + 1)..];
        }
    }
    lines
}

/// The length of `bytes` without an incomplete character at the end, by the length that its first
/// byte announces.
fn whole_characters(bytes: &[u8]) -> usize {
    let Some(behind) = bytes.iter().rev().take(3).position(|byte| !(0x80..=0xbf).contains(byte)) else {
        return bytes.len();
    };
    let start = bytes.len() - 1 - behind;
    let needed = match bytes[start] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    if needed > behind + 1 { start } else { bytes.len() }
}

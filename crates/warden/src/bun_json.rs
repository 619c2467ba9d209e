//! Parses the JSON that Bun accepts in a `package.json`, which is more than JSON: comments,
//! trailing commas, single quotes, numbers and white space as in JavaScript, invalid UTF-8 in
//! strings and comments, and nearly anything behind the end.
//!
//! Text that is accepted here is accepted by both Bun 1.3 and 1.4. Text that only one of them
//! accepts is refused (bare keys, say), and so is nesting that overflows a small stack in either.

use std::fmt;

/// The deepest nesting that is accepted; Bun 1.3 reads 5,000 levels with the usual stack.
const MOST_LEVELS: usize = 1_000;

const LITTLE_ENDIAN_MARK: &[u8] = b"\xff\xfe";

/// White space beyond ASCII. The byte order mark is part of it, at any place.
const WHITE_SPACE: &str = "\u{a0}\u{1680}\u{2000}\u{2001}\u{2002}\u{2003}\u{2004}\u{2005}\u{2006}\u{2007}\u{2008}\
                           \u{2009}\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}\u{feff}";

/// A value, reduced to what is needed here.
#[derive(Debug, PartialEq, Eq)]
pub enum Value {
    /// Keys and values in the order of the text; a key may occur twice.
    Object(Vec<(String, Self)>),
    Text(String),
    Other,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    wanted: &'static str,
    line: usize,
    /// Counted in characters, from 1.
    column: usize,
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted, line, column } = self;
        write!(out, "{wanted} expected at line {line} column {column}")
    }
}

pub fn parse(text: &[u8]) -> Result<Value, Mistake> {
    let transcoded = text.strip_prefix(LITTLE_ENDIAN_MARK).map(from_utf16);
    let text = transcoded.as_ref().map_or(text, String::as_bytes);
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0).and_then(|value| reader.end().map(|()| value));
    value.map_err(|wanted| reader.mistake(wanted))
}

fn from_utf16(text: &[u8]) -> String {
    let (units, _) = text.as_chunks::<2>();
    let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    String::from_utf16_lossy(&units)
}

/// What was expected at the reader's position, as text for the message.
type Wanted = &'static str;

struct Reader<'text> {
    text: &'text [u8],
    at: usize,
}

impl Reader<'_> {
    fn mistake(&self, wanted: Wanted) -> Mistake {
        let before = &self.text[..self.at.min(self.text.len())];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        Mistake {
            wanted,
            line: before.iter().filter(|&&byte| byte == b'\n').count() + 1,
            column: String::from_utf8_lossy(&before[line_start..]).chars().count() + 1,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Skips the byte if it comes next; returns whether it did.
    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Skips all bytes of the kind; returns how many there were.
    fn take_all(&mut self, is_of_kind: impl Fn(u8) -> bool) -> usize {
        let start = self.at;
        while self.peek().is_some_and(&is_of_kind) {
            self.at += 1;
        }
        self.at - start
    }

    /// Skips white space and comments, to the next token.
    fn skip(&mut self) -> Result<(), Wanted> {
        loop {
            let rest = &self.text[self.at..];
            self.at += match rest {
                [b' ' | b'\t'..=b'\r', ..] => 1,
                [b'/', b'/', ..] => line_comment_length(rest),
                [b'/', b'*', ..] => block_comment_length(rest).ok_or("a comment with an end")?,
                [0x80..=0xff, ..] => match white_space_length(rest) {
                    0 => return Ok(()),
                    length => length,
                },
                _ => return Ok(()),
            };
        }
    }

    fn value(&mut self, level: usize) -> Result<Value, Wanted> {
        self.skip()?;
        match self.peek() {
            Some(b'{' | b'[') if level == MOST_LEVELS => Err("less nesting"),
            Some(b'{') => self.object(level + 1),
            Some(b'[') => self.array(level + 1),
            Some(b'"' | b'\'') => self.string().map(Value::Text),
            Some(b'-' | b'.' | b'0'..=b'9') => self.number(),
            _ => self.word(),
        }
    }

    fn object(&mut self, level: usize) -> Result<Value, Wanted> {
        let mut members = Vec::new();
        self.at += 1;
        loop {
            self.skip()?;
            if self.take(b'}') {
                return Ok(Value::Object(members));
            }
            let Some(b'"' | b'\'') = self.peek() else { return Err("a key in quotes") };
            let key = self.string()?;
            self.skip()?;
            if !self.take(b':') {
                return Err("a colon");
            }
            members.push((key, self.value(level)?));
            self.comma_unless(b'}', "a comma or }")?;
        }
    }

    fn array(&mut self, level: usize) -> Result<Value, Wanted> {
        self.at += 1;
        loop {
            self.skip()?;
            if self.take(b']') {
                return Ok(Value::Other);
            }
            self.value(level)?;
            self.comma_unless(b']', "a comma or ]")?;
        }
    }

    /// Requires a comma between two elements, and allows one behind the last.
    fn comma_unless(&mut self, end: u8, wanted: Wanted) -> Result<(), Wanted> {
        self.skip()?;
        if self.take(b',') || self.peek() == Some(end) { Ok(()) } else { Err(wanted) }
    }

    fn string(&mut self) -> Result<String, Wanted> {
        let quote = self.text[self.at];
        self.at += 1;
        let mut units: Vec<u16> = Vec::new();
        loop {
            let start = self.at;
            self.take_all(|byte| byte >= b' ' && byte != quote && byte != b'\\');
            units.extend(String::from_utf8_lossy(&self.text[start..self.at]).encode_utf16());
            if self.take(quote) {
                // Bun accepts a lone surrogate too.
                return Ok(String::from_utf16_lossy(&units));
            }
            if self.peek() != Some(b'\\') {
                return Err(if self.peek().is_none() {
                    "the closing quote"
                } else {
                    "no control character"
                });
            }
            units.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<u16, Wanted> {
        let kind = self.text.get(self.at + 1).copied().unwrap_or_default();
        let (unit, digits) = match kind {
            b'"' | b'\\' | b'/' | b'8' | b'9' => (u16::from(kind), 0),
            b'b' => (0x08, 0),
            b't' => (0x09, 0),
            b'n' => (0x0a, 0),
            b'v' => (0x0b, 0),
            b'f' => (0x0c, 0),
            b'r' => (0x0d, 0),
            b'x' => (0, 2),
            b'u' => (0, 4),
            _ => return Err("an escape sequence that JSON has"),
        };
        let hex = self.text.get(self.at + 2..self.at + 2 + digits).unwrap_or_default();
        if hex.len() < digits || !hex.iter().all(u8::is_ascii_hexdigit) {
            return Err("an escape sequence with all its digits");
        }
        self.at += 2 + digits;
        let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default() as u16;
        Ok(hex.iter().fold(unit, |unit, byte| unit << 4 | digit(*byte)))
    }

    fn number(&mut self) -> Result<Value, Wanted> {
        const WANTED: Wanted = "a number";
        if self.take(b'-') {
            self.skip()?;
        }
        let digits_of_base: Option<fn(u8) -> bool> =
            match self.text.get(self.at..).unwrap_or_default() {
                [b'0', b'x' | b'X', ..] => Some(|byte| byte.is_ascii_hexdigit()),
                [b'0', b'o' | b'O', ..] => Some(|byte| matches!(byte, b'0'..=b'7')),
                [b'0', b'b' | b'B', ..] => Some(|byte| matches!(byte, b'0' | b'1')),
                _ => None,
            };
        if let Some(is_digit) = digits_of_base {
            self.at += 2;
            return self.digits(is_digit).map(|_| Value::Other);
        }
        let is_digit = |byte: u8| byte.is_ascii_digit();
        if matches!(&self.text[self.at..], [b'0', b'0'..=b'9' | b'_', ..]) {
            self.take_all(is_digit);
            return Ok(Value::Other);
        }
        let starts_with_dot = self.peek() == Some(b'.');
        if !starts_with_dot {
            self.digits(is_digit).map_err(|_| WANTED)?;
        }
        if self.take(b'.') && (starts_with_dot || self.peek().is_some_and(is_digit)) {
            self.digits(is_digit)?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            self.digits(is_digit)?;
        }
        Ok(Value::Other)
    }

    /// Skips at least one digit; single underscores may stand between digits.
    fn digits(&mut self, is_digit: impl Fn(u8) -> bool) -> Result<(), Wanted> {
        loop {
            if self.take_all(&is_digit) == 0 {
                return Err("a digit");
            }
            if !self.take(b'_') {
                return Ok(());
            }
        }
    }

    /// Reads `true`, `false` or `null`. Letters right behind it are refused later, where a comma
    /// or an end is expected.
    fn word(&mut self) -> Result<Value, Wanted> {
        let rest = &self.text[self.at..];
        let words: [&[u8]; 3] = [b"true", b"false", b"null"];
        let word = words.into_iter().find(|word| rest.starts_with(word)).ok_or("a value")?;
        self.at += word.len();
        Ok(Value::Other)
    }

    /// Checks the text behind the value. Bun 1.4 reads only comments there; Bun 1.3 reads one more
    /// token, which must be a valid one.
    fn end(&mut self) -> Result<(), Wanted> {
        self.skip()?;
        let is_of_word = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii()
        };
        match self.peek() {
            None | Some(0..b' ' | b',' | b':' | b'(' | b')' | b'[' | b']' | b'{' | b'}') => {
                return Ok(());
            }
            Some(b'"' | b'\'') => return self.string().map(drop),
            Some(b'-' | b'.' | b'0'..=b'9') => drop(self.number()?),
            _ if self.take_all(is_of_word) == 0 => return Err("the end"),
            _ => {}
        }
        let goes_on = self.peek().is_some_and(|byte| is_of_word(byte) || byte == b'\\');
        if goes_on { Err("the end") } else { Ok(()) }
    }
}

fn line_comment_length(text: &[u8]) -> usize {
    let ends_line = |at: &usize| {
        matches!(text[*at], b'\n' | b'\r') || matches!(text[*at..], [0xe2, 0x80, 0xa8 | 0xa9, ..])
    };
    (0..text.len()).find(ends_line).unwrap_or(text.len())
}

/// The length of a block comment; `None` if it has no end.
fn block_comment_length(text: &[u8]) -> Option<usize> {
    text.windows(2).skip(2).position(|pair| pair == b"*/").map(|at| at + 4)
}

/// The length in bytes of the white space character at the start of `text`, or 0.
fn white_space_length(text: &[u8]) -> usize {
    let mut buffer = [0; 4];
    let mut lengths = WHITE_SPACE.chars().filter_map(|character| {
        let bytes = character.encode_utf8(&mut buffer).as_bytes();
        text.starts_with(bytes).then_some(bytes.len())
    });
    lengths.next().unwrap_or(0)
}

// The fuzz targets compile this file from another directory.
#[cfg(test)]
#[path = "bun_json/tests.rs"]
mod tests;

//! Header fields and trailers, line by line.

use crate::refusal::{Refusal, Why};

/// A field as it stands in the head.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    pub name: &'a [u8],
    /// Without the white space around it.
    pub value: &'a [u8],
}

impl<'a> Field<'a> {
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The elements of a list, without empty ones.
    pub fn elements(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.value
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .filter(|element| !element.is_empty())
    }
}

/// Reads a line without its end.
pub fn parse(line: &[u8]) -> Result<Field<'_>, Refusal> {
    let bad = |why| Err(Refusal::new(400, why));
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return bad(Why::FoldedField);
    }
    let end = line.iter().position(|byte| !IN_TOKENS[usize::from(*byte)]).unwrap_or(line.len());
    if end == 0 || line.get(end) != Some(&b':') {
        let has_colon = line.contains(&b':');
        return bad(if has_colon { Why::FieldName } else { Why::FieldWithoutColon });
    }
    let (name, value) = (&line[..end], &line[end + 1..]);
    if !all(value, is_text) {
        return bad(Why::FieldValue);
    }
    // Tabs and spaces only: what else `trim_ascii` takes is refused above.
    Ok(Field { name, value: value.trim_ascii() })
}

/// A word of the protocol: at least one character, and none that separates words.
pub fn is_token(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(|byte| IN_TOKENS[usize::from(*byte)])
}

/// Whether all bytes are such. Looks at each of them, which for long values takes less than to stop
/// at the first that is not: the processor looks at many at a time.
pub fn all(bytes: &[u8], is: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |all, byte| all & is(*byte))
}

/// Which bytes may be in a token (RFC 9110, 5.6.2).
const IN_TOKENS: [bool; 256] = alphanumeric_or(b"!#$%&'*+-.^_`|~");

/// Which bytes are letters, digits, or one of these others.
pub const fn alphanumeric_or(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// The lines of a block that ends in CRLF, without their ends. A carriage return or a line feed
/// elsewhere is an error: some programs take it as the end of a line, others do not.
pub fn lines(block: &[u8]) -> impl Iterator<Item = Result<&[u8], Refusal>> {
    let mut rest = block;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr2(b'\r', b'\n', rest);
        let line = end.filter(|end| rest[*end..].starts_with(b"\r\n"));
        Some(match line {
            Some(end) => {
                let line = &rest[..end];
                rest = &rest[end + 2..];
                Ok(line)
            }
            None => {
                rest = &[];
                Err(Refusal::new(400, Why::LineEnd))
            }
        })
    })
}

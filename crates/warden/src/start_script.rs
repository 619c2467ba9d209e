//! Whether a directory has a start script of its own. `bun run start` looks for a `package.json` in every directory above,
//! too, and passes over one that it cannot read: without this a tenant that is not all there would be its host, started
//! once more, and again by that.
//!
//! The tenant's own process looks, before it is the tenant's program: the file system of a tenant's directory may never
//! answer, and then that tenant alone waits.

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::Path;

const FILE_NAME: &str = "package.json";

/// Far more than any has; what is read before anything is started must have an end.
const MOST_BYTES: u64 = 4 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

const WHAT_TO_DO: &str =
    r#"give it { "scripts": { "start": "bun server.ts" } } or the like, or set the option `command`"#;

/// Refuses the working directory if `bun run start` would not run a script of it; the error says why, and calls the
/// directory as it is given here.
pub fn require(directory: &str) -> Result<(), String> {
    let path = Path::new(directory).join(FILE_NAME);
    let refuse = |why: String| Err(format!("{why}; {WHAT_TO_DO}"));
    let shown = path.display();
    // Not waiting for somebody to write into a named pipe.
    let file = match open(FILE_NAME, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return refuse(format!("its directory {directory:?} has no {FILE_NAME}")),
        Err(errno) => return refuse(format!("{shown} cannot be read: {errno}")),
    };
    let is_file =
        fstat(&file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    if !is_file {
        return refuse(format!("{shown} is not a file"));
    }
    let mut text = Vec::new();
    if let Err(error) = File::from(file).take(MOST_BYTES).read_to_end(&mut text) {
        return refuse(format!("{shown} cannot be read: {error}"));
    }
    match has_start_script(&text) {
        Ok(true) => Ok(()),
        Ok(false) => refuse(format!("{shown} has no script \"start\"")),
        Err(error) => refuse(format!("{shown} is not JSON that Bun reads: {error}")),
    }
}

fn has_start_script(text: &[u8]) -> Result<bool, String> {
    let manifest: Value = serde_json::from_slice(&strict(text)).map_err(|error| error.to_string())?;
    if !manifest.is_object() {
        // Bun passes over such a file as over one that it cannot read.
        return Err("it is no object".into());
    }
    let script = manifest.pointer("/scripts/start").and_then(Value::as_str);
    Ok(script.is_some_and(|script| !script.trim().is_empty()))
}

/// The same without what Bun allows beyond JSON and we do: a byte order mark, comments, and commas behind the last of
/// several. What is left has its place, so that errors name the right line and column.
fn strict(text: &[u8]) -> Vec<u8> {
    let mut strict = text.to_vec();
    if strict.starts_with(BYTE_ORDER_MARK) {
        strict[..BYTE_ORDER_MARK.len()].fill(b' ');
    }
    let mut comma = None;
    let mut last = b' ';
    let mut at = 0;
    while at < strict.len() {
        let rest = &strict[at..];
        let length = match rest[0] {
            b'"' => string_length(rest),
            b'/' => comment_length(rest).inspect(|length| blank(&mut strict[at..at + length])).unwrap_or(1),
            _ => 1,
        };
        match strict[at] {
            byte if byte.is_ascii_whitespace() => {}
            b',' => {
                // Behind an opening bracket or another comma it is a mistake.
                comma = (!matches!(last, b'{' | b'[' | b',')).then_some(at);
                last = b',';
            }
            byte => {
                if let Some(comma) = comma.take()
                    && matches!(byte, b'}' | b']')
                {
                    strict[comma] = b' ';
                }
                last = byte;
            }
        }
        at += length;
    }
    strict
}

/// Up to and with the closing quote, or all of it.
fn string_length(text: &[u8]) -> usize {
    let mut at = 1;
    while at < text.len() && text[at] != b'"' {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

/// `None` if it is no comment, or has no end.
fn comment_length(text: &[u8]) -> Option<usize> {
    match text.get(1)? {
        b'/' => Some(text.iter().position(|&byte| byte == b'\n').unwrap_or(text.len())),
        b'*' => text.windows(2).skip(2).position(|pair| pair == b"*/").map(|at| at + 4),
        _ => None,
    }
}

fn blank(comment: &mut [u8]) {
    comment.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<bool> {
        has_start_script(text.as_bytes()).ok()
    }

    /// What each is worth was seen with Bun 1.3 and 1.4, which goes on to the next directory above from a file that it
    /// cannot read: none of those may be taken for good here.
    #[test]
    fn what_bun_runs_is_found_and_what_it_passes_over_is_not() {
        for text in [
            r#"{"scripts":{"start":"x"}}"#,
            "\u{feff}{\"scripts\":{\"start\":\"x\"}}",
            "// first\n{/* a \" */\"scripts\":{\"start\":\"x\", // } \n}} // end",
            r#"{"scripts":{"start":"x",},}"#,
            r#"{"files":["a", /* b */],"scripts":{"start":"http://x /* y */, }"}}"#,
            r#"{"scr\u0069pts":{"start":"say \"x\\"}}"#,
        ] {
            assert_eq!(found(text), Some(true), "{text}");
        }
        for text in [
            "{}",
            r#"{"scripts":{}}"#,
            r#"{"scripts":[]}"#,
            r#"{"scripts":{"start":""}}"#,
            r#"{"scripts":{"start":" "}}"#,
            r#"{"scripts":{"start":5}}"#,
            r#"{"scripts":{"prestart":"x"}}"#,
        ] {
            assert_eq!(found(text), Some(false), "{text}");
        }
        for text in [
            "",
            "[]",
            "null",
            r#"{"scripts":"#,
            r#"{scripts:{start:"x"}}"#,
            "#!x\n{\"scripts\":{\"start\":\"x\"}}",
            "{\"a\":\"b\tc\",\"scripts\":{\"start\":\"x\"}}",
            r#"{,"scripts":{"start":"x"}}"#,
            r#"{"scripts":{"start":"x",,}}"#,
            r#"{"a":[,],"scripts":{"start":"x"}}"#,
            r#"{"scripts":{"start":"x"}} /* no end"#,
            r#"{"scripts":{"start":"x"}} /"#,
            r#"{"scripts":{"start":"x"#,
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn an_error_names_its_place() {
        let error = has_start_script(b"{\n  /* a\n comment */ \"a\": nothing }").unwrap_err();
        assert!(error.ends_with("at line 3 column 19"), "{error}");
    }
}
